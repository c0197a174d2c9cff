"""A JSON file of COCO: its categories, and its annotations regrouped by image.

    images        id, file_name, height, width
    annotations   image_id, category_id, segmentation, iscrowd
    categories    id, name

The file is streamed once, whatever the order of its lists, and only what decides the pixels of a
label is kept of an annotation.
"""

import functools
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from operator import itemgetter
from typing import Any, NamedTuple

from dsbuild import storage
from dsbuild.errors import LayoutError, PlanError
from dsbuild.layouts import coco_panoptic
from dsbuild.layouts.folders import is_name
from dsbuild.layouts.json_stream import members
from dsbuild.storage import spool
from dsbuild.storage.heap import Heap
from dsbuild.storage.spool import Spool

Categories = tuple[tuple[int, str], ...]  # id and name, by id
Row = tuple[str, int, int, tuple[Any, ...]]  # image's id, 0 for image, place, content

_PEEK = 1 << 20  # bytes at either end of a file in which its categories are looked for
_GLANCE = 1 << 16
_LIST = re.compile(rb'"(images|annotations|categories)"\s*:\s*\[')
_CATEGORIES = re.compile(r'"categories"\s*:\s*(?=\[)')
_ROOTED = re.compile(r"/|[A-Za-z]:/|\w+://")
BACKGROUND = "background"


class Image(NamedTuple):
    """An image of the file, and where its annotations are kept: offset and size of each."""

    id: str
    file_name: str
    height: int
    width: int
    pieces: tuple[tuple[int, int], ...]


class Grouped(NamedTuple):
    """A file, regrouped: its images in their order, its categories, and its annotations.

    `above` are the folders that were cut off all names of images, since these begin at a root.
    """

    images: Spool[Image]
    categories: Categories
    heap: Heap
    above: tuple[str, ...] = ()

    def annotations(self, image: Image) -> bytes:
        """Return the annotations of an image, and its size, as one JSON document."""
        pieces = b",".join(self.heap.read(*piece) for piece in image.pieces)
        return b'{"size":[%d,%d],"annotations":[%b]}' % (image.height, image.width, pieces)


def looks(path: str) -> bool:
    """Tell from both ends of a file whether it is a JSON file of COCO."""
    head, tail = _ends(path, _GLANCE)
    return {match[1] for match in _LIST.finditer(head + b"\n" + tail)} > {b"categories"}


def _ends(path: str, size: int) -> tuple[bytes, bytes]:
    stamp = storage.stamp(path)
    length = stamp.size if stamp else 0
    head = storage.read_part(path, 0, size) if length else b""
    return head, storage.read_part(path, max(0, length - size), size) if length > size else b""


def categories(path: str) -> Categories:
    """Return the categories of a file: id and name, by id; raise LayoutError if it has none."""
    return _categories(_listed(path), path)


def common(paths: Iterable[str]) -> Categories:
    """Return the categories that all files have; raise LayoutError if they differ."""
    first: tuple[str, Categories] | None = None
    for path in paths:
        found = categories(path)
        first = first or (path, found)
        if found != first[1]:
            odd = sorted({*found} ^ {*first[1]})[0]
            raise LayoutError(
                f"{path}: its categories differ from those of {first[0]}, such as {odd[1]!r} "
                f"(id {odd[0]}); name the file that has them all: --categories FILE"
            )
    return first[1] if first else ()


def things(path: str) -> tuple[int, ...]:
    """Return the ids of the categories with instances; all ids if the file does not say."""
    found = _listed(path)
    return tuple(sorted(one["id"] for one in found if one.get("isthing", 1)))


def _listed(path: str) -> list[Any]:
    """Return the list of categories of a file; raise LayoutError if it has none.

    They are usually at its beginning or end, so that the whole file need not be read.
    """
    for part in _ends(path, _PEEK):
        text = part.decode(errors="ignore")
        for match in _CATEGORIES.finditer(text):
            try:
                found, _ = json.JSONDecoder().raw_decode(text, match.end())
                _categories(found, path)
                return list(found)
            except (ValueError, RecursionError, LayoutError):
                continue
    found = [one.value for one in members(path) if one.key == "categories" and one.element]
    _categories(found, path)
    return found


def read_categories(path: str) -> Categories:
    """Return the categories of a file that a user named; raise PlanError if it has none."""
    try:
        return categories(path)
    except LayoutError as error:
        raise PlanError(str(error)) from error


def _categories(found: list[Any], path: str) -> Categories:
    named: dict[int, str] = {}
    for one in found:
        if not isinstance(one, dict) or type(one.get("id")) is not int or not one.get("name"):
            raise LayoutError(f"{path}: found the category {one!r}; expected an id and a name")
        if one["id"] in named:
            raise LayoutError(f"{path}: found two categories with the id {one['id']}")
        named[one["id"]] = str(one["name"])
    if not named:
        raise LayoutError(f"{path}: found no categories; expected a list of ids and names")
    return tuple(sorted(named.items()))


