"""COCO: objects as polygons or run lengths, in one JSON file per split.

    annotations/instances_{train,val}2017.json         things: polygons and run lengths
    annotations/stuff_{train,val}2017.json             stuff: run lengths
    annotations/panoptic_{train,val}2017.json          both: a PNG of segments per image, in the
    annotations/panoptic_{train,val}2017/*.png         folder of the same name
    {train,val}2017/<12 digits>.jpg                    images; also below images/
    <split>/_annotations.coco.json                     as Roboflow exports it
    <name>.json, images/                               as other tools do

An object is drawn as pycocotools draws it, in the order of the file; options say who wins where
objects overlap. Class 0 is the background, and the categories follow by their ids.

Sources: Lin et al., Microsoft COCO, ECCV 2014; cocoapi (common/maskApi.c).
"""

import functools
import json
import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from dsbuild import storage
from dsbuild.errors import LayoutError, PlanError
from dsbuild.fields import field
from dsbuild.layouts import coco_file, coco_labels, coco_panoptic, panoptic
from dsbuild.layouts.base import Layout
from dsbuild.layouts.coco_file import Grouped, Image, grouped, read_categories
from dsbuild.layouts.coco_tree import Source, folder_of, recognised, sources, unlisted
from dsbuild.layouts.division import Divided, leaks
from dsbuild.layouts.finding import Finding
from dsbuild.layouts.folders import composed, require
from dsbuild.layouts.panoptic import Panoptic
from dsbuild.layouts.recognition import PUBLISHED, Recognised, listed
from dsbuild.layouts.sample import Label as Named
from dsbuild.layouts.sample import Part, Sample, Slice

if TYPE_CHECKING:
    from dsbuild.images.labels import Label

KINDS = ("instances", "stuff", "panoptic")
OVERLAP = ("order", "area", "ignore", "reject")
_PUBLISHED = {"train2017": 118287, "val2017": 5000}
_MOST = 255  # classes, of which 255 is the ignore value


