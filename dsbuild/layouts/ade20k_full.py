"""ADE20K in full, with thousands of classes, or as the 150 classes of its challenge.

    images/ADE/{training,validation}/<scene>/<id>.jpg    <id>_seg.png      since 2021
    images/{training,validation}/<scene>/<id>.jpg        <id>_seg.png      2016
    index_ade20k.pkl, index_ade20k.mat                                     the names of the classes

A pixel's class is floor(R / 10) * 256 + G, counted from 1; 0 is nothing. It is stored less 1, and
0 as 65535, or 255 for the challenge. Parts, instances and attributes are not read.

Source: Zhou et al., Scene Parsing through ADE20K Dataset, CVPR 2017; CSAILVision/ADE20K.
"""

import functools
import posixpath
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from dsbuild import storage
from dsbuild.errors import ImageError, LayoutError
from dsbuild.fields import field
from dsbuild.format import planes
from dsbuild.layouts.ade_index import INDEXES, read_index
from dsbuild.layouts.ade_labels import FROM_FULL, NAMES
from dsbuild.layouts.base import RGB, Layout
from dsbuild.layouts.class_files import read_classes
from dsbuild.layouts.finding import Finding
from dsbuild.layouts.folders import composed, pictures, require, twice
from dsbuild.layouts.recognition import PUBLISHED, Glance, Recognised, listed
from dsbuild.layouts.sample import Sample

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dsbuild.images.labels import Label

SPLITS = {"train": "training", "val": "validation"}
_FOLDERS = ("ADE20K_2021_17_01", "ADE20K_2016_07_26")
_SUFFIX, _PHOTO = "_seg.png", ".jpg"
_HIGHEST = 25 * 256 + 255  # of floor(R / 10) * 256 + G


