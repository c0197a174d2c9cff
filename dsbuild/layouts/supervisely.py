"""Supervisely: one JSON file of objects per image, in projects of datasets.

    meta.json                          classes: title, shape
    <dataset>/img/<file>               images
    <dataset>/ann/<file>.json          size, and objects: bitmaps and polygons
    <dataset>/datasets/<dataset>/      datasets below others

Objects are drawn in the order of the file, later ones over earlier ones: bitmaps at their origin,
polygons by cv2.fillPoly without their holes. Class 0 is the background, and the classes follow in
the order of meta.json.

Source: Supervisely's SDK (geometry/bitmap.py, geometry/polygon.py). That it rounds coordinates to
whole pixels is not documented.
"""

import functools
import json
import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from dsbuild import storage
from dsbuild.errors import ImageError, LayoutError, PlanError, nearest
from dsbuild.fields import field
from dsbuild.format.split_names import called, role
from dsbuild.layouts.base import Layout
from dsbuild.layouts.class_files import read_names
from dsbuild.layouts.coco import OVERLAP
from dsbuild.layouts.division import Divided, in_order, leaks, named
from dsbuild.layouts.finding import Finding
from dsbuild.layouts.folders import by_key, composed, folders, require, walk
from dsbuild.layouts.recognition import PUBLISHED, Recognised, listed
from dsbuild.layouts.sample import Part, Sample

if TYPE_CHECKING:
    from dsbuild.images.labels import Label
    from dsbuild.shapes.overlap import Shape
    from dsbuild.shapes.runs import Mask

META, BACKGROUND = "meta.json", "background"
_DEPTH = 8  # datasets below each other
_FAR = 1e6  # pixels; coordinates beyond it are refused


