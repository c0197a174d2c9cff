"""CVAT for images 1.1: polygons and masks in one XML file.

    annotations.xml                           labels, images, and the shapes in them
    images/[<subset>/]<name>                  the images; also beside the file

Polygons and masks are drawn by z_order, then in the order of the file, later ones over earlier
ones. Class 0 is the background, and the labels follow in the order of the file's meta. Polylines,
points, boxes and ellipses give no mask.

Sources: CVAT's documentation of its XML format; Datumaro (plugins/cvat). That polygons are drawn as
pycocotools draws them, as CVAT's own exports of masks do, is not documented.
"""

import functools
import json
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from dsbuild import storage
from dsbuild.errors import ImageError, LayoutError, PlanError, nearest
from dsbuild.fields import field
from dsbuild.format.split_names import called
from dsbuild.layouts import cvat_file
from dsbuild.layouts.base import Layout
from dsbuild.layouts.class_files import read_names
from dsbuild.layouts.coco import OVERLAP
from dsbuild.layouts.cvat_file import Image
from dsbuild.layouts.division import Divided, in_order, leaks, named
from dsbuild.layouts.finding import Finding
from dsbuild.layouts.folders import composed, is_picture, require, walk
from dsbuild.layouts.recognition import PUBLISHED, Recognised
from dsbuild.layouts.sample import Part, Sample, Slice

if TYPE_CHECKING:
    from dsbuild.images.labels import Label
    from dsbuild.shapes.overlap import Shape
    from dsbuild.shapes.runs import Patch

FILE, BACKGROUND = "annotations.xml", "background"
_SHOWN = 1 << 16  # bytes in which a file of CVAT shows itself
_TRIED = 5  # images by which the folder of a subset is found


