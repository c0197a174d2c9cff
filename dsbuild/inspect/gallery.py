"""Make pictures of records for a page, a terminal or files."""

import functools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dsbuild import extras, images, storage
from dsbuild.engines import Advance, Engine, Job
from dsbuild.errors import DataError, ImageError, StorageError
from dsbuild.extras.forms import restore
from dsbuild.format import example, features, tfrecord
from dsbuild.format.features import Names, Values
from dsbuild.format.folder import Folder, PathLike
from dsbuild.images import colour
from dsbuild.inspect import terminal
from dsbuild.inspect.catalog import Row
from dsbuild.inspect.forms import Card, RecordDocument
from dsbuild.storage import safe_text

SIDE = 800  # pixels of the longer side of a picture on the page, at most
_SMALLEST = 64  # and at least, unless the image itself is smaller
ROOM = 3_800_000  # bytes of all pictures of a page, as data URIs
_BINARY = ("canny", "edges")


@dataclass(frozen=True)
class Pictures:
    """The pictures of one record.

    Attributes:
      image: uint8 (h, w, 3), or None if there is none that decodes.
      plane: the class of each pixel, (h, w), or None.
      segments: the panoptic map, int32 (h, w), or None.
      extras: name -> grey picture, uint8 (h, w).
      problems: what could not be decoded, and why.
    """

    image: NDArray[np.uint8] | None = None
    plane: images.Plane | None = None
    segments: NDArray[np.int32] | None = None
    extras: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


def colours(path: PathLike) -> NDArray[np.uint8]:
    """Return the colours of a folder's label values, VOC's if it has none.

    They are uint8 (256, 3), or (65536, 3) if labels may have 16 bits. A single file has the
    colours of the folder that it is in.
    """
    folder = Folder.of(path).surrounding
    return colour.table({str(value): rgb for value, rgb in folder.palette.items()}, folder.bits)


def load(path: PathLike, place: RecordDocument) -> tuple[Pictures, str]:
    """Return the pictures of the record that `place` describes, and a name for them.

    The name is the record's key or, without one, its file and number.
    """
    (record,) = tfrecord.at(place["file"], [(place["record"], place["byte"])])
    values, names = example.parse(record.data), Folder.of(path).names
    name = features.key(values, names) or f"{os.path.basename(place['file'])}-{place['record']}"
    return pictures(values, names), name