def names(known: Categories, background: bool = True) -> tuple[tuple[str, ...], Mapping[int, int]]:
    """Return the names of classes by index, a background first if any; and the index of each id.

    Ids may have gaps, so that they are no indices. A category named background is index 0.

    >>> names(((3, "cat"), (7, "dog")))
    (('background', 'cat', 'dog'), {3: 1, 7: 2})
    """
    classes, index = [BACKGROUND] if background else [], {}
    for number, name in known:
        if background and name.casefold().strip("_") == BACKGROUND:
            index[number] = 0
            continue
        index[number] = len(classes)
        classes.append(name if name not in classes else f"{name} ({number})")
    return tuple(classes), index


def grouped(path: str, panoptic: bool = False) -> Grouped:
    """Return a file regrouped by image; raise LayoutError if it is no such file."""
    return _grouped(path, panoptic, storage.stamp(path))


@functools.lru_cache(maxsize=1)  # a split may be divided in two, and what is found looked at again
def _grouped(path: str, panoptic: bool, _stamp: object) -> Grouped:
    heap, found = Heap(), []
    above: list[str] | None = None  # the folder of all images, if all names begin at a root
    missing = {"images", "annotations", "categories"}

    def rows() -> Iterator[Row]:
        nonlocal above
        place = 0
        for key, value, element in members(path):
            if not element:
                if value == []:
                    missing.discard(key)
                continue
            place += 1
            if key == "categories":
                found.append(value)
            elif key == "images":
                row = _image(value, place, path)
                above = _shared(above, row[3][0])
                yield row
            elif key == "annotations":
                piece = coco_panoptic.kept(value, path) if panoptic else _kept(value, path)
                yield _id(value, "image_id", path), 1, place, (heap.add(piece), len(piece))

    ordered = spool.ordered(rows(), key=itemgetter(0, 1, 2))
    images = spool.ordered(_joined(ordered, path), key=itemgetter(0))
    spooled = Spool(
        image._replace(file_name=image.file_name[len("/".join(above)) + 1 :]) if above else image
        for _, image in images
    )
    if missing:
        raise LayoutError(
            f"{path}: found no list {', '.join(sorted(missing))}; expected COCO's images, "
            "annotations and categories"
        )
    return Grouped(spooled, _categories(found, path), heap, tuple(above or ()))


def _shared(above: list[str] | None, name: str) -> list[str]:
    """Return the folders that all names so far share, none if one does not begin at a root.

    Labelling tools write where images lay for them: `C:/data/1.jpg`, `s3://data/1.jpg`.
    """
    folders = name.split("/")[:-1] if _ROOTED.match(name) else []
    if above is None:
        return folders
    pairs = zip(above, folders, strict=False)
    return [one for one, _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs)]


def _joined(rows: Iterator[Row], path: str) -> Iterator[tuple[int, Image]]:
    """Yield images, each with its place in the file, and where its annotations are kept."""
    for id_, group in itertools.groupby(rows, key=itemgetter(0)):
        first, *pieces = group
        if first[1]:
            raise LayoutError(
                f"{path}: found an annotation of the image {id_}, which the list of images does "
                "not have; add the image, or remove its annotations"
            )
        if pieces and not pieces[0][1]:
            raise LayoutError(f"{path}: found two images with the id {id_}; expected one")
        name, height, width = first[3]
        places = tuple((offset, size) for _, _, _, (offset, size) in pieces)
        yield first[2], Image(id_, name, height, width, places)


def _image(value: Any, place: int, path: str) -> Row:
    if not isinstance(value, dict) or not isinstance(value.get("file_name"), str):
        raise LayoutError(f"{path}: found the image {value!r:.80}; expected an id and a file_name")
    if not is_name(value["file_name"]):
        raise LayoutError(f"{path}: found file_name {value['file_name']!a:.80}; expected a path")
    size = [value.get(side) for side in ("height", "width")]
    if not all(type(side) is int and side > 0 for side in size):
        raise LayoutError(
            f"{path}: found the image {value['file_name']} without height and width; expected "
            "both, in pixels"
        )
    return _id(value, "id", path), 0, place, (value["file_name"].replace("\\", "/"), *size)


def _kept(value: Any, path: str) -> bytes:
    """Return what decides the pixels of an annotation; raise LayoutError if it is none."""
    if not isinstance(value, dict) or "category_id" not in value:
        panoptic = isinstance(value, dict) and "segments_info" in value
        text = "these are panoptic" if panoptic else "these are captions or something else"
        remedy = ": name --labels panoptic" if panoptic else ": name an instances_*.json"
        raise LayoutError(
            f"{path}: found an annotation without category_id; {text}, not instances{remedy}"
        )
    crowd = value.get("iscrowd", value.get("is_crowd", 0))
    kept = {
        "id": value.get("id"),
        "category_id": value["category_id"],
        "iscrowd": int(bool(crowd)),
        "segmentation": value.get("segmentation", []),
    }
    if isinstance(kept["segmentation"], dict):
        runs = kept["segmentation"]
        kept["segmentation"] = {key: runs[key] for key in ("size", "counts") if key in runs}
    return json.dumps(kept, separators=(",", ":")).encode()


def _id(value: dict[str, Any], key: str, path: str) -> str:
    found = value.get(key)
    if type(found) not in (int, str):
        raise LayoutError(f"{path}: found {key} {found!r}; expected a number or a text")
    return str(found)