@dataclass(frozen=True, kw_only=True)
class Cvat(Divided, Layout):
    """CVAT for images 1.1; its polygons and masks as one plane of classes."""

    name: ClassVar[str] = "cvat"
    title: ClassVar[str] = "CVAT for images 1.1"
    source: ClassVar[str] = "the folder that holds annotations.xml and images"
    draws: ClassVar[bool] = True

    names: tuple[str, ...] = field(
        (),
        "File of classes, one per line, in another order than the file's labels.",
        option="classes",
        read=read_names,
    )
    overlap: str = field(
        "order",
        "Who wins where shapes of several classes overlap: the one with the higher z_order, or the "
        "later one; the smaller area; nobody, and the pixels are ignored; or reject the sample.",
        choices=OVERLAP,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_division()
        if len(self.classes) > 255:
            raise PlanError(f"found {len(self.classes)} classes; expected at most 255")

    @property
    def classes(self) -> tuple[str, ...]:
        """The background, then the labels."""
        return (BACKGROUND, *(name for name in self.names if name != BACKGROUND))

    def find(self, source: str | None) -> str:
        """Return the folder that holds annotations.xml."""
        for start in [source] if source is not None else [".", "data"]:
            if storage.stamp(storage.join(start, FILE)) is not None:
                return storage.normal(start)
        require(source)
        raise LayoutError(
            f"{source or '. and ./data'}: found no {FILE}; name {self.source}: dsbuild cvat SOURCE"
        )

    @classmethod
    def recognise(cls, path: str, _given: Mapping[str, str], /) -> Recognised:
        """Recognise an annotations.xml that begins as CVAT's do."""
        where = storage.join(path, FILE)
        if storage.is_folder(path) and storage.stamp(where) is not None:
            head = storage.read_part(where, 0, _SHOWN)
            if b"<annotations" in head and b"<track " in head:
                return cls.seen(0, f"{FILE} has tracks of a video; export it for images 1.1")
            if b"<annotations" in head:
                return cls.seen(PUBLISHED, f"{cls.title}: {FILE}")
        return cls.seen(0, f"no {FILE}")

    def bind(self, root: str) -> "Cvat":
        """Return the layout with the labels of the file, unless the user gave some."""
        return self if self.names else replace(self, names=cvat_file.labels(_file(root)))

    def splits(self, root: str) -> tuple[str, ...]:
        """Return the splits of the subsets; of a single one, train, and val by a fraction."""
        found = _subsets(root)
        if len(found) > 1:
            return tuple(sorted(found.values()))
        return in_order(self._assigned(root).values()) or ("train",)

    def _assigned(self, root: str) -> dict[str, str]:
        file = cvat_file.grouped(_file(root))
        labels = ((_key(one), Slice(FILE, one.id, file.shapes(one))) for one in file.images)
        return self.assigned(root, {_key(one): path for one, path in _images(root)}, labels)

    def samples(self, root: str, split: str) -> Iterator[Sample]:
        """Yield the images of a split in the order of the file."""
        subsets = _subsets(root)
        places = self._assigned(root) if len(subsets) == 1 else {}
        file = cvat_file.grouped(_file(root))
        for image, path in _images(root):
            key = _key(image)
            if (places[key] if places else subsets[image.subset]) == split:
                yield Sample(key, path, Slice(FILE, image.id, file.shapes(image)))

    def findings(self, root: str, split: str, samples: Iterable[Sample]) -> list[Finding]:
        """Find shapes without a mask, images without shapes, and pictures that are not listed.

        They are reported with the first split.
        """
        splits = self.splits(root)
        if split != splits[0]:
            return []
        file, path = cvat_file.grouped(_file(root)), _file(root)
        found = [
            Finding(
                "source",
                split,
                f"{path}: found shapes of the type {kind} ({count:,}), which give no mask: their "
                "pixels are those of what is below; draw polygons or masks instead",
            )
            for kind, count in sorted(file.others.items())
        ]
        bare = [image.name for image in file.images if not image.areas]
        if bare:
            text = (
                f"images without a polygon or mask ({len(bare):,}), such as {bare[0]}: background"
            )
            found.append(Finding("source", split, f"{path}: {text}"))
        used = {image for _, image in _images(root)}
        found += (
            Finding("stray", split, f"{storage.join(root, one)}: {FILE} does not name it")
            for one in walk(root, "")
            if is_picture(one) and one not in used
        )
        keys = (sample.key for sample in samples)
        divided = sorted(splits) if len(_subsets(root)) > 1 else []
        return [*leaks(self, root, split, keys, divided, self.group), *found]

    def shown(self, data: bytes, path: str) -> Iterable[int]:
        """Return the classes of an image's polygons and masks."""
        labels = (one.get("label", "") for one in json.loads(data)["shapes"])
        return named(labels, _values(self.classes))

    def compose(
        self, parts: Sequence[bytes], names: Sequence[Part], size: tuple[int, int]
    ) -> "Label":
        """Return the plane of an image's polygons and masks."""
        from dsbuild.images import labels
        from dsbuild.shapes import overlap

        document = json.loads(parts[0])
        height, width = document["size"]
        shapes = [(_order(one, i), i, one) for i, one in enumerate(document["shapes"], 1)]
        shapes.sort(key=lambda shape: shape[:2])
        drawn = (self._shape(one, i, (height, width)) for _, i, one in shapes)
        return labels.of(overlap.plane(drawn, (height, width), self.overlap, 0, 255))

    def _shape(self, one: Mapping[str, str], number: int, size: tuple[int, int]) -> "Shape":
        from dsbuild.shapes.overlap import Shape

        label = one.get("label", "")
        name = f"{one['kind']} {number} ({label})"
        value = _values(self.classes).get(label)
        if value is None:
            raise ImageError(
                f"{name}: the classes do not have this label; add it, or correct it"
                f"{nearest(label, self.classes)}",
                kind="values",
            )
        try:
            mask, corner = _patch(one, size)
            return Shape(mask, value, name, corner=corner)
        except ImageError as error:
            raise ImageError(f"{name}: {error}", kind=error.kind) from error


@functools.cache
def _values(classes: tuple[str, ...]) -> Mapping[str, int]:
    return {name: i for i, name in enumerate(classes)}


def _order(one: Mapping[str, str], number: int) -> int:
    text = one.get("z_order", "0")
    if not re.fullmatch(r"-?\d{1,9}", text, re.ASCII):
        raise ImageError(f"{one['kind']} {number}: found z_order {text!r}; expected a whole number")
    return int(text)


def _patch(one: Mapping[str, str], size: tuple[int, int]) -> "Patch":
    from dsbuild.shapes import coco, runs

    if one["kind"] == "polygon":
        text = one.get("points", "")
        try:
            pairs = [[float(value) for value in pair.split(",")] for pair in text.split(";")]
        except ValueError:
            pairs = [[]]
        if any(len(pair) != 2 for pair in pairs):
            raise ImageError(f"found the points {text[:40]!r}; expected x,y;x,y;... in pixels")
        return runs.Patch(coco.polygon([value for pair in pairs for value in pair], size))
    left, top, width, height = (
        _whole(one.get(side, ""), side) for side in ("left", "top", "width", "height")
    )
    if not width or not height:
        raise ImageError(f"found a box of {width} x {height} pixels, which gives no pixel")
    counts = [_whole(count.strip(), "a count of rle") for count in one.get("rle", "").split(",")]
    return runs.cvat(counts, (left, top, width, height), size)


def _whole(text: str, what: str) -> int:
    if not re.fullmatch(r"\d{1,12}", text, re.ASCII):
        raise ImageError(f"found {text[:20]!r} as {what}; expected a whole number")
    return int(text)


def _file(root: str) -> str:
    return storage.join(root, FILE)


def _key(image: Image) -> str:
    return composed(posixpath.splitext(image.name)[0])


def _subsets(root: str) -> dict[str, str]:
    """Return subset -> split: its usual name, or its own if two would have the same."""
    names = dict.fromkeys(image.subset for image in cvat_file.grouped(_file(root)).images)
    usual = {name: _split(name) for name in names}
    if len({*usual.values()}) < len(usual):
        return {name: re.sub(r"[^\w-]", "_", name or "default", flags=re.ASCII) for name in names}
    return usual


def _split(subset: str) -> str:
    """Return the name of a split; `default` is what CVAT calls a task without subsets.

    >>> _split("Validation"), _split("default")
    ('val', 'train')
    """
    return "train" if subset in ("", "default") else called(subset)


def _images(root: str) -> Iterator[tuple[Image, str]]:
    """Yield the images of the file with their paths below root."""
    places: dict[str, str] = {}
    images = cvat_file.grouped(_file(root)).images
    first: dict[str, list[str]] = {}
    for image in images:
        some = first.setdefault(image.subset, [])
        if len(some) < _TRIED:
            some.append(image.name)
    for subset, names in first.items():
        places[subset] = _place(root, subset, names)
    for image in images:
        yield image, posixpath.join(places[image.subset], image.name)


def _place(root: str, subset: str, names: Sequence[str]) -> str:
    """Return the folder that has the images of a subset, relative to root."""
    inner = subset or "default"
    tried = (f"images/{inner}", "images", inner, "")
    for place in tried:
        paths = [storage.join(root, place, name) for name in names]
        if any(stamp is not None for stamp in storage.stamps(paths)):
            return place
    raise LayoutError(
        f"{_file(root)}: found no image {names[0]} in {', '.join(filter(None, tried))} or beside "
        "the file; export it with its images, or put them there"
    )