def drawing(shown: Pictures, table: NDArray[np.uint8], columns: int, rows: int) -> list[str]:
    """Return lines that draw image and coloured mask side by side in a terminal of that size."""
    planes = [plane for plane in (shown.image, shown.plane) if plane is not None]
    if not planes:
        return []
    height, width = planes[0].shape[:2]
    size = terminal.extent((height, width), max((columns - 5) // len(planes), 1), rows)
    drawn = [] if shown.image is None else [images.shrink(shown.image, size)]
    if shown.plane is not None:
        drawn.append(colour.paint(images.pick(shown.plane, size), table))
    return terminal.beside(*map(terminal.picture, drawn))


def pictures(values: Values, names: Names) -> Pictures:
    """Return the pictures of a parsed record; `names` are those of its `Folder`.

    A label whose size is not that of its image is a problem, not a picture.
    """
    problems: list[str] = []
    image = plane = None
    try:
        data = features.value(values, names, "image")
        if isinstance(data, list):
            image = images.deep.shown(images.deep.pixels(data[0]))
    except DataError as error:
        problems.append(f"image: {error}")
    try:
        plane = features.plane_of(values, names)
    except DataError as error:
        problems.append(f"label: {error}")
    size = None if image is None else image.shape[:2]
    if plane is not None and size not in (None, plane.shape):
        label_size, image_size = (f"{width} x {height}" for height, width in (plane.shape, size))
        problems.append(f"label: found {label_size} pixels, expected the image's {image_size}")
        plane = None
    grey = {}
    for name in extras.EXTRAS:
        try:
            extra = _extra(name, values, names, size or (None if plane is None else plane.shape))
        except (DataError, ValueError, OverflowError) as error:
            problems.append(f"{name}: {error}")
        else:
            if extra is not None:
                grey[name] = extra
    segments = None if plane is None else features.segments_of(values, names)
    return Pictures(image, plane, segments, grey, tuple(problems))


def _extra(
    name: str, values: Values, names: Names, size: tuple[int, int] | None
) -> NDArray[np.uint8] | None:
    """Return an extra of a record as a grey picture, or None if it has none."""
    listed = features.value(values, names, name)
    if isinstance(listed, np.ndarray) and size:
        return colour.grey_of(listed.reshape(size))
    data = features.value(values, names, f"{name}.encoded")
    if not isinstance(data, list):
        return None
    form = example.first(features.value(values, names, f"{name}.format"))
    if form == b"raw16":
        return colour.grey_of(restore(form, data[0], size)) if size else None
    head = images.header(data[0])
    if size not in (None, (head.height, head.width)):
        raise ImageError(
            f"found {head.width} x {head.height} pixels, expected the image's {size[1]} x {size[0]}"
        )
    stored = restore(form, data[0])
    if form == b"png16":
        return colour.grey_of(stored)
    plane = np.asarray(stored, np.uint8)
    return plane * 255 if name in _BINARY and plane.max() <= 1 else plane


def cards(
    path: PathLike,
    rows: Sequence[Row],
    colours: NDArray[np.uint8],
    engine: Engine,
    room: int = ROOM,
) -> list[Card]:
    """Return the rows as JSON documents with pictures as data URIs, in the same order.

    The rows of a file are one task, which opens it once. Each card gets an equal share of
    `room` bytes; pictures that need more are shrunk.
    """
    folder = Folder.of(path)
    by_file: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda row: row.offset):
        by_file.setdefault(storage.join(folder.home, row.file), []).append(row)
    share = room // max(len(rows), 1)
    work = functools.partial(_cards, names=folder.names, colours=colours, room=share)
    tasks = list(by_file.items())
    parts = engine.map(Job(tasks, work, len(rows), "drawing", unit="records"))
    made = {(card["file"], card["record"]): card for part in parts for card in part}
    return [made[row.file, row.number] for row in rows]


def _cards(
    task: tuple[str, Sequence[Row]],
    advance: Advance,
    *,
    names: Names,
    colours: NDArray[np.uint8],
    room: int,
) -> list[Card]:
    path, rows = task
    made: list[Card] = []
    for row, shown in zip(rows, _pictures(path, rows, names), strict=True):
        image, mask, grey = _fitted(shown, colours, room)
        made.append(
            {
                "key": row.key,
                "split": row.split,
                "file": row.file,
                "record": row.number,
                "size": [row.width, row.height],
                "classes": [[value, row.counts[value]] for value in sorted(row.counts)],
                "image": image,
                "mask": mask,
                "extras": grey,
                "problems": list(shown.problems),
            }
        )
        advance(1, 0)
    return made


def _fitted(
    shown: Pictures, colours: NDArray[np.uint8], room: int
) -> tuple[str | None, str | None, dict[str, str]]:
    """Return image, mask and extras as data URIs of at most `room` bytes, or the smallest."""

    def draw(side: int) -> list[str | None]:
        return [
            None if shown.image is None else colour.photo_uri(shown.image, side),
            None
            if shown.plane is None
            else colour.plane_uri(shown.plane, colours, side, shown.segments),
            *(colour.photo_uri(plane, side) for plane in shown.extras.values()),
        ]

    image, mask, *grey = fitted(draw, [shown.image, shown.plane, *shown.extras.values()], room)
    return image, mask, dict(zip(shown.extras, (uri or "" for uri in grey), strict=True))


def fitted(
    draw: Callable[[int], list[str | None]],
    planes: Sequence[NDArray[np.uint8] | None],
    room: int,
) -> list[str | None]:
    """Return what `draw` makes for the longest side that keeps it within `room` bytes.

    `planes` are what is drawn; no side is above theirs, or below 64 pixels.
    """
    longest = max((max(plane.shape[:2]) for plane in planes if plane is not None), default=1)
    # JPEGs seldom take less than a tenth of a byte per pixel.
    side = min(longest, SIDE, max(_SMALLEST, int((10 * room) ** 0.5)))
    while True:
        made = draw(side)
        taken = sum(len(uri or "") for uri in made)
        if taken <= room or side <= _SMALLEST:
            return made
        side = max(_SMALLEST, int(side * min((room / taken) ** 0.5, 0.95)))


def _pictures(path: str, rows: Sequence[Row], names: Names) -> Iterator[Pictures]:
    """Yield the pictures of a file's records; one that cannot be read has that as its problem."""
    left = len(rows)
    try:
        for record in tfrecord.each(path, ((row.number, row.offset) for row in rows)):
            left -= 1
            yield _of_record(path, record, names)
    except DataError as error:  # of the file
        yield from [Pictures(problems=(f"frame: {error}",))] * left


def _of_record(path: str, record: tfrecord.Record, names: Names) -> Pictures:
    kind = "frame"
    try:
        data = tfrecord.whole(record, path).data
        kind = "example"
        return pictures(example.parse(data), names)
    except DataError as error:
        return Pictures(problems=(f"{kind}: {error}",))


def files(shown: Pictures, key: str, colours: NDArray[np.uint8]) -> dict[str, bytes]:
    """Return file name -> PNG of a record's pictures in full size.

    Distinct keys give distinct names: see `safe_text.stem`.
    """
    made: dict[str, NDArray[np.uint8]] = {}
    if shown.image is not None:
        made["image"] = shown.image
    if shown.plane is not None:
        plane = shown.plane
        if shown.segments is not None:
            plane, colours = colour.outlined(plane, shown.segments, colours)
        made["mask"] = colour.paint(plane, colours)
        if shown.image is not None:
            made["overlay"] = colour.overlay(shown.image, plane, colours)
    made |= shown.extras
    stem = safe_text.stem(key)
    return {f"{stem}-{what}.png": colour.marked_png(pixels) for what, pixels in made.items()}


def save(folder: str, made: Mapping[str, bytes]) -> list[str]:
    """Write pictures into a folder and return their paths.

    Raises StorageError, and writes none, if a name is taken by a file that `save` did not write.
    """
    paths = {storage.join(folder, name): data for name, data in made.items()}
    for path in paths:
        if storage.stamp(path) is not None and not (
            not storage.is_folder(path) and colour.is_marked(storage.read(path)[0])
        ):
            raise StorageError(
                f"{path}: found a file that dsbuild inspect did not write, so it is left alone; "
                "move it, or choose another folder"
            )
    for path, data in paths.items():
        storage.write(path, data)
    return list(paths)