@dataclass(frozen=True, kw_only=True)
class Supervisely(Divided, Layout):
    """Supervisely; its bitmaps and polygons as one plane of classes."""

    name: ClassVar[str] = "supervisely"
    title: ClassVar[str] = "Supervisely"
    source: ClassVar[str] = "the folder that holds meta.json and the datasets"
    draws: ClassVar[bool] = True

    names: tuple[str, ...] = field(
        (),
        "File of classes, one per line, in another order than meta.json.",
        option="classes",
        read=read_names,
    )
    overlap: str = field(
        "order",
        "Who wins where objects of several classes overlap: the later one in the file; the smaller "
        "area; nobody, and the pixels are ignored; or reject the sample.",
        choices=OVERLAP,
    )
    others: str = field(
        "reject",
        "Objects that are no bitmap or polygon, such as lines and boxes, have no mask: reject the "
        "sample, or leave them out.",
        choices=("reject", "leave-out"),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_division()
        if len(self.classes) > 255:
            raise PlanError(f"found {len(self.classes)} classes; expected at most 255")

    @property
    def classes(self) -> tuple[str, ...]:
        """The background, then the classes."""
        return (BACKGROUND, *(name for name in self.names if name != BACKGROUND))

    def find(self, source: str | None) -> str:
        """Return the folder that holds meta.json and datasets."""
        for start in [source] if source is not None else [".", "data"]:
            if storage.is_folder(start) and _is_project(start):
                return storage.normal(start)
        require(source)
        raise LayoutError(
            f"{source or '. and ./data'}: found no {META} beside datasets with img and ann; name "
            f"{self.source}: dsbuild supervisely SOURCE"
        )

    @classmethod
    def recognise(cls, path: str, _given: Mapping[str, str], /) -> Recognised:
        """Recognise a meta.json beside folders that have img and ann."""
        if storage.is_folder(path) and _is_project(path):
            return cls.seen(PUBLISHED, f"{cls.title}: {META}, datasets {listed(_datasets(path))}")
        return cls.seen(0, f"no {META} beside datasets with img and ann")

    def bind(self, root: str) -> "Supervisely":
        """Return the layout with the classes of meta.json, unless the user gave some."""
        return self if self.names else replace(self, names=_classes(storage.join(root, META)))

    def splits(self, root: str) -> tuple[str, ...]:
        """Return datasets as splits if one is named after a split; else train, and val by hash."""
        found = _splits(root)
        if found:
            return tuple(sorted({*found.values()}))
        return in_order(self._assigned(root).values()) or ("train",)

    def _assigned(self, root: str) -> dict[str, str]:
        """Return the split of each image by key, if no dataset is named after a split."""
        found = [(one, *image) for one in _datasets(root) for image in _images(root, one)]
        labels = ((key, _label(one, image)) for one, key, image in found)
        return self.assigned(root, {key: image for _, key, image in found}, labels)

    def samples(self, root: str, split: str) -> Iterator[Sample]:
        """Yield the images of a split by dataset and name."""
        found = _splits(root)
        places = {} if found else self._assigned(root)
        for one in _datasets(root):
            for key, image in _images(root, one):
                if (found[one] if found else places[key]) == split:
                    yield Sample(key, image, _label(one, image))

    def findings(self, root: str, split: str, samples: Iterable[Sample]) -> list[Finding]:
        """Find labels without an image, and groups that leak, with the first split."""
        splits = self.splits(root)
        if split != splits[0]:
            return []
        found: list[Finding] = []
        for one in _datasets(root):
            named = {_label(one, image) for _, image in _images(root, one)}
            found += (
                Finding("label-alone", split, storage.join(root, path))
                for path in walk(root, f"{one}/ann")
                if path.endswith(".json") and path not in named
            )
        divided = splits if _splits(root) else ()
        return [*leaks(self, root, split, (s.key for s in samples), divided, self.group), *found]

    def shown(self, data: bytes, path: str) -> Iterable[int]:
        """Return the classes of the objects in a JSON file that have a mask.

        There are none if the classes of other objects, which may have to be left out, are unknown.
        """
        found = [
            (composed(str(one.get("classTitle"))), str(one.get("geometryType")) in _DRAWN)
            for one in _read(data)[1]
        ]
        values = _values(self.classes)
        refused = self.others == "reject" and not all(drawn for _, drawn in found)
        if refused or not all(label in values for label, _ in found):
            return ()
        return named((label for label, drawn in found if drawn), values)

    def compose(
        self, parts: Sequence[bytes], names: Sequence[Part], size: tuple[int, int]
    ) -> "Label":
        """Return the plane of an image's bitmaps and polygons."""
        from dsbuild.images import labels
        from dsbuild.shapes import overlap

        sides, objects = _read(parts[0])
        if not all(type(side) is int and 0 < side < 1 << 16 for side in sides):
            raise ImageError(f"found the size {sides!r:.80}; expected height and width in pixels")
        size = (sides[0], sides[1])  # if the image has another size, the build says so
        shapes = (self._shape(one, i, size) for i, one in enumerate(objects, 1))
        drawn = (shape for shape in shapes if shape is not None)
        return labels.of(overlap.plane(drawn, size, self.overlap, 0, 255))

    def _shape(self, one: Mapping[str, Any], number: int, size: tuple[int, int]) -> "Shape | None":
        from dsbuild.shapes.overlap import Shape

        label = composed(str(one.get("classTitle")))
        name = f"object {number} ({label})"
        value = _values(self.classes).get(label)
        if value is None:
            raise ImageError(
                f"{name}: the classes do not have it; add it to {META}, or correct the object"
                f"{nearest(label, self.classes)}",
                kind="values",
            )
        draw = _DRAWN.get(str(one.get("geometryType")))
        if draw is None and self.others == "leave-out":
            return None
        if draw is None:
            raise ImageError(
                f"{name}: found the type {one.get('geometryType')!r:.40}, which gives no mask; "
                "expected a bitmap or a polygon; --others leave-out builds without such objects"
            )
        try:
            return Shape(draw(one, size), value, name)
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise ImageError(f"{name}: found no points or bitmap ({error!r:.80})") from error
        except ImageError as error:
            raise ImageError(f"{name}: {error}", kind=error.kind) from error


def _read(data: bytes) -> tuple[list[Any], list[dict[str, Any]]]:
    """Return the height, width and objects in a JSON file; raise ImageError if it is another."""
    try:
        document = json.loads(data)
        sides = [document["size"][side] for side in ("height", "width")]
        return sides, [dict(one) for one in document["objects"]]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ImageError(
            f"no JSON of Supervisely ({error!r:.80}); expected size and objects"
        ) from error


@functools.cache
def _values(classes: tuple[str, ...]) -> Mapping[str, int]:
    return {name: i for i, name in enumerate(classes)}


def _bitmap(one: Mapping[str, Any], size: tuple[int, int]) -> "Mask":
    from dsbuild.shapes import bitmap

    left, top = one["bitmap"]["origin"]
    return bitmap.mask(one["bitmap"]["data"], (left, top), size)


def _polygon(one: Mapping[str, Any], size: tuple[int, int]) -> "Mask":
    import numpy as np

    from dsbuild.shapes import opencv

    def drawn(found: Any) -> "Mask":
        points = np.array([(float(x), float(y)) for x, y in found]).reshape(-1, 2)
        if len(points) < 3:
            raise ImageError(f"found a polygon of {len(points)} points; expected 3 or more")
        if not (np.abs(points) <= _FAR).all():
            raise ImageError("found a polygon with coordinates far outside the image")
        return opencv.mask(np.rint(points), size)

    whole = drawn(one["points"]["exterior"])
    for hole in one["points"].get("interior") or ():
        whole = whole & ~drawn(hole)
    return whole


_DRAWN = {"bitmap": _bitmap, "polygon": _polygon}


def _is_project(root: str) -> bool:
    return storage.stamp(storage.join(root, META)) is not None and bool(_datasets(root))


def _datasets(root: str, above: str = "", depth: int = _DEPTH) -> list[str]:
    """Return the paths of the datasets below a folder, relative to root."""
    found = []
    for name in folders(root, above):
        one = f"{above}/{name}" if above else name
        if all(storage.is_folder(storage.join(root, one, inner)) for inner in ("img", "ann")):
            found.append(one)
        if depth and storage.is_folder(storage.join(root, one, "datasets")):
            found += _datasets(root, f"{one}/datasets", depth - 1)
    return found


def _splits(root: str) -> dict[str, str]:
    """Return dataset -> split, if one of the datasets at the top is named after a split."""
    found = _datasets(root)
    tops = {one: one.partition("/")[0] for one in found}
    return {one: called(top) for one, top in tops.items()} if any(map(role, tops.values())) else {}


def _images(root: str, dataset: str) -> Iterator[tuple[str, str]]:
    """Yield keys and paths of the images of a dataset."""
    name = composed("/".join(part for part in dataset.split("/datasets/")))
    for key, image in by_key(root, f"{dataset}/img").items():
        yield f"{name}/{key}", image


def _label(dataset: str, image: str) -> str:
    return posixpath.join(dataset, "ann", f"{image.removeprefix(f'{dataset}/img/')}.json")


def _classes(path: str) -> tuple[str, ...]:
    """Return the titles of the classes in a meta.json."""
    try:
        found = json.loads(storage.read(path)[0])["classes"]
        titles = [composed(one["title"]) for one in found]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise LayoutError(
            f"{path}: found no classes ({error!r:.80}); expected those of Supervisely with titles"
        ) from error
    if not titles or len({*titles}) < len(titles):
        raise LayoutError(f"{path}: found {len(titles)} classes; expected different titles")
    return tuple(titles)
