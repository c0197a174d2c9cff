"""LabelMe: shapes in one JSON file per image.

    <folders>/<stem>.json             beside <stem>.jpg, or the file that its imagePath names
    <split>/<folders>/<stem>.json     the same, in one folder per split
    labels.txt                        __ignore__, then _background_, then the classes, one per line

Shapes are drawn with Pillow in the order of the file, later ones over earlier ones. A class is its
line in labels.txt, so its index is the same in all files. With --target panoptic, shapes of one
label and one group_id are an object.

Source: LabelMe (labelme2voc: a class's line, counted from -1, is its value; -1 is stored as 255).
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
from dsbuild.format.documents import RepeatedKeyError, once
from dsbuild.format.names import RECEIPT
from dsbuild.layouts import labelme_file, labelme_objects, labelme_shapes
from dsbuild.layouts.base import Layout
from dsbuild.layouts.coco import OVERLAP
from dsbuild.layouts.division import Divided, in_order, leaks, named
from dsbuild.layouts.finding import Finding
from dsbuild.layouts.folders import composed, is_name, is_picture, of_splits, require, twice, walk
from dsbuild.layouts.joining import joined
from dsbuild.layouts.panoptic import Panoptic
from dsbuild.layouts.recognition import PUBLISHED, Glance, Recognised
from dsbuild.layouts.sample import Part, Sample
from dsbuild.layouts.texts import lines

if TYPE_CHECKING:
    from dsbuild.images.labels import Label
    from dsbuild.shapes.overlap import Shape

IGNORED, BACKGROUND, NAMES = "__ignore__", "_background_", "labels.txt"
_SHOWN = 2048  # bytes in which a JSON file of LabelMe shows itself


def read_labels(path: str) -> tuple[str, ...]:
    """Return the classes in a labels.txt, the background first; raise PlanError if it is odd."""
    found = [composed(line) for line in lines(path)]
    names = [name for name in found if name != IGNORED]
    if IGNORED in found[1:] or BACKGROUND in names[1:] or len({*names}) < len(names) or not names:
        raise PlanError(
            f"{path}: expected {IGNORED} in line 1, {BACKGROUND} in line 2, then the classes, one "
            "per line, all different"
        )
    return tuple(names if names[0] == BACKGROUND else [BACKGROUND, *names])


@dataclass(frozen=True, kw_only=True)
class LabelMe(Divided, Panoptic, Layout):
    """LabelMe; its shapes as one plane of classes, or as objects."""

    name: ClassVar[str] = "labelme"
    title: ClassVar[str] = "LabelMe"
    source: ClassVar[str] = "the folder that holds the JSON files beside their images"
    default: ClassVar[str] = "it is the current folder"
    draws: ClassVar[bool] = True
    oriented: ClassVar[range] = range(2, 5)  # from 5 on, the sides that its files name differ

    names: tuple[str, ...] = field(
        (),
        "File of classes, one per line, as LabelMe's labels.txt. Default: SOURCE/labels.txt.",
        option="classes",
        read=read_labels,
    )
    overlap: str = field(
        "order",
        "Who wins where shapes of several classes overlap: the later one in the file; the smaller "
        "area; nobody, and the pixels are ignored; or reject the sample.",
        choices=OVERLAP,
    )
    thing_names: tuple[str, ...] = field(
        (),
        "With --target panoptic: names of the classes whose instances are counted. Default: all "
        "but the background.",
        option="things",
        omitted=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.fill_divisor()
        if self.thing_names and not self.is_panoptic:
            raise PlanError("--things: expected only with --target panoptic")
        self.check_division()
        if len(self.names) > 255:
            raise PlanError(f"found {len(self.names)} classes; expected at most 255")

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes by index, the background first."""
        return self.names or (BACKGROUND,)

    @property
    def things(self) -> tuple[int, ...]:
        """The classes with instances."""
        return labelme_objects.things(self.thing_names, self.classes)

    def find(self, source: str | None) -> str:
        """Return SOURCE, or `.`, if it has JSON files of LabelMe."""
        root = storage.normal(source or ".")
        require(source)
        if next(_annotations(root), None) is None:
            raise LayoutError(
                f"{root}: found no JSON file; expected those of LabelMe beside images"
            )
        return root

    @classmethod
    def recognise(cls, path: str, given: Mapping[str, str], /) -> Recognised:
        """Recognise JSON files beside pictures of the same stems, by what one of them holds."""
        glance = Glance()
        for place in (path, *(storage.join(path, name) for name in glance.folders(path)[:4])):
            stems = {posixpath.splitext(name)[0] for name in glance.pictures(place)}
            for name in glance.files(place):
                if name.endswith(".json") and name[:-5] in stems:
                    if b'"shapes"' not in storage.read_part(storage.join(place, name), 0, _SHOWN):
                        break
                    said = "classes" in given or storage.stamp(storage.join(path, NAMES))
                    needs = "" if said else "--classes FILE, the names of the classes"
                    number = glance.count(place)
                    text = f"{cls.title}: {name} and others beside {number}"
                    return cls.seen(PUBLISHED, text, needs=needs)
        return cls.seen(0, "no JSON files with shapes beside pictures")

    def bind(self, root: str) -> "LabelMe":
        """Return the layout with the classes of labels.txt, unless the user gave some."""
        path, names = storage.join(root, NAMES), self.names
        if not names and storage.stamp(path) is None:
            raise LayoutError(
                f"{path}: there is no such file; name a file of classes, one per line: --classes "
                "FILE"
            )
        names = names or read_labels(path)
        labelme_objects.things(self.thing_names, names)
        return replace(self, names=names)

    def splits(self, root: str) -> tuple[str, ...]:
        """Return folders named after splits; else train, and val if a fraction is set."""
        found = _splits(root)
        if found:
            return tuple(sorted(found))
        return in_order(self._assigned(root).values())

    def _assigned(self, root: str) -> dict[str, str]:
        """Return the split of each JSON file, without its ending, if no folder divides them."""
        found = [*_images(root)]
        labels = ((_stem(path), path) for path, _ in found)
        return self.assigned(root, {_stem(path): image for path, image in found}, labels)

    def samples(self, root: str, split: str) -> Iterator[Sample]:
        """Yield the JSON files of a split by name, each with its image."""
        inner = _splits(root).get(split)
        places = {} if inner else self._assigned(root)
        for path, image in _images(root):
            stem = _stem(path)
            if path.startswith(f"{inner}/") if inner else places[stem] == split:
                yield Sample(
                    composed(stem.removeprefix(f"{inner}/") if inner else stem), image, path
                )

    def findings(self, root: str, split: str, samples: Iterable[Sample]) -> list[Finding]:
        """Find pictures without a JSON file and groups that leak, with the first split."""
        if split != self.splits(root)[0]:
            return []
        used = {image for _, image in _images(root)}
        keys, splits = (sample.key for sample in samples), sorted(_splits(root))
        return [
            *leaks(self, root, split, keys, splits, self.group),
            *(
                Finding("stray", split, f"{storage.join(root, path)}: it has no JSON file")
                for path in walk(root, "")
                if is_picture(path) and path not in used
            ),
        ]

    def shown(self, data: bytes, path: str) -> Iterable[int]:
        """Return the classes of the shapes in a JSON file."""
        _, shapes = _read(data)
        return named((composed(str(one.get("label"))) for one in shapes), _values(self.classes))

    def compose(
        self, parts: Sequence[bytes], names: Sequence[Part], size: tuple[int, int]
    ) -> "Label":
        """Return the plane of an image's shapes."""
        from dsbuild.images import labels
        from dsbuild.shapes import overlap

        document, shapes = _read(parts[0])
        sides: list[Any] = [document.get("imageHeight"), document.get("imageWidth")]
        if all(type(side) is int and 0 < side < 1 << 16 for side in sides):
            size = (sides[0], sides[1])  # if the image has another size, the build says so
        labelme_file.refuse_other(document.get("imageData"), size)
        drawn = (self._shape(one, i, size) for i, one in enumerate(shapes, 1))
        if self.divisor is not None:
            groups = [one.get("group_id") for one in shapes]
            found = drawn, groups, size, self.overlap, self.things, self.divisor
            return labelme_objects.label(*found)
        return labels.of(overlap.plane(drawn, size, self.overlap, 0, 255))

    def _shape(self, one: dict[str, Any], number: int, size: tuple[int, int]) -> "Shape":
        from dsbuild.shapes.overlap import Shape

        label = composed(str(one.get("label")))
        name = f"shape {number} ({label})"
        if label != IGNORED and label not in self.classes:
            raise ImageError(
                f"{name}: the classes do not have it; add it to {NAMES}, or correct the label"
                f"{nearest(label, self.classes)}",
                kind="values",
            )
        try:
            return Shape(labelme_shapes.mask(one, size), _values(self.classes)[label], name)
        except (TypeError, ValueError, LookupError, AttributeError, OverflowError) as error:
            raise ImageError(f"{name}: found no points or mask ({error!r:.80})") from error
        except ImageError as error:
            raise ImageError(f"{name}: {error}", kind=error.kind) from error


