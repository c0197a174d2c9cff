"""A file of CVAT for images 1.1: its labels, and its shapes by image.

    annotations
      meta / task, job or project / labels / label / name
      image                         id, name, width, height, subset
        polygon                     label, z_order, points="x,y;x,y"
        mask                        label, z_order, rle, left, top, width, height
        box, polyline, points, ...  shapes without a mask

The file is streamed, and only one image is in memory at a time. A document type is refused, since
its entities may grow without bound.

Source: CVAT's documentation of its XML format, version 1.1.
"""

import functools
import json
import posixpath
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple, NoReturn

from dsbuild import storage
from dsbuild.errors import LayoutError
from dsbuild.storage.heap import Heap
from dsbuild.storage.spool import Spool

AREAS = ("polygon", "mask")
_CHUNK = 1 << 18  # bytes that are read at once
_LONGEST = 1 << 16  # characters of a label's name
# What decides the pixels of a shape; attributes, occlusion and authors do not.
_KEPT = ("label", "z_order", "points", "rle", "left", "top", "width", "height")


class Image(NamedTuple):
    """An image of the file: its name and subset, and where its shapes are kept.

    Attributes:
      id: as in the file.
      name: its path as CVAT has it.
      subset: empty if it is in none.
      piece: offset and size of its shapes.
      areas: how many of them are polygons or masks.
    """

    id: str
    name: str
    subset: str
    piece: tuple[int, int]
    areas: int


class Grouped(NamedTuple):
    """A file: its images in their order, their shapes, and what has no mask by kind."""

    images: Spool[Image]
    heap: Heap
    others: Counter[str]

    def shapes(self, image: Image) -> bytes:
        """Return the size of an image and its shapes, as one JSON document."""
        return self.heap.read(*image.piece)


def labels(path: str) -> tuple[str, ...]:
    """Return the names of the labels in a file, in its order; raise LayoutError if it has none."""
    reading = _Reading(path, Heap())
    for _ in reading.images():
        if reading.labels:  # they come first
            break
    if not reading.labels:
        raise LayoutError(
            f"{path}: found no labels in its meta; expected those of a task, a job or a project: "
            "export it as CVAT for images 1.1"
        )
    return tuple(dict.fromkeys(reading.labels))


def grouped(path: str) -> Grouped:
    """Return a file by images; raise LayoutError if it is no such file."""
    return _grouped(path, storage.stamp(path))


@functools.lru_cache(maxsize=1)  # what is found is looked at again
def _grouped(path: str, _stamp: object) -> Grouped:
    heap = Heap()
    reading = _Reading(path, heap)
    return Grouped(Spool(reading.images()), heap, reading.others)


class _Reading:
    """The state of one pass over a file."""

    def __init__(self, path: str, heap: Heap) -> None:
        from xml.parsers import expat  # here: few commands read XML

        self.labels: list[str] = []
        self.others: Counter[str] = Counter()
        self._path, self._heap = path, heap
        self._above: list[str] = []
        self._text = ""
        self._name, self._inner = "", False
        self._image: dict[str, str] = {}
        self._shapes: list[dict[str, str]] = []
        self._done: list[Image] = []
        self._parser = parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = self._doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._data

    def images(self) -> Iterator[Image]:
        """Yield the images as they end."""
        from xml.parsers import expat

        with storage.reading(self._path) as (file, _):
            while True:
                data = file.read(_CHUNK)
                try:
                    self._parser.Parse(data, not data)
                except expat.ExpatError as error:
                    self._fail(f"found damaged XML: {expat.ErrorString(error.code)}")
                yield from self._done
                self._done.clear()
                if not data:
                    return

    def _doctype(self, *_: object) -> None:
        self._fail("found a document type, which CVAT does not write; remove <!DOCTYPE ...>")

    def _start(self, name: str, given: dict[str, str]) -> None:
        above = self._above
        if not above and name != "annotations":
            self._fail(f"found <{name}>; expected <annotations> of CVAT for images 1.1")
        if above == ["annotations"]:
            if name == "track":
                self._fail("found tracks of a video; export it as CVAT for images 1.1")
            self._image, self._shapes = (given, []) if name == "image" else ({}, [])
        elif above == ["annotations", "image"] and name != "tag":
            if name in AREAS:
                kept = {key: given[key] for key in _KEPT if key in given}
                self._shapes.append({"kind": name, **kept})
            else:
                self.others[name] += 1
        above.append(name)
        self._text = ""
        if name == "label":
            self._name, self._inner = "", False

    def _data(self, text: str) -> None:
        if self._above[-1] in ("name", "parent"):
            self._text += text
            if len(self._text) > _LONGEST:
                self._fail("found a name of a label that never ends")

    def _end(self, name: str) -> None:
        above = self._above
        above.pop()
        if above[-2:] == ["labels", "label"] and above[:2] == ["annotations", "meta"]:
            if name == "name":
                self._name = self._text.strip()
            elif name == "parent":
                self._inner = bool(self._text.strip())
        elif above[-1:] == ["labels"] and name == "label" and not self._inner:
            if not self._name:
                self._fail("found a label without a name")
            self.labels.append(self._name)
        elif above == ["annotations"] and name == "image":
            self._done.append(self._finished())

    def _finished(self) -> Image:
        given = self._image
        name = given.get("name", "").replace("\\", "/")
        if not name or name.startswith("/") or ".." in name.split("/"):
            self._fail(f"found an image named {name!r}; expected a path below images")
        size = [_whole(given.get(side, "")) for side in ("height", "width")]
        if not all(size):
            self._fail(f"found the image {name} without width and height; expected both, in pixels")
        data = json.dumps({"size": size, "shapes": self._shapes}, separators=(",", ":")).encode()
        piece = self._heap.add(data), len(data)
        id_ = given.get("id", name)
        return Image(
            id_, posixpath.normpath(name), given.get("subset", ""), piece, len(self._shapes)
        )

    def _fail(self, what: str) -> NoReturn:
        raise LayoutError(f"{self._path}: {what} (at line {self._parser.CurrentLineNumber:,})")


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 7 else 0
