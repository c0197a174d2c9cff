"""Cityscapes: street scenes, labelled by polygons.

    leftImg8bit/<split>/<city>/<key>_leftImg8bit.png        2048 x 1024
    gtFine/<split>/<city>/<key>_gtFine_polygons.json
    gtFine/<split>/<city>/<key>_gtFine_labelIds.png         values 0..33
    gtFine/<split>/<city>/<key>_gtFine_labelTrainIds.png    0..18 and 255; made by users
    gtFine/<split>/<city>/<key>_gtFine_instanceIds.png      for --target panoptic
    gtCoarse/{train,train_extra,val}/...

Or where the zips are unpacked, see `city_folders`. Images may be copies in JPEG or of another size,
which polygons are drawn to.

A key is `<city>_<sequence>_<frame>`, as DeepLab writes it to image/filename.

Sources: Cordts et al., The Cityscapes Dataset, CVPR 2016; cityscapesScripts 2.2
(helpers/labels.py, preparation/json2labelImg.py).
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from dsbuild import storage
from dsbuild.errors import ImageError, LayoutError, PlanError
from dsbuild.fields import field
from dsbuild.format.split_names import role
from dsbuild.layouts import city_folders, city_instances
from dsbuild.layouts.base import RGB, Layout, Sample
from dsbuild.layouts.city_folders import IMAGES
from dsbuild.layouts.city_instances import FILE, THINGS
from dsbuild.layouts.city_labels import IDS, LABELS, TRAIN_IDS, TRAINED
from dsbuild.layouts.city_polygons import other_size, rasterise, sampled
from dsbuild.layouts.finding import Finding
from dsbuild.layouts.folders import require
from dsbuild.layouts.panoptic import CROWD, Panoptic
from dsbuild.layouts.recognition import PUBLISHED, Glance, Recognised, listed
from dsbuild.layouts.sample import Part

if TYPE_CHECKING:
    from dsbuild.images.labels import Label

SPLITS = ("train", "train_extra", "val", "test")
KINDS = {"trainids": "labelTrainIds.png", "polygons": "polygons.json", "ids": "labelIds.png"}
# What --labels auto looks for, in this order, by kind of classes.
PREFERRED = {"trainids": ("trainids", "polygons", "ids"), "ids": ("ids", "polygons")}


@dataclass(frozen=True, kw_only=True)
class Cityscapes(Panoptic, Layout):
    """Cityscapes; its 19 trainIds, or all 34 ids; or its 19 trainIds with instances."""

    name: ClassVar[str] = "cityscapes"
    title: ClassVar[str] = "Cityscapes"
    source: ClassVar[str] = "the folder that holds leftImg8bit and gtFine or gtCoarse"

    annotations: str = field("fine", "Use gtFine or gtCoarse.", choices=("fine", "coarse"))
    labels: str = field(
        "auto",
        "Read labelTrainIds.png, polygons.json, or labelIds.png. auto: the first of these that a "
        "split has; all of its images must have it.",
        choices=("auto", *KINDS),
    )
    encoding: str = field(
        "trainids",
        "trainids: the 19 training classes, 255 for all others. ids: all 34 ids.",
        option="class_set",
        old=("classes",),
        choices=tuple(PREFERRED),
    )
    crowd: str = CROWD

    def __post_init__(self) -> None:
        super().__post_init__()
        self.fill_divisor()
        if self.is_panoptic and (self.labels, self.encoding) != ("auto", "trainids"):
            raise PlanError(f"--target panoptic: it reads {FILE}; omit --labels and --class-set")
        if self.labels not in ("auto", *PREFERRED[self.encoding]):
            raise PlanError(
                f"--labels {self.labels}: these files do not hold all 34 ids, which --class-set "
                "ids asks for; use polygons or ids"
            )

    @property
    def _rows(self) -> tuple[tuple[str, int, RGB], ...]:
        return LABELS if self.encoding == "ids" else TRAINED

    @property
    def classes(self) -> tuple[str, ...]:
        """Names by class index."""
        return tuple(name for name, _, _ in self._rows)

    @property
    def palette(self) -> tuple[RGB, ...]:
        """Colours by class index."""
        return tuple(colour for _, _, colour in self._rows)

    @property
    def ignore(self) -> int | None:
        """255; None with all ids, of which `unlabeled` is one."""
        return 255 if self.encoding == "trainids" else None

    @property
    def things(self) -> tuple[int, ...]:
        """The trainIds with instances."""
        return THINGS

    @property
    def _truth(self) -> str:
        return "gtCoarse" if self.annotations == "coarse" else "gtFine"

    def find(self, source: str | None) -> str:
        """Return the folder that holds leftImg8bit."""
        for start in [source] if source is not None else [".", "data", "data/cityscapes"]:
            for folder in (start, storage.join(start, "cityscapes")):
                if city_folders.places(folder, IMAGES):
                    return storage.normal(folder)
        require(source)
        raise LayoutError(
            f"{source or '. and ./data'}: found no {IMAGES}; name {self.source}: "
            "dsbuild cityscapes SOURCE"
        )

    @classmethod
    def recognise(cls, path: str, given: Mapping[str, str], /) -> Recognised:
        """Recognise leftImg8bit beside gtFine or gtCoarse, with the same splits in both."""
        places = (path, storage.join(path, "cityscapes"))
        root = next((place for place in places if city_folders.places(place, IMAGES)), None)
        if root is None:
            return cls.seen(0, f"no {IMAGES}")
        names = city_folders.folders_of(root, IMAGES)
        splits: list[str] = []
        for truth, kind in (("gtFine", "fine"), ("gtCoarse", "coarse")):
            if given.get("annotations", kind) == kind and not splits:
                labelled = city_folders.folders_of(root, truth)
                splits = [name for name in names if name in labelled]
                there, options = truth, {} if kind == "fine" else {"annotations": kind}
        if not splits:
            return cls.seen(0, f"{IMAGES}, but no gtFine or gtCoarse with the same splits")
        glance = Glance()
        cities = {city for n in splits for city in glance.folders(storage.join(root, names[n]))}
        whole = [name for name in SPLITS if name in names and (name in splits or name == "test")]
        text = f"{cls.title}: {IMAGES} and {there} of {listed(whole or splits)}"
        number = f"{len(cities):,} {'city' if len(cities) == 1 else 'cities'}"
        return cls.seen(PUBLISHED, f"{text}; {number}", options=options)

    def splits(self, root: str) -> tuple[str, ...]:
        """Return the splits that have images, and annotations if they are labelled."""
        labelled = city_folders.folders_of(root, self._truth)
        images = city_folders.folders_of(root, IMAGES)
        names = [name for name in images if _unlabelled(name) or name in labelled]
        if not names:
            raise LayoutError(
                f"{root}: found no split with {IMAGES} and {self._truth}, expected one of "
                f"{', '.join(SPLITS)} in both"
            )
        return tuple(sorted(names, key=lambda n: (SPLITS.index(n) if n in SPLITS else 9, n)))

    def samples(self, root: str, split: str) -> Iterator[Sample]:
        """Yield the images of a split by city and name; the labels of test are dummies."""
        images = city_folders.folders_of(root, IMAGES)[split]
        there = city_folders.images(root, images)
        if not there:
            raise LayoutError(
                f"{storage.join(root, images)}: found no image, expected them as "
                f"<city>/<key>{city_folders.ENDING}.png; fetch them, or name the other splits with "
                "--split"
            )
        ending = None if _unlabelled(split) else self._ending(root, split, [*there])
        truth = city_folders.folders_of(root, self._truth).get(split, f"{self._truth}/{split}")
        for key, image in there.items():
            label = None if ending is None else f"{truth}/{key}{ending}"
            yield Sample(key.partition("/")[2], image, label)

    def _ending(self, root: str, split: str, keys: list[str]) -> str:
        """Return how the label files of a split end.

        Raises LayoutError if the preferred kind is missing labels that another kind has.
        """
        there = set(self._annotations(root, split))
        kinds = PREFERRED[self.encoding] if self.labels == "auto" else (self.labels,)
        if self.is_panoptic:
            return f"_{self._truth}_{FILE}"
        endings = {kind: f"_{self._truth}_{KINDS[kind]}" for kind in kinds}
        missing = {
            kind: [key for key in keys if key + ending not in there]
            for kind, ending in endings.items()
        }
        best, *others = [k for k in kinds if len(missing[k]) < len(keys)] or [kinds[0]]
        other = next((k for k in others if {*missing[best]} - {*missing[k]}), None)
        if other:
            truth = city_folders.folders_of(root, self._truth)[split]
            path = f"{truth}/{missing[best][0]}{endings[best]}"
            raise LayoutError(
                f"{storage.join(root, path)}: there is no such file, nor "
                f"{len(missing[best]) - 1:,} more in split {split}, but there is {KINDS[other]}; "
                "expected all labels of one kind; make the files, or choose one kind with "
                f"--labels {best} or --labels {other}"
            )
        return endings[best]

    def published(self, root: str) -> Mapping[str, int]:
        """Return the published number of finely labelled images and of test images."""
        return {"train": 2975, "val": 500, "test": 1525}

    def findings(self, root: str, split: str, samples: Iterable[Sample]) -> list[Finding]:
        """Find annotations without an image, and trainIds that are made from labelIds."""
        splits = self.splits(root)
        found = city_folders.alone(root, self._truth, splits) if split == splits[0] else []
        if self.encoding == "trainids" and str(next(iter(samples)).label).endswith(KINDS["ids"]):
            text = "trainIds are mapped from labelIds.png; along boundaries they differ from those "
            text += "that cityscapesScripts draws from polygons.json"
            found.append(Finding("source", split, text))
        found += other_size(root, split, next(iter(samples)))
        folder = city_folders.folders_of(root, IMAGES)[split]
        listed = {storage.join(root, sample.image) for sample in samples}
        for name, is_folder in storage.entries(storage.join(root, folder)):
            city = storage.join(root, folder, name)
            paths = (
                [storage.join(city, file) for file in storage.names(city)] if is_folder else [city]
            )
            found += [Finding("stray", split, path) for path in paths if path not in listed]
        have = {*city_folders.images(root, folder)}
        truth = city_folders.folders_of(root, self._truth).get(split, "")
        for name in self._annotations(root, split) if not _unlabelled(split) else ():
            key = name.partition(f"_{self._truth}_")[0]
            if key not in have:
                found.append(Finding("label-alone", split, storage.join(root, truth, name)))
                have.add(key)
        return found

    def _annotations(self, root: str, split: str) -> list[str]:
        """Return the annotation files of a split, as <city>/<name>."""
        if split not in (truth := city_folders.folders_of(root, self._truth)):
            return []
        folder = storage.join(root, truth[split])
        return [
            f"{city}/{name}"
            for city in storage.names(folder)
            for name in storage.names(storage.join(folder, city))
            if name[0] != "."
        ]

    def indexed(self, path: str) -> bool:
        """Tell whether a file holds the class indices: trainIds, or ids with --class-set ids."""
        return path.endswith(KINDS[self.encoding])

    def mistake(self, values: Collection[int]) -> tuple[str, str] | None:
        """Recognise labelIds in place of trainIds."""
        others = {value for value in values if value != 255}
        if self.encoding == "trainids" and others and max(others) < len(LABELS):
            return (
                "label-ids",
                "these are labelIds with 34 classes instead of the 19 trainIds; use --labels "
                "polygons or ids, or make labelTrainIds.png with cityscapesScripts",
            )
        return super().mistake(values)

    def known(self, path: str) -> Mapping[int, RGB]:
        """Return the colours of trainIds, with black for ignored pixels, or those of ids."""
        if path.endswith(KINDS["ids"]):
            return {i: colour for i, (_, _, colour) in enumerate(LABELS)}
        return {**super().known(path), 255: (0, 0, 0)}

    def compose(
        self, parts: Sequence[bytes], names: Sequence[Part], size: tuple[int, int]
    ) -> "Label":
        """Return the label; that of polygons also for an image of another size."""
        label = super().compose(parts, names, size)
        return sampled(label, size) if str(names[0]).endswith(".json") else label

    def read(self, data: bytes, path: str) -> "Label":
        """Return class indices from polygons, labelIds or labelTrainIds."""
        import numpy as np

        from dsbuild.images import labels

        if self.divisor is not None:
            return city_instances.label(data, self.divisor, self.crowd == "ignore")
        if path.endswith(".json"):
            return labels.of(rasterise(data, IDS if self.encoding == "ids" else TRAIN_IDS))
        label = super().read(data, path)
        if self.indexed(path):
            return label
        if max(label.counts) >= len(LABELS):
            raise ImageError(f"found the value {max(label.counts)}, expected labelIds 0 to 33")
        table = np.full(256, 255, np.uint8)
        table[: len(LABELS)] = list(TRAIN_IDS.values())
        return label.through(table)


def _unlabelled(split: str) -> bool:
    """Tell whether a split has no labels, or only dummies."""
    return role(split) == "test"
