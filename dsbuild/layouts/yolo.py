"""YOLO: polygons in one text file per image, as Ultralytics and Roboflow write them; or masks.

    data.yaml                                 names: the classes by index
    images/<split>/<key>.jpg                  labels/<split>/<key>.txt
    <split>/images/<key>.jpg                  <split>/labels/<key>.txt        Roboflow
    images/<split>/<key>.jpg                  masks/<split>/<key>.png         masks, 255 ignored

A line is `class x1 y1 x2 y2 ...`, relative to width and height. Polygons are drawn as Ultralytics
draws them: by cv2.fillPoly, cut to whole pixels, the largest first. The class `background` follows
the classes. A picture without a text file is all background.

Source: Ultralytics 8.4 (data/utils.py, data/dataset.py).
"""

import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from dsbuild import storage
from dsbuild.errors import ImageError, LayoutError, PlanError
from dsbuild.fields import field
from dsbuild.layouts import yolo_yaml
from dsbuild.layouts.base import Layout
from dsbuild.layouts.coco import OVERLAP
from dsbuild.layouts.division import Divided, in_order, leaks
from dsbuild.layouts.finding import Finding
from dsbuild.layouts.folders import by_key, elsewhere, is_picture, require, stem, twice, walk
from dsbuild.layouts.joining import joined
from dsbuild.layouts.naming import unique
from dsbuild.layouts.recognition import PUBLISHED, Recognised, listed
from dsbuild.layouts.sample import ABSENT, Part, Sample, Slice
from dsbuild.layouts.written import OTHERS
from dsbuild.layouts.yolo_folders import Pair, ending_in, pairs
from dsbuild.layouts.yolo_lines import polygons

if TYPE_CHECKING:
    from dsbuild.images.labels import Label
    from dsbuild.shapes.overlap import Shape

BACKGROUND = "background"