def _read(data: bytes) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the object in a JSON file, and its shapes; raise ImageError if it is another one."""
    try:
        document = json.loads(data, object_pairs_hook=once)
        return document, [dict(shape) for shape in document["shapes"]]
    except RepeatedKeyError as error:
        raise ImageError(
            f"found the key {error.key!r} twice in an object; expected each key once"
        ) from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ImageError(f"no JSON of LabelMe ({error!r:.80}); expected shapes") from error


@functools.cache
def _values(classes: tuple[str, ...]) -> Mapping[str, int]:
    return {IGNORED: 255} | {name: i for i, name in enumerate(classes)}


def _stem(path: str) -> str:
    return posixpath.splitext(path)[0]


def _images(root: str) -> Iterator[tuple[str, str]]:
    """Yield the JSON files with their images: those of the same stem, or those that they name."""
    files = ((_stem(path), path) for path in _annotations(root))
    photos = ((_stem(path), path) for path in filter(is_picture, walk(root, "")))
    for _, paths, same in joined(files, photos):
        for path in paths:
            image = same[0] if len(same) == 1 else _named(root, path)
            if same and image not in same:
                raise LayoutError(twice(root, tuple(same)))
            yield path, image


def _annotations(root: str) -> Iterator[str]:
    """Yield the JSON files below root, by name, but the receipt of an export."""
    files = (path for path in walk(root, "") if path != RECEIPT)
    return (path for path in files if path.lower().endswith(".json"))


def _splits(root: str) -> dict[str, str]:
    """Return split -> folder, for folders named after splits that have JSON files.

    Raises LayoutError if there are JSON files in other places, too.
    """
    above = dict[str, str]()  # folder below root, if any -> its first file
    for path in _annotations(root):
        above.setdefault(path.rpartition("/")[0].partition("/")[0], path)
    found = {split: name for split, name in of_splits(root).items() if name in above}
    outside = (path for name, path in above.items() if name not in found.values())
    first = next(outside, None) if found else None
    if first:
        raise LayoutError(
            f"{storage.join(root, first)}: found it beside {' and '.join(found.values())}, which "
            "have names of splits; expected all JSON files in folders of splits; move it"
        )
    return found


def _named(root: str, path: str) -> str:
    """Return the image that a JSON file names, relative to root."""
    try:
        named = json.loads(storage.read(storage.join(root, path))[0])["imagePath"]
        if is_name(named):
            named = posixpath.join(posixpath.dirname(path), named.replace("\\", "/"))
            return posixpath.normpath(named)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        pass
    return f"{_stem(path)}.jpg"  # the audit says that it is missing
