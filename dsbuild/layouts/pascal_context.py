"""Pascal Context: 59 classes and a background, or 459 classes.

    VOCdevkit/VOC2010/
      JPEGImages/<id>.jpg
      SegmentationClassContext/<id>.png             0 background, 1..59
      ImageSets/SegmentationContext/{train,val}.txt
      trainval/<id>.mat                             LabelMap, 1..459, for --classes 459
      labels.txt                                    `1: accordion`, ..., for --classes 459

The 459 classes may also be PNGs of 16 bits in SegmentationClassContext, with the same values. The
59 have the order of their numbers among the 459, which is alphabetical; other tools begin with the
classes of VOC.

Source: Mottaghi et al., The Role of Context for Object Detection and Semantic Segmentation in the
Wild, CVPR 2014; open-mmlab/mmsegmentation (pascal_context).
"""

import io
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from dsbuild import storage
from dsbuild.errors import ImageError, LayoutError, PlanError, missing
from dsbuild.fields import field
from dsbuild.format import planes
from dsbuild.layouts.base import RGB, Layout
from dsbuild.layouts.finding import Finding
from dsbuild.layouts.folders import lists, require, unpaired
from dsbuild.layouts.recognition import PUBLISHED, Recognised, listed
from dsbuild.layouts.sample import Sample
from dsbuild.layouts.texts import numbered
from dsbuild.layouts.voc_lists import IMAGES, entries, photos

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dsbuild.images.labels import Label

LABELS, MATLAB, NAMES = "SegmentationClassContext", "trainval", "labels.txt"
LISTS = "ImageSets/SegmentationContext"
_PLACES = ("", "VOC2010", "VOCdevkit", "VOCdevkit/VOC2010")
CLASSES = tuple(
    "background aeroplane bag bed bedclothes bench bicycle bird boat book bottle building bus "
    "cabinet car cat ceiling chair cloth computer cow cup curtain dog door fence floor flower food "
    "grass ground horse keyboard light motorbike mountain mouse person plate platform pottedplant "
    "road rock sheep shelves sidewalk sign sky snow sofa table track train tree truck tvmonitor "
    "wall water window wood".split()
)
ALL, _ALL = "459", 459


def read_names(path: str) -> tuple[str, ...]:
    """Return the names in lines such as `1: accordion`; raise LayoutError unless all are there."""
    if storage.stamp(path) is None:
        raise LayoutError(
            f"{path}: there is no such file; expected the names of 459 classes, in lines such as "
            "1: accordion"
        )
    rows = [(number, re.fullmatch(r"(\d+)\s*:\s*(\S.*)", row)) for number, row in numbered(path)]
    found = [match for _, match in rows if match and int(match[1]) > 0]
    if [int(match[1]) for match in found] != [*range(1, _ALL + 1)]:
        raise LayoutError(
            f"{path}: found {len(found)} names, expected 1 to {_ALL}, in lines such as 1: accordion"
        )
    return tuple(match[2] for match in found)