@dataclass(frozen=True, kw_only=True)
class Yolo(Divided, Layout):
    """YOLO segmentation; its polygons as one plane, or its masks."""

    name: ClassVar[str] = "yolo"
    title: ClassVar[str] = "YOLO segmentation"
    source: ClassVar[str] = "the folder that holds data.yaml, images and labels"
    draws: ClassVar[bool] = True
    oriented: ClassVar[range] = range(2, 9)

    labels: str = field(
        "auto",
        "Read polygons from labels/*.txt, or masks/*.png. auto: masks, if there is such a folder.",
        choices=("auto", "polygons", "masks"),
    )
    names: tuple[str, ...] = field(
        (),
        "YAML file whose names are the classes. Default: the one in SOURCE.",
        option="classes",
        read=yolo_yaml.classes,
    )
    mapping: tuple[tuple[int, int], ...] = field(
        (),
        "YAML file whose label_mapping says which class each value of a mask is. Default: the one "
        "in SOURCE.",
        option="label_mapping",
        read=yolo_yaml.mapping,
        omitted=True,
    )
    overlap: str = field(
        "area",
        "Who wins where objects of several classes overlap: the later one in the file; the smaller "
        "area; nobody, and the pixels are ignored; or reject the sample.",
        choices=OVERLAP,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_division()
        if len(self.names) > 254:
            raise PlanError(f"found {len(self.names)} classes; expected at most 254")
        wrong = [new for _, new in self.mapping if self.names and not _fits(new, len(self.names))]
        if wrong:
            raise PlanError(
                f"label_mapping: found the class {wrong[0]}; expected 0 to {len(self.names) - 1}, "
                "or ignore_label"
            )

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes by index; for polygons, the background after them."""
        if self.labels == "masks":
            return self.names
        taken = BACKGROUND in self.names
        return (*self.names, f"{BACKGROUND} ({len(self.names)})" if taken else BACKGROUND)

    def find(self, source: str | None) -> str:
        """Return the folder that holds images and labels."""
        for start in [source] if source is not None else [".", "data", "datasets"]:
            if storage.is_folder(start) and pairs(start, self.labels):
                return storage.normal(start)
        require(source)
        raise LayoutError(
            f"{source or '. and ./data'}: found no images with labels/*.txt or masks/*.png beside "
            f"them; name {self.source}: dsbuild yolo SOURCE"
        )

    @classmethod
    def recognise(cls, path: str, given: Mapping[str, str], /) -> Recognised:
        """Recognise a YAML file of names beside images and text files, or masks."""
        yaml = yolo_yaml.file(path) if storage.is_folder(path) else None
        found = pairs(path, given.get("labels", "auto")) if yaml else {}
        if not found or yaml is None:
            return cls.seen(0, "no YAML file with names beside images and labels")
        robo = b"roboflow" in storage.read(yaml)[0].lower()
        where = " of Roboflow" if robo else ""
        splits = listed([split or "train" for split in found])
        return cls.seen(PUBLISHED, f"{cls.title}{where}: {storage.name(yaml)}, {splits}")

    def bind(self, root: str) -> "Yolo":
        """Return the layout with the classes of the YAML file, and what the labels are."""
        yaml = yolo_yaml.file(root)
        if not self.names and yaml is None:
            raise LayoutError(
                f"{root}: found no data.yaml with the names of the classes; name one: --classes "
                "FILE"
            )
        names = self.names or yolo_yaml.classes(yaml or "")
        known = yolo_yaml.read(yaml) if yaml else {}
        if "kpt_shape" in known:
            raise LayoutError(
                f"{yaml}: found kpt_shape, so the labels are boxes with key points; expected "
                "polygons, `class x1 y1 x2 y2 ...`"
            )
        masks = all(pair.labels.endswith(".png") for pair in pairs(root, self.labels).values())
        if self.mapping and not masks:
            raise PlanError("--label-mapping: found polygons, expected masks")
        if not masks:
            return replace(self, names=names, labels="polygons")
        mapping = self.mapping or (yolo_yaml.mapping(yaml) if yaml else ())
        return replace(self, names=names, labels="masks", mapping=mapping)

    def splits(self, root: str) -> tuple[str, ...]:
        """Return the splits that are folders; else train, and val if a fraction is set."""
        found = pairs(root, self.labels)
        if "" not in found:
            return tuple(sorted(found))
        return in_order(self._assigned(root, found[""]).values())

    def _assigned(self, root: str, pair: Pair) -> dict[str, str]:
        """Return the split of each image by key, if no folder divides them."""
        texts = _labels(root, pair) if self.stratify else {}
        return self.assigned(root, by_key(root, pair.images), texts.items())

    def samples(self, root: str, split: str) -> Iterator[Sample]:
        """Yield the images of a split by name, each with its polygons or its mask."""
        found = pairs(root, self.labels)
        pair = found.get(split) or found[""]
        folder, ending = posixpath.splitext(pair.labels)
        if not storage.is_folder(storage.join(root, folder)):
            raise LayoutError(
                f"{storage.join(root, folder)}: there is no such folder; expected the labels of "
                f"{pair.images}; fetch them, {OTHERS}"
            )
        places = {} if split in found else self._assigned(root, pair)
        files = filter(is_picture, walk(root, pair.images))
        photos = ((stem(path, pair.images), path) for path in files)
        for key, images, texts in joined(photos, _texts(root, pair)):
            for same in (texts, images):
                if len(same) > 1:
                    raise LayoutError(twice(root, tuple(same)))
            if not images or places.get(key, split) != split:
                continue
            expected = f"{folder}/{key}{ending}"
            nothing: Part = expected if ending == ".png" else Slice(expected, ABSENT, b"")
            yield Sample(key, images[0], texts[0] if texts else nothing)

    def findings(self, root: str, split: str, samples: Iterable[Sample]) -> list[Finding]:
        """Find labels without an image, groups that leak, and how many pictures have no label."""
        samples = list(samples)
        found = pairs(root, self.labels)
        pair = found.get(split) or found[""]
        folder, ending = posixpath.splitext(pair.labels)
        keys = set(by_key(root, pair.images))
        alone = [
            Finding("label-alone", split, storage.join(root, path))
            for path in ending_in(root, folder, ending)
            if stem(path, folder) not in keys
        ]
        bare = [sample.key for sample in samples if isinstance(sample.label, Slice)]
        if bare:
            text = f"{len(bare):,} pictures, such as {bare[0]}, have no text file: all background"
            alone.append(Finding("source", split, text))
        if split == self.splits(root)[0]:
            used = {one.images for one in found.values()}
            used |= {posixpath.splitext(one.labels)[0] for one in found.values()}
            alone += elsewhere(root, split, used)
            yaml = yolo_yaml.file(root)
            folders = {name: one.images for name, one in found.items()}
            texts = yolo_yaml.contrary(yaml, folders) if yaml else ()
            alone += (Finding("source", split, text) for text in texts)
        splits = sorted(name for name in found if name)
        return [*alone, *leaks(self, root, split, (s.key for s in samples), splits, self.group)]

    def indexed(self, path: str) -> bool:
        """Tell whether a label is a mask that holds the class indices themselves."""
        return path.lower().endswith(".png") and not self.mapping

    def read(self, data: bytes, path: str) -> "Label":
        """Return the classes in a mask; raise ImageError for a value that is not mapped."""
        import numpy as np

        label = super().read(data, path)
        table = {255: 255, **dict(self.mapping)}
        lost = [value for value in label.counts if self.mapping and value not in table]
        if lost:
            raise ImageError(
                f"found the value {lost[0]} ({label.counts[lost[0]]:,} pixels), which "
                f"label_mapping does not have; add it, as in {lost[0]}: ignore_label",
                kind="values",
            )
        whole = np.arange(256, dtype=np.uint8)
        whole[list(table)] = list(table.values())
        return label.through(whole) if self.mapping else label

    def shown(self, data: bytes, path: str) -> Iterable[int]:
        """Return the classes of the polygons in a text file, or those in a mask."""
        if path.lower().endswith(".png"):
            return super().shown(data, path)
        return {value for _, value, _ in polygons(data, len(self.names))}

    def compose(
        self, parts: Sequence[bytes], names: Sequence[Part], size: tuple[int, int]
    ) -> "Label":
        """Return the plane of an image's polygons, or its mask."""
        from dsbuild.images import labels
        from dsbuild.shapes import overlap

        if str(names[0]).lower().endswith(".png"):
            return super().compose(parts, names, size)
        shapes = list(self._shapes(parts[0], size))
        return labels.of(overlap.plane(shapes, size, self.overlap, len(self.names), 255))

    def _shapes(self, data: bytes, size: tuple[int, int]) -> "Iterator[Shape]":
        import numpy as np

        from dsbuild.shapes import opencv
        from dsbuild.shapes.overlap import Shape

        for number, value, points in polygons(data, len(self.names)):
            corners = np.array(points).reshape(-1, 2) * (size[1], size[0])
            mask, corner = opencv.patch(corners, size)
            yield Shape(mask, value, f"line {number}", corner=corner)


def _labels(root: str, pair: Pair) -> dict[str, str]:
    """Return the labels of a split by key; raise LayoutError if two have the same."""
    return unique(root, _texts(root, pair))


def _texts(root: str, pair: Pair) -> Iterator[tuple[str, str]]:
    """Yield key and path of the labels of a split."""
    folder, ending = posixpath.splitext(pair.labels)
    return ((stem(path, folder), path) for path in ending_in(root, folder, ending))


def _fits(value: int, classes: int) -> bool:
    return 0 <= value < classes or value == 255
