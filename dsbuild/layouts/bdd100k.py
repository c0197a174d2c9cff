"""BDD100K: semantic or panoptic segmentation of the 10k images, or drivable areas of the 100k.

    images/10k/<split>/<id>.jpg      labels/sem_seg/masks/<split>/<id>.png         new tree
    seg/images/<split>/<id>.jpg      seg/labels/<split>/<id>_train_id.png          old tree
    images/10k/<split>/<id>.jpg      labels/pan_seg/bitmasks/<split>/<id>.png      new tree
    images/100k/<split>/<id>.jpg     labels/drivable/masks/<split>/<id>.png        new tree
    images/100k/<split>/<id>.jpg     drivable_maps/labels/<split>/<id>_drivable_id.png    old tree

Semantic values are the trainIds of Cityscapes. Drivable values mean other things in the two trees:
0 direct, 1 alternative, 2 background in the new one; 0 background, 1 direct, 2 alternative in the
old one.

Source: Yu et al., BDD100K, CVPR 2020; bdd100k/bdd100k (doc). The values of old drivable maps are
assumed.
"""

import collections
import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from dsbuild import storage
from dsbuild.errors import ImageError, LayoutError, PlanError, StorageError
from dsbuild.fields import field
from dsbuild.layouts import bdd_bitmasks, panoptic
from dsbuild.layouts.base import RGB, Layout
from dsbuild.layouts.city_labels import TRAINED
from dsbuild.layouts.finding import Finding
from dsbuild.layouts.folders import by_key, leftovers, require, stem
from dsbuild.layouts.panoptic import CROWD, Panoptic
from dsbuild.layouts.recognition import PUBLISHED, Recognised, listed
from dsbuild.layouts.sample import Sample

if TYPE_CHECKING:
    from dsbuild.images.labels import Label

SPLITS = ("train", "val")
_FOLDER = "bdd100k"
_LOOKED = 20  # labels of a split that are opened to tell what drivable values mean


class Form(NamedTuple):
    """Where the images and labels of a tree are, and what follows the id in a label's name."""

    images: str
    labels: str
    suffix: str


FORMS: Mapping[str, Mapping[str, Form]] = {
    "sem_seg": {
        "new": Form("images/10k", "labels/sem_seg/masks", ""),
        "old": Form("seg/images", "seg/labels", "_train_id"),
    },
    "drivable": {
        "new": Form("images/100k", "labels/drivable/masks", ""),
        "old": Form("images/100k", "drivable_maps/labels", "_drivable_id"),
    },
    "pan_seg": {"new": Form("images/10k", "labels/pan_seg/bitmasks", "")},
}
# Meaning of drivable values by tree.
DRIVABLE = {
    "new": ("direct", "alternative", "background"),
    "old": ("background", "direct", "alternative"),
}