@dataclass(frozen=True, kw_only=True)
class Ade20kFull(Layout):
    """ADE20K with all of its classes."""

    name: ClassVar[str] = "ade20k-full"
    title: ClassVar[str] = "ADE20K, full data set"
    source: ClassVar[str] = "the folder that holds images and index_ade20k.pkl"

    target: str = field(
        "all",
        "The classes: all of the index, in labels of 16 bits; or the 150 of the scene parsing "
        "challenge, all others ignored.",
        choices=("all", "challenge"),
    )
    names: tuple[str, ...] = field(
        (),
        "The names of all classes: a file with one per line, the first for the value 1. Default: "
        "those in index_ade20k.pkl or index_ade20k.mat in SOURCE.",
        option="classes",
        read=read_classes,
    )

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the index, or of the challenge."""
        return NAMES if self.target == "challenge" else self.names

    @property
    def ignore(self) -> int | None:
        """65535, or 255 for the challenge."""
        return planes.unnamed(8 if self.target == "challenge" else 16)

    def find(self, source: str | None) -> str:
        """Return the folder that holds images with *_seg.png beside them."""
        for start in [source] if source is not None else [".", "data"]:
            for folder in (start, *(storage.join(start, name) for name in _FOLDERS)):
                if _splits(folder):
                    return storage.normal(folder)
        require(source)
        raise LayoutError(
            f"{source or '. and ./data'}: found no images/ADE/training and no images/training with "
            f"*{_SUFFIX} beside the pictures; name {self.source}: dsbuild ade20k-full SOURCE"
        )

    @classmethod
    def recognise(cls, path: str, given: Mapping[str, str], /) -> Recognised:
        """Recognise pictures with *_seg.png beside them, and the index of the classes."""
        for root in (path, *(storage.join(path, name) for name in _FOLDERS)):
            found = _splits(root)
            if not found:
                continue
            index = next((one for one in INDEXES if storage.stamp(storage.join(root, one))), "")
            known = index or given.get("classes") or given.get("target") == "challenge"
            needs = "" if known else "--classes FILE, or --target challenge"
            text = f"{cls.title}: {listed(list(found.values()))}"
            return cls.seen(
                PUBLISHED, text + (f", classes from {index}" if index else ""), needs=needs
            )
        return cls.seen(0, f"no images/ADE/training with *{_SUFFIX} beside the pictures")

    def bind(self, root: str) -> "Ade20kFull":
        """Return the layout with the names of the index, unless others are given."""
        if self.target == "challenge" or self.names:
            return self
        return replace(self, names=read_index(root))

    def splits(self, root: str) -> tuple[str, ...]:
        """Return train and val, as far as there are pictures."""
        return tuple(_splits(root))

    def samples(self, root: str, split: str) -> Iterator[Sample]:
        """Yield the pictures of a split by their folders and names; keys are their names."""
        seen: dict[str, str] = {}
        for path in pictures(root, _splits(root)[split]):
            if path.lower().endswith(_PHOTO):
                stem = path[: -len(_PHOTO)]
                key = composed(posixpath.basename(stem))
                if key in seen:
                    raise LayoutError(twice(root, (seen[key], path)))
                seen[key] = path
                yield Sample(key, path, stem + _SUFFIX)

    def published(self, root: str) -> Mapping[str, int]:
        """Return the published number of images, if the folder has a published name."""
        train = dict(zip(_FOLDERS, (25574, 20210), strict=True)).get(storage.name(root))
        return {"train": train, "val": 2000} if train else {}

    def findings(self, root: str, split: str, samples: Iterable[Sample]) -> list[Finding]:
        """Find labels without an image."""
        used = {sample.label for sample in samples}
        return [
            Finding("label-alone", split, storage.join(root, path))
            for path in pictures(root, _splits(root)[split])
            if path.endswith(_SUFFIX) and path not in used
        ]

    def indexed(self, path: str) -> bool:
        """Return False: classes are in two channels."""
        return False

    def known(self, path: str) -> Mapping[int, RGB]:
        """Return nothing: the labels have no palette."""
        return {}

    def read(self, data: bytes, path: str) -> "Label":
        """Return the class indices of a label: floor(R / 10) * 256 + G, less 1."""
        import numpy as np

        from dsbuild.images import codec, labels

        head = codec.label_header(data)
        if head.model not in ("rgb", "rgba"):
            raise ImageError(
                f"found a label in {head.model}, expected RGB, as {_SUFFIX} of the full data set "
                "are; the labels of the challenge, in grey, need dsbuild ade20k",
                kind="values",
            )
        red, green = np.moveaxis(labels.colours(data)[..., :2].astype(np.uint16), 2, 0)
        stored = labels.of(red // 10 * 256 + green)
        highest = max(stored.counts)
        if self.target == "all" and highest > len(self.names):
            raise ImageError(
                f"found the value {highest}, expected 0 to {len(self.names)}, the classes of the "
                "index; is it the index of another release?",
                kind="values",
            )
        return stored.through(_table(self.target, len(self.names)))


@functools.cache
def _table(target: str, names: int) -> "NDArray[np.uint16] | NDArray[np.uint8]":
    """Return the class index of every stored value."""
    import numpy as np

    if target == "all":
        table = np.full(_HIGHEST + 1, planes.unnamed(16), np.uint16)
        table[1 : names + 1] = np.arange(names)
        return table
    few = np.full(_HIGHEST + 1, planes.unnamed(8), np.uint8)
    for value, index in FROM_FULL.items():
        few[value] = index
    return few


def pictured(root: str) -> bool:
    """Tell whether a folder, or one of the published names in it, has the form of the full set."""
    places = (root, *(storage.join(root, name) for name in _FOLDERS))
    return any(storage.is_folder(storage.join(one, "images/ADE")) or _splits(one) for one in places)


def _splits(root: str) -> dict[str, str]:
    """Return split -> folder of its pictures, for folders with a label beside a picture."""
    glance = Glance()
    for images in ("images/ADE", "images"):
        found = {
            split: f"{images}/{folder}"
            for split, folder in SPLITS.items()
            if storage.is_folder(storage.join(root, images, folder))
        }
        for folder in found.values():
            paths = {*glance.below(storage.join(root, folder), 5)}
            if any(f"{one[:-4]}{_SUFFIX}" in paths for one in paths if one.endswith(_PHOTO)):
                return found
    return {}