@dataclass(frozen=True, kw_only=True)
class PascalContext(Layout):
    """Pascal Context."""

    name: ClassVar[str] = "pascal-context"
    title: ClassVar[str] = "Pascal Context"
    source: ClassVar[str] = "the folder VOC2010, VOCdevkit, or the folder above it"

    number: str = field(
        "60",
        "60: the background is a class. 59: it is ignored. 459: all classes, from trainval/*.mat "
        "or from PNGs of 16 bits.",
        choices=("60", "59", ALL),
        option="classes",
    )
    names: tuple[str, ...] = field(
        (),
        "The names of the 459 classes, in lines such as `1: accordion`. Default: labels.txt in "
        "SOURCE.",
        read=read_names,
    )

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes, with or without the background."""
        return self.names if self.number == ALL else CLASSES[self.number == "59" :]

    @property
    def ignore(self) -> int | None:
        """255, or 65535 for 459 classes."""
        return planes.unnamed(16 if self.number == ALL else 8)

    def find(self, source: str | None) -> str:
        """Return the folder with images, labels and lists: VOC2010, or one with its folders."""
        for start in [source] if source is not None else [".", "data"]:
            for below in _PLACES:
                folder = storage.normal(storage.join(start, below))
                if storage.is_folder(storage.join(folder, IMAGES)) and _labels(folder):
                    return folder
        require(source)
        raise LayoutError(
            f"{source or '. and ./data'}: found no {IMAGES} with {LABELS} or {MATLAB}/*.mat; name "
            f"{self.source}: dsbuild pascal-context SOURCE"
        )

    @classmethod
    def recognise(cls, path: str, given: Mapping[str, str], /) -> Recognised:
        """Recognise the folder of labels and the lists of Pascal Context."""
        for below in _PLACES:
            root = storage.normal(storage.join(path, below))
            if not storage.is_folder(storage.join(root, IMAGES)):
                continue
            names, kinds = lists(storage.join(root, LISTS)), _labels(root)
            if names and kinds:
                whole = kinds == [MATLAB] and "classes" not in given
                options = {"classes": ALL} if whole else {}
                text = f"{cls.title}: {IMAGES}, {listed(kinds)}, lists {listed(names)}"
                return cls.seen(PUBLISHED, text, options=options)
        return cls.seen(0, f"no {IMAGES} with {LABELS} and lists in {LISTS}")

    def bind(self, root: str) -> "PascalContext":
        """Return the layout with the names of its 459 classes, if it has them."""
        if self.number != ALL or self.names:
            return self
        return replace(self, names=read_names(storage.join(root, NAMES)))

    def splits(self, root: str) -> tuple[str, ...]:
        """Return the names of the lists, train and val first."""
        names = lists(storage.join(root, LISTS))
        if not names:
            raise LayoutError(
                f"{storage.join(root, LISTS)}: found no list; expected train.txt and val.txt with "
                "one id per line"
            )
        order = ("train", "val", "trainval", "test")
        return tuple(sorted(names, key=lambda n: (order.index(n) if n in order else 9, n)))

    def samples(self, root: str, split: str) -> Iterator[Sample]:
        """Yield the samples of a list in its order."""
        path = storage.join(root, LISTS, f"{split}.txt")
        folder, ending = self._place(root)
        for entry in entries(path, photos(root)):
            label = entry.label or f"{folder}/{entry.key}{ending}"
            yield Sample(entry.key, entry.image, label)

    def _place(self, root: str) -> tuple[str, str]:
        """Return the folder of the labels and their ending."""
        matlab = self.number == ALL and MATLAB in _labels(root)
        return (MATLAB, ".mat") if matlab else (LABELS, ".png")

    def published(self, root: str) -> Mapping[str, int]:
        """Return the published lengths of the lists."""
        return {"train": 4998, "val": 5105} if storage.name(root) == "VOC2010" else {}

    def findings(self, root: str, split: str, samples: Iterable[Sample]) -> list[Finding]:
        """Find labels without an image, and stray files beside labels, with the first split."""
        if split != self.splits(root)[0]:
            return []
        (folder, ending), there = self._place(root), photos(root)
        names = storage.names(storage.join(root, folder))
        return unpaired(root, split, folder, names, ending, there)

    def indexed(self, path: str) -> bool:
        """Tell whether stored values are the indices: those of 60 classes are."""
        return self.number == "60"

    def known(self, path: str) -> Mapping[int, RGB]:
        """Return nothing: the labels are grey."""
        return {}

    def mistake(self, values: Collection[int]) -> tuple[str, str] | None:
        """Return what labels of 459 classes are taken for."""
        if 60 <= max({*values} - {255}, default=0) <= _ALL:
            return ("values", "these may be the numbers of 459 classes: build with --classes 459")
        return super().mistake(values)

    def read(self, data: bytes, path: str) -> "Label":
        """Return the class indices of a label."""
        import numpy as np

        from dsbuild.images import labels

        matlab = data.startswith(b"MATLAB")
        wide = 16 if self.number == ALL else 8
        label = labels.of(_plane(data)) if matlab else labels.read(data, {}, wide)
        if self.number == "60":
            return label
        highest, most = max(label.counts), int(self.number)
        if highest > most:
            again = "; 0 may have been made the ignore value already"
            raise ImageError(
                f"found the value {highest}, expected 0 to {most}, of which 0 is ignored"
                f"{again if highest in (255, 65535) else ''}",
                kind="values",
            )
        table = np.arange(-1, most)  # -1 becomes the ignore value
        return label.through(table.astype(np.uint16) if wide == 16 else table.astype(np.uint8))


def _labels(root: str) -> list[str]:
    """Return the folders of labels that are there."""
    return [one for one in (LABELS, MATLAB) if storage.is_folder(storage.join(root, one))]


def _plane(data: bytes) -> "NDArray[np.uint16]":
    """Return the values in a MATLAB file of 459 classes: uint16 (h, w)."""
    try:
        from scipy.io import loadmat
    except ImportError as error:
        # Not the fault of the sample, so it must not be skipped.
        raise PlanError(missing("scipy", "a label of 459 classes (.mat)", error)) from error
    from dsbuild.images.header import excuse

    try:
        plane = loadmat(io.BytesIO(data))["LabelMap"]
    except Exception as error:  # scipy raises many kinds for damaged files
        excuse(error)
        raise ImageError(f"found a MATLAB file without LabelMap ({error})") from error
    if plane.ndim != 2 or plane.dtype.kind not in "ui" or not plane.size or plane.min() < 0:
        raise ImageError(
            f"found a LabelMap of {plane.dtype} {plane.shape}, expected whole numbers (h, w)"
        )
    found: NDArray[np.uint16] = plane.clip(max=65535).astype("uint16")
    return found
