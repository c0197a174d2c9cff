"""Records to look at: which ones, their pictures, and these for a page and as files."""

import functools
import os
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dsbuild import extras, images, storage
from dsbuild.engines import Advance, Engine, Job
from dsbuild.errors import DataError, ImageError, PlanError, StorageError
from dsbuild.extras.forms import restore
from dsbuild.format import example, features, tfrecord
from dsbuild.format.features import Names, Values
from dsbuild.format.folder import Folder, PathLike
from dsbuild.images import colour
from dsbuild.inspect import terminal
from dsbuild.inspect.catalog import Row
from dsbuild.storage import safe_text
from dsbuild.validate.problem import Problem

SIDE = 800  # of a picture on the page, its longer one, in pixels
Where = tuple[str, int, int]  # a record's file name, number and first byte
_BINARY = ("canny", "edges")


@dataclass(frozen=True)
class Pictures:
    """What one record has to look at.

    Attributes:
      image: uint8 (h, w, 3), or None where there is none that can be decoded.
      plane: the class of every pixel, uint8 (h, w), or None.
      extras: name -> a grey picture uint8 (h, w).
      problems: what could not be decoded, and why.
    """

    image: np.ndarray | None = None
    plane: np.ndarray | None = None
    extras: Mapping[str, np.ndarray] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


def colours(path: PathLike) -> np.ndarray:
    """Return the colours of a folder's label values: uint8 (256, 3), VOC's if it has none.

    A single file has those of the folder that it lies in.
    """
    palette = Folder.of(path).surrounding.palette
    return colour.table({str(value): rgb for value, rgb in palette.items()})


def load(path: PathLike, place: Mapping[str, Any]) -> tuple[Pictures, str]:
    """Return the pictures of the record that `report.record` describes, and a name for them.

    That is its key; of a record without one its file and number.
    """
    (record,) = tfrecord.at(place["file"], [(place["record"], place["byte"])])
    values, names = example.parse(record.data), Folder.of(path).names
    name = features.key(values, names) or f"{os.path.basename(place['file'])}-{place['record']}"
    return pictures(values, names), name