@dataclass(frozen=True, kw_only=True)
class Coco(Divided, Panoptic, Layout):
    """COCO; its instances, stuff or panoptic segments as one plane of classes."""

    name: ClassVar[str] = "coco"
    title: ClassVar[str] = "COCO"
    source: ClassVar[str] = "the folder that holds annotations and images"
    draws: ClassVar[bool] = True
    usual_divisor: ClassVar[int] = 256

    labels: str = field(
        "auto",
        "Read annotations/instances_*.json, stuff_*.json, or panoptic_*.json with its PNGs. auto: "
        "instances, or panoptic with --target panoptic.",
        choices=("auto", *KINDS),
    )
    annotations: str = field("", "Read this one JSON file, a path below SOURCE.")
    images: str = field("", "Folder of images below SOURCE. Default: it is looked for.")
    overlap: str = field(
        "order",
        "Who wins where objects of several classes overlap: the later one in the file; the smaller "
        "area; nobody, and the pixels are ignored; or reject the sample.",
        choices=OVERLAP,
    )
    crowd: str = field(
        "auto",
        "What a crowd (iscrowd) is: its class, or ignored. auto: its class, or ignored with "
        "--target panoptic.",
        choices=("auto", "class", "ignore"),
    )
    categories: tuple[tuple[int, str], ...] = field(
        (),
        "JSON file whose categories are the classes. Default: each file's own.",
        read=read_categories,
    )
    thing_ids: tuple[str, ...] = field(
        (),
        "With --target panoptic: ids or names of the categories whose instances are counted. "
        "Default: those with isthing in the files.",
        option="things",
        omitted=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self._fill()
        self.check_division()
        if self._panoptic and self.overlap != "order":
            raise PlanError(
                f"--overlap {self.overlap}: segments of --labels panoptic cannot overlap; leave it "
                "out"
            )
        if len(self.categories) >= _MOST:
            raise PlanError(
                f"found {len(self.categories):,} categories; expected at most {_MOST - 1}, since "
                "labels have 8 bits and 255 is ignored"
            )

    def _fill(self) -> None:
        """Set what depends on the target; raise PlanError for labels that have no instances."""
        self.fill_divisor()
        if self.labels == "auto":
            self.fill("labels", "panoptic" if self.is_panoptic else "instances")
        if self.crowd == "auto":
            self.fill("crowd", "ignore" if self.is_panoptic else "class")
        if self.is_panoptic and self.labels != "panoptic":
            raise PlanError(f"--target panoptic: found --labels {self.labels}, expected panoptic")
        if self.thing_ids and not self.is_panoptic:
            raise PlanError("--things: expected only with --target panoptic")

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the categories by their ids, after the background or after void if any."""
        names = coco_file.names(self.categories, not self._panoptic)[0]
        return panoptic.named(names) if self.is_panoptic else names

    @property
    def ignore(self) -> int:
        """The value of pixels without a class: 0 if labels are panoptic, else 255."""
        return 0 if self.is_panoptic else 255

    @property
    def things(self) -> tuple[int, ...]:
        """The classes with instances."""
        index = coco_labels.indices(self.categories, not self._panoptic)
        ids = coco_labels.ids(self.thing_ids, self.categories)
        return tuple(sorted(index[one] + 1 for one in ids))

    @property
    def _panoptic(self) -> bool:
        return self.labels == "panoptic"

    def find(self, source: str | None) -> str:
        """Return the folder that holds the JSON files."""
        for start in [source] if source is not None else [".", "data", "data/coco"]:
            for folder in (start, storage.join(start, "coco")):
                if storage.is_folder(folder) and self._sources(folder):
                    return storage.normal(folder)
        require(source)
        raise LayoutError(
            f"{source or '. and ./data'}: found no annotations/{self.labels}_*.json, nor another "
            f"JSON file with images, annotations and categories; name {self.source}: "
            "dsbuild coco SOURCE"
        )

    def _sources(self, root: str) -> tuple[Source, ...]:
        if not self.annotations:
            return sources(root, self.labels)
        path = storage.join(root, self.annotations)
        if storage.stamp(path) is None:
            raise LayoutError(storage.missing(path))
        stem = posixpath.basename(self.annotations).removesuffix(".json")
        return (Source(self.annotations, "", stem.removeprefix(f"{self.labels}_")),)

    @classmethod
    def recognise(cls, path: str, given: Mapping[str, str], /) -> Recognised:
        """Recognise JSON files with the lists of COCO."""
        kinds = ["panoptic"] if given.get("target") == "panoptic" else [*KINDS]
        kinds = [given["labels"]] if given.get("labels", "auto") != "auto" else kinds
        try:
            kind, found = recognised(path, kinds)
        except LayoutError as error:
            return cls.seen(0, str(error))
        if not found:
            return cls.seen(0, "no JSON file with images, annotations and categories")
        usual = kind == "instances" or given.get("target") == "panoptic"
        options = {} if usual else {"labels": kind}
        names = listed([one.path for one in found])
        return cls.seen(PUBLISHED, f"{cls.title}: {names}", options=options)

    def bind(self, root: str) -> "Coco":
        """Return the layout with the categories of the files, which must be the same in all."""
        paths = [storage.join(root, source.path) for source in self._sources(root)]
        known = self.categories or coco_file.common(paths)
        things = self.thing_ids
        if self.is_panoptic and not things:
            found = {one for path in paths for one in coco_file.things(path)}
            things = tuple(str(one) for one, _ in known if one in found)
        coco_labels.ids(things, known)
        return replace(self, categories=known, thing_ids=things)

    def splits(self, root: str) -> tuple[str, ...]:
        """Return the splits of the files; of one file for all, train, and val by a fraction."""
        found = [source.split for source in self._sources(root)]
        if found == [""]:
            return ("train", "val") if self.val_fraction else ("train",)
        return tuple(sorted(found))

    def samples(self, root: str, split: str) -> Iterator[Sample]:
        """Yield the images of a split in the order of its file."""
        source, file = self._grouped(root, split)
        first = [image.file_name for image, _ in zip(file.images, range(5), strict=False)]
        if not first:
            raise LayoutError(f"{storage.join(root, source.path)}: found no image in it")
        folder = folder_of(root, source, first, self.images, file.above)
        every = () if source.split else file.images
        paths = {_key(image): posixpath.join(folder, image.file_name) for image in every}
        labels = ((_key(image), _slice(source, image, file)) for image in every)
        places = self.assigned(root, paths, labels)
        for image in file.images:
            key = _key(image)
            if source.split or places[key] == split:
                part, png = _slice(source, image, file), self._panoptic
                label: Named = (self._png(root, source, image, file), part) if png else part
                yield Sample(key, posixpath.join(folder, image.file_name), label)

    def _grouped(self, root: str, split: str) -> tuple[Source, Grouped]:
        """Return the file of a split, regrouped; raise LayoutError if it has other categories."""
        found = self._sources(root)
        source = next(one for one in found if one.split in ("", split))
        path = storage.join(root, source.path)
        file = grouped(path, self._panoptic)
        strange = [one for one in file.categories if one not in self.bind(root).categories]
        if strange:
            raise LayoutError(
                f"{path}: found the category {strange[0][1]!r} (id {strange[0][0]}), which the "
                "categories of this build do not have; name the file that has them all: "
                "--categories FILE"
            )
        return source, file

    def _png(self, root: str, source: Source, image: Image, file: Grouped) -> str:
        """Return the PNG of an image's segments, relative to root; it may be missing."""
        found = json.loads(file.annotations(image))["annotations"]
        expected = posixpath.splitext(posixpath.basename(image.file_name))[0] + ".png"
        folder = coco_panoptic.folder(root, source.path)
        return posixpath.join(folder, found[0]["file"] if found else expected)

    def published(self, root: str) -> Mapping[str, int]:
        """Return the published number of images, if the files have the published names."""
        return {
            one.split: _PUBLISHED[one.folder]
            for one in self._sources(root)
            if one.folder in _PUBLISHED and one.path.startswith("annotations/")
        }

    def findings(self, root: str, split: str, samples: Iterable[Sample]) -> list[Finding]:
        """Find pictures that no file lists, groups that leak, and an id 0 that objects have."""
        first, (source, file) = split == self.splits(root)[0], self._grouped(root, split)
        found = list[Finding]()
        if source.split or first:
            names = [image.file_name for image in file.images]
            folder = folder_of(root, source, names[:5], self.images, file.above)
            found += unlisted(root, split, source, folder, {*names})
        splits = sorted(one.split for one in self._sources(root) if one.split)
        found += leaks(self, root, split, (one.key for one in samples), splits, self.group)
        if first and not self._panoptic:
            texts = coco_labels.id_0(self.bind(root).categories)
            found += (Finding("source", split, text) for text in texts)
        return found

    @property
    def _index(self) -> Callable[[object], int]:
        """What returns the class of a category, where panoptic records add void before it."""
        background = not self._panoptic
        return functools.partial(coco_labels.index, known=self.categories, background=background)

    def shown(self, data: bytes, path: str) -> Iterable[int]:
        """Return the classes of an image's objects or segments, except those of ignored crowds."""
        document, ignores = json.loads(data), self.crowd == "ignore"
        if self._panoptic:
            segments = (one[1:] for one in coco_panoptic.segments(document, path))
            return {self.is_panoptic + i for i in coco_labels.shown(segments, self._index, ignores)}
        objects = ((one["category_id"], one["iscrowd"]) for one in document["annotations"])
        return coco_labels.shown(objects, self._index, ignores) - {0}

    def compose(
        self, parts: Sequence[bytes], names: Sequence[Part], size: tuple[int, int]
    ) -> "Label":
        """Return the plane of an image's objects."""
        from dsbuild.images import labels

        document, ignores = json.loads(parts[-1]), self.crowd == "ignore"
        if self._panoptic:
            segments = coco_panoptic.segments(document, str(names[-1]))
            found = parts[0], segments, self._index, ignores
            if self.divisor is not None:
                return coco_panoptic.label(*found, self.things, self.divisor)
            return labels.of(coco_panoptic.plane(*found))
        height, width = document["size"]
        objects = document["annotations"]
        plane = coco_labels.plane(objects, (height, width), self._index, ignores, self.overlap)
        return labels.of(plane)


def _slice(source: Source, image: Image, file: Grouped) -> Slice:
    return Slice(source.path, image.id, file.annotations(image))


def _key(image: Image) -> str:
    return composed(posixpath.splitext(image.file_name)[0])
