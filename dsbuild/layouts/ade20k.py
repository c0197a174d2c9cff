"""ADE20K in the form of the scene parsing challenge: 150 classes.

    images/{training,validation}/ADE_{train,val}_<8 digits>.jpg
    annotations/{training,validation}/<the same>.png      0 other objects, 1..150
    annotations_instance/{training,validation}/<the same>.png      for --target panoptic
    objectInfo150.txt

Value 0, which the benchmark leaves out, is stored as 255, and k as k - 1. With --target panoptic
0 is ignored and k stays k, as in deeplab2.

Source: Zhou et al., Scene Parsing through ADE20K Dataset, CVPR 2017; CSAILVision/sceneparsing.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from dsbuild import storage
from dsbuild.errors import ImageError, LayoutError
from dsbuild.layouts import ade20k_full as full
from dsbuild.layouts import ade_instances, panoptic
from dsbuild.layouts.ade_labels import NAMES
from dsbuild.layouts.base import RGB, Layout
from dsbuild.layouts.finding import Finding
from dsbuild.layouts.folders import by_key, elsewhere, leftovers, require, stem
from dsbuild.layouts.panoptic import Panoptic
from dsbuild.layouts.recognition import PUBLISHED, Recognised, listed
from dsbuild.layouts.sample import Part, Sample

if TYPE_CHECKING:
    from dsbuild.images.labels import Label

SPLITS = {"train": "training", "val": "validation"}
_FOLDER = "ADEChallengeData2016"


@dataclass(frozen=True, kw_only=True)
class Ade20k(Panoptic, Layout):
    """ADE20K, scene parsing challenge."""

    name: ClassVar[str] = "ade20k"
    title: ClassVar[str] = "ADE20K"
    source: ClassVar[str] = "the folder that holds images and annotations of the challenge"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.fill_divisor()

    @property
    def classes(self) -> tuple[str, ...]:
        """The 150 classes, after void if labels are panoptic."""
        return panoptic.named(NAMES) if self.is_panoptic else NAMES

    @property
    def ignore(self) -> int:
        """The value of other objects: 255, or 0 if labels are panoptic."""
        return 0 if self.is_panoptic else 255

    @property
    def things(self) -> tuple[int, ...]:
        """The classes with instances."""
        return ade_instances.THINGS

    def find(self, source: str | None) -> str:
        """Return the folder that holds images/training or images/validation."""
        for start in [source] if source is not None else [".", "data"]:
            for folder in (start, storage.join(start, _FOLDER)):
                if _splits(folder):
                    return storage.normal(folder)
        require(source)
        if source is not None and full.pictured(source):
            raise LayoutError(
                f"{source}: found the full ADE20K with thousands of classes; expected the data of "
                f"the challenge, {_FOLDER}; build this with dsbuild ade20k-full {source}, with "
                "--target challenge for the same 150 classes"
            )
        raise LayoutError(
            f"{source or '. and ./data'}: found no images/training with annotations/training; name "
            f"{self.source}: dsbuild ade20k SOURCE"
        )

    @classmethod
    def recognise(cls, path: str, _given: Mapping[str, str], /) -> Recognised:
        """Recognise images and annotations of training and validation, named ADE_*."""
        for root in (path, storage.join(path, _FOLDER)):
            for folder in _splits(root).values():
                names = storage.some(storage.join(root, "annotations", folder)).entries
                if any(name.startswith("ADE_") for name, _ in names):
                    splits = listed(list(_splits(root).values()))
                    return cls.seen(PUBLISHED, f"{cls.title}: images and annotations of {splits}")
        return cls.seen(0, "no images/training with annotations/training/ADE_*.png")

    def splits(self, root: str) -> tuple[str, ...]:
        """Return train and val, as far as there are images."""
        return tuple(_splits(root))

    def samples(self, root: str, split: str) -> Iterator[Sample]:
        """Yield the images of a split by name."""
        folder = SPLITS[split]
        for key, image in by_key(root, f"images/{folder}").items():
            label = f"annotations/{folder}/{key}.png"
            both = label, f"{ade_instances.FOLDER}/{folder}/{key}.png"
            yield Sample(key, image, both if self.is_panoptic else label)

    def published(self, root: str) -> Mapping[str, int]:
        """Return the published number of images, if the folder has the published name."""
        if storage.name(root) != _FOLDER:
            return {}
        return {"train": 20210, "val": 2000}

    def findings(self, root: str, split: str, samples: Iterable[Sample]) -> list[Finding]:
        """Find labels without an image, and stray files."""
        folders, folder = _splits(root), SPLITS[split]
        found = leftovers(root, split, f"images/{folder}", f"annotations/{folder}", stem)
        if split == next(iter(folders)):
            kinds = ("images", "annotations", *([ade_instances.FOLDER] * self.is_panoptic))
            used = (f"{kind}/{one}" for kind in kinds for one in folders.values())
            found += elsewhere(root, split, used)
        return found

    def indexed(self, path: str) -> bool:
        """Return False: stored values count from 1."""
        return False

    def known(self, path: str) -> Mapping[int, RGB]:
        """Return nothing: the labels are grey."""
        return {}

    def read(self, data: bytes, path: str) -> "Label":
        """Return the class indices of a label: its values less 1, and 255 for 0."""
        import numpy as np

        table = (np.arange(256) - 1).astype(np.uint8)  # 0 becomes 255
        return self._stored(data, path).through(table)

    def compose(
        self, parts: Sequence[bytes], names: Sequence[Part], size: tuple[int, int]
    ) -> "Label":
        """Return the label of an image: its classes, or with its instances."""
        if self.divisor is None:
            return super().compose(parts, names, size)
        classes = self._stored(parts[0], str(names[0])).plane
        return ade_instances.label(classes, parts[1], self.divisor)

    def _stored(self, data: bytes, path: str) -> "Label":
        """Return the values 0 to 150 of a label."""
        label = super().read(data, path)
        high = max(label.counts)
        if high > len(NAMES):
            shifted = "; 0 may have been made 255 already" if high == 255 else ""
            raise ImageError(
                f"found the value {high}; expected 0 to {len(NAMES)}, as the challenge stores them"
                f"{shifted}",
                kind="values",
            )
        return label


def _splits(root: str) -> dict[str, str]:
    """Return split -> folder, for folders of images, if one of them has annotations."""
    found = {
        split: folder
        for split, folder in SPLITS.items()
        if storage.is_folder(storage.join(root, "images", folder))
    }
    labels = (storage.join(root, "annotations", folder) for folder in found.values())
    return found if any(map(storage.is_folder, labels)) else {}