def drawing(seen: Pictures, table: np.ndarray, columns: int, rows: int) -> list[str]:
    """Return the lines of image and coloured mask, side by side, for a terminal of that size."""
    shown = [plane for plane in (seen.image, seen.plane) if plane is not None]
    if not shown:
        return []
    size = terminal.extent(shown[0].shape[:2], max((columns - 5) // len(shown), 1), rows)
    drawn = [] if seen.image is None else [images.shrink(seen.image, size)]
    if seen.plane is not None:
        drawn.append(colour.paint(images.pick(seen.plane, size), table))
    return terminal.beside(*map(terminal.picture, drawn))


def pictures(values: Values, names: Names) -> Pictures:
    """Return the pictures of a parsed record; `names` as a `Folder` gives them.

    A label of another size than its image is no picture, but a problem.
    """
    problems: list[str] = []
    image = plane = None
    try:
        data = features.value(values, names, "image")
        if isinstance(data, list):
            image = images.decode(data[0], images.header(data[0]))
    except DataError as error:
        problems.append(f"image: {error}")
    try:
        data = features.value(values, names, "label")
        if isinstance(data, list):
            plane = images.plane(data[0])
    except DataError as error:
        problems.append(f"label: {error}")
    size = None if image is None else image.shape[:2]
    if plane is not None and size not in (None, plane.shape):
        there, expected = (f"{width} x {height}" for height, width in (plane.shape, size))
        problems.append(f"label: found {there} pixels, expected the image's {expected}")
        plane = None
    grey = {}
    for name in extras.EXTRAS:
        try:
            found = _extra(name, values, names, size or (None if plane is None else plane.shape))
        except (DataError, ValueError, OverflowError) as error:
            problems.append(f"{name}: {error}")
        else:
            if found is not None:
                grey[name] = found
    return Pictures(image, plane, grey, tuple(problems))


def _extra(
    name: str, values: Values, names: Names, size: tuple[int, int] | None
) -> np.ndarray | None:
    """Return an extra of a record as a grey picture, or None where it has none."""
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
    plane = restore(form, data[0])
    if form == b"png16":
        return colour.grey_of(plane)
    return plane * 255 if name in _BINARY and plane.max() <= 1 else plane


def find(name: str, known: Sequence[str], rows: Sequence[Row]) -> int:
    """Return the label value of a class by its name or number; raise PlanError for another."""
    if name in known:
        return list(known).index(name)
    there = {value for row in rows for value in row.counts}
    if name.isdecimal() and (int(name) in there or int(name) < len(known)):
        return int(name)
    expected = ", ".join(known) or f"one of the values {', '.join(map(str, sorted(there)))}"
    raise PlanError(f"class {name!r}: found no such class, expected {expected}")


def choose(
    rows: Sequence[Row], count: int, seed: int, how: str = "any", value: int = -1
) -> list[Row]:
    """Return `count` of the rows: `any` or those `with` a class by a seed, or by its share.

    `most` and `least` are those with the largest and smallest share of a class, only
    records that have it.
    """
    if how != "any":
        rows = [row for row in rows if row.counts.get(value)]
    if how in ("most", "least"):
        sign = -1 if how == "most" else 1
        return sorted(rows, key=lambda row: sign * row.part(value))[:count]
    chosen = random.Random(seed).sample(range(len(rows)), min(count, len(rows)))
    return [rows[i] for i in sorted(chosen)]


def faulty(problems: Iterable[Problem]) -> dict[Where, list[Problem]]:
    """Return the records with problems, in order, each with what is wrong with it."""
    found: dict[Where, list[Problem]] = {}
    for problem in problems:
        if problem.record is not None and problem.offset is not None:
            place = (os.path.basename(problem.file), problem.record, problem.offset)
            found.setdefault(place, []).append(problem)
    return found


def varied(found: Mapping[Where, Sequence[Problem]], count: int) -> list[Where]:
    """Return `count` of the records with problems, the first of every kind among them."""
    first: dict[str, Where] = {}
    for place, problems in found.items():
        for problem in problems:
            first.setdefault(problem.kind, place)
    kept = set(list(dict.fromkeys([*first.values(), *found]))[:count])
    return [place for place in found if place in kept]


def cards(
    path: PathLike, rows: Sequence[Row], colours: np.ndarray, engine: Engine
) -> list[dict[str, Any]]:
    """Return the rows as JSON documents with pictures as data URIs, in the same order.

    Rows of one file are one task, which opens it once.
    """
    folder = Folder.of(path)
    by_file: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda row: row.offset):
        by_file.setdefault(storage.join(folder.home, row.file), []).append(row)
    work = functools.partial(_cards, names=folder.names, colours=colours)
    tasks = list(by_file.items())
    found = engine.map(Job(tasks, work, len(rows), "drawing", unit="records"))
    made = {(card["file"], card["record"]): card for some in found for card in some}
    return [made[row.file, row.number] for row in rows]


def _cards(
    task: tuple[str, Sequence[Row]], advance: Advance, *, names: Names, colours: np.ndarray
) -> list[dict[str, Any]]:
    path, rows = task
    found = []
    for row, seen in zip(rows, _seen(path, rows, names), strict=True):
        found.append(
            {
                "key": row.key,
                "split": row.split,
                "file": row.file,
                "record": row.number,
                "size": [row.width, row.height],
                "classes": [[value, row.counts[value]] for value in sorted(row.counts)],
                "image": None if seen.image is None else colour.photo_uri(seen.image, SIDE),
                "mask": None if seen.plane is None else colour.plane_uri(seen.plane, colours, SIDE),
                "extras": {
                    name: colour.photo_uri(grey, SIDE) for name, grey in seen.extras.items()
                },
                "problems": list(seen.problems),
            }
        )
        advance(1, 0)
    return found


def _seen(path: str, rows: Sequence[Row], names: Names) -> Iterator[Pictures]:
    """Yield the pictures of the records of a file; if one cannot be read, that is its problem."""
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


def files(seen: Pictures, key: str, colours: np.ndarray) -> dict[str, bytes]:
    """Return file name -> PNG of a record's pictures in full size.

    No two keys have a name in common: see `harmless.stem`.
    """
    made = {}
    if seen.image is not None:
        made["image"] = seen.image
    if seen.plane is not None:
        made["mask"] = colour.paint(seen.plane, colours)
        if seen.image is not None:
            made["overlay"] = colour.overlay(seen.image, seen.plane, colours)
    made |= seen.extras
    stem = safe_text.stem(key)
    return {f"{stem}-{what}.png": colour.marked_png(pixels) for what, pixels in made.items()}


def save(folder: str, made: Mapping[str, bytes]) -> list[str]:
    """Write pictures into a folder and return their paths.

    Raises StorageError, and writes none, where one of the names is taken by a file that
    `save` did not write.
    """
    paths = {storage.join(folder, name): data for name, data in made.items()}
    for path in paths:
        if storage.stamp(path) is not None and not (
            not storage.is_folder(path) and colour.is_marked(storage.read(path)[0])
        ):
            raise StorageError(
                f"{path}: found a file that dsbuild inspect did not write, which is left alone; "
                "move it, or name another folder"
            )
    for path, data in paths.items():
        storage.write(path, data)
    return list(paths)