@dataclass(frozen=True, kw_only=True)
class Bdd100k(Panoptic, Layout):
    """BDD100K; its semantic masks, its panoptic bitmasks, or its drivable areas."""

    name: ClassVar[str] = "bdd100k"
    title: ClassVar[str] = "BDD100K"
    source: ClassVar[str] = "the folder that holds images and labels, or seg"

    labels: str = field(
        "auto",
        "Read semantic segmentation of the 10k images, its panoptic bitmasks with 40 classes, or "
        "drivable areas of the 100k. auto: sem_seg, or pan_seg with --target panoptic.",
        choices=("auto", *FORMS),
    )
    tree: str = field(
        "auto",
        "Folders of the release since 2020, or of that of 2018. auto: those that are there.",
        choices=("auto", "new", "old"),
    )
    values: str = field(
        "auto",
        "What drivable values mean: 0 direct, 1 alternative, 2 background (new); 0 background, "
        "1 direct, 2 alternative (old). auto: as in the tree, and checked.",
        choices=("auto", "new", "old"),
    )
    crowd: str = CROWD

    def __post_init__(self) -> None:
        super().__post_init__()
        self.fill_divisor()
        if self.labels == "auto":
            self.fill("labels", "pan_seg" if self.is_panoptic else "sem_seg")
        if self.is_panoptic and self.labels != "pan_seg":
            raise PlanError(f"--target panoptic: found --labels {self.labels}, expected pan_seg")

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes of the labels: drivable areas are in the order of their values."""
        if self.labels == "drivable":
            return DRIVABLE[self._meaning]
        if self.labels == "pan_seg":
            names = bdd_bitmasks.NAMES
            return panoptic.named(names) if self.is_panoptic else names
        return tuple(name for name, _, _ in TRAINED)

    @property
    def ignore(self) -> int:
        """The value of pixels without a class: 0 if labels are panoptic, else 255."""
        return 0 if self.is_panoptic else 255

    @property
    def things(self) -> tuple[int, ...]:
        """The classes of panoptic labels with instances."""
        return bdd_bitmasks.THINGS

    @property
    def _meaning(self) -> str:
        return next((one for one in (self.values, self.tree) if one != "auto"), "new")

    def find(self, source: str | None) -> str:
        """Return the folder that holds the images and labels of a tree."""
        for start in [source] if source is not None else [".", "data"]:
            for folder in (start, storage.join(start, _FOLDER)):
                if _trees(folder, self.labels, self.tree):
                    return storage.normal(folder)
        require(source)
        places = " or ".join(
            f"{form.images} with {form.labels}" for form in FORMS[self.labels].values()
        )
        raise LayoutError(
            f"{source or '. and ./data'}: found no {places}; name {self.source}: "
            "dsbuild bdd100k SOURCE"
        )

    @classmethod
    def recognise(cls, path: str, given: Mapping[str, str], /) -> Recognised:
        """Recognise the folders of a tree, with semantic masks or else drivable areas."""
        kinds = ["pan_seg"] if given.get("target") == "panoptic" else [*FORMS]
        kinds = [given["labels"]] if given.get("labels", "auto") != "auto" else kinds
        for root in (path, storage.join(path, _FOLDER)):
            for kind in kinds:
                trees = _trees(root, kind, given.get("tree", "auto"))
                if trees and _shown(root, FORMS[kind][trees[0]]):
                    needs = "--tree new or old" if trees[1:] else ""
                    usual = kind == "sem_seg" or given.get("target") == "panoptic"
                    options = {} if usual else {"labels": kind}
                    text = f"{cls.title} {kind}, {listed(trees)} tree"
                    return cls.seen(PUBLISHED, text, options=options, needs=needs)
        return cls.seen(0, "no images/10k with labels/sem_seg/masks, no seg/labels")

    def bind(self, root: str) -> "Bdd100k":
        """Return the layout with the tree that is there."""
        trees = _trees(root, self.labels, self.tree)
        if len(trees) > 1:
            raise LayoutError(
                f"{root}: found {' and '.join(FORMS[self.labels][one].labels for one in trees)}; "
                "choose one with --tree new or --tree old"
            )
        return replace(self, tree=trees[0])

    def _form(self, root: str) -> Form:
        tree = self.tree if self.tree != "auto" else _trees(root, self.labels, "auto")[0]
        return FORMS[self.labels][tree]

    def splits(self, root: str) -> tuple[str, ...]:
        """Return train and val, as far as there are images and labels."""
        form = self._form(root)
        return tuple(
            split
            for split in SPLITS
            if storage.is_folder(storage.join(root, form.images, split))
            and storage.is_folder(storage.join(root, form.labels, split))
        )

    def samples(self, root: str, split: str) -> Iterator[Sample]:
        """Yield the images of a split by name."""
        form = self._form(root)
        for key, image in by_key(root, f"{form.images}/{split}").items():
            yield Sample(key, image, f"{form.labels}/{split}/{key}{form.suffix}.png")

    def findings(self, root: str, split: str, samples: Iterable[Sample]) -> list[Finding]:
        """Find labels without an image, stray files, and drivable values of the other tree."""
        form = self._form(root)

        def key(path: str, folder: str) -> str:
            name = stem(path, folder)
            return name.removesuffix(form.suffix) if folder.startswith(form.labels) else name

        places = f"{form.images}/{split}", f"{form.labels}/{split}"
        found = leftovers(root, split, *places, key)
        if self.labels == "drivable" and self.values == "auto":
            found += self._odd(root, split, samples)
        return found

    def _odd(self, root: str, split: str, samples: Iterable[Sample]) -> list[Finding]:
        """Find maps in which the background of the other tree is the most frequent value."""
        counts: collections.Counter[int] = collections.Counter()
        for sample in itertools.islice(samples, _LOOKED):
            try:
                data = storage.read(storage.join(root, str(sample.label)))[0]
                counts.update(self.read(data, str(sample.label)).counts)
            except (ImageError, StorageError):
                continue  # the build names it
        if not counts:
            return []
        most = counts.most_common(1)[0][0]
        other = "old" if self._meaning == "new" else "new"
        if most != DRIVABLE[other].index("background"):
            return []
        own = DRIVABLE[self._meaning].index("background")
        text = (
            f"{storage.join(root, self._form(root).labels, split)}: found {most} as the most "
            f"frequent value, which is the background in {other} drivable maps; expected {own}, as "
            f"in {self._meaning} ones; say what the values mean: --values {other}, or --values "
            f"{self._meaning}"
        )
        return [Finding("values", split, text, fatal=True)]

    def indexed(self, path: str) -> bool:
        """Tell whether a mask holds class indices; bitmasks do not."""
        return self.labels != "pan_seg"

    def known(self, path: str) -> Mapping[int, RGB]:
        """Return nothing: the labels are grey."""
        return {}

    def read(self, data: bytes, path: str) -> "Label":
        """Return the class indices in a mask or a bitmask, or its panoptic label."""
        if self.divisor is not None:
            return bdd_bitmasks.label(data, self.divisor, self.crowd == "ignore")
        return bdd_bitmasks.classes(data) if self.labels == "pan_seg" else super().read(data, path)


def _trees(root: str, kind: str, wanted: str) -> list[str]:
    """Return the trees whose images and labels of train or val are below root."""
    return [
        tree
        for tree, form in FORMS[kind].items()
        if wanted in ("auto", tree)
        and any(
            storage.is_folder(storage.join(root, form.images, split))
            and storage.is_folder(storage.join(root, form.labels, split))
            for split in SPLITS
        )
    ]


def _shown(root: str, form: Form) -> bool:
    """Tell whether a label of train or val has the name of a tree's labels."""
    return any(
        name.endswith(f"{form.suffix}.png")
        for split in SPLITS
        for name, _ in storage.some(storage.join(root, form.labels, split)).entries
    )
