"""Pascal VOC, its DeepLab copy, its augmented labels, and SBD's labels.

    VOCdevkit/VOC2012/
      JPEGImages/<id>.jpg
      SegmentationClass/<id>.png       palette PNG: index 0..20, 255 is the void border
      SegmentationClassRaw/<id>.png    DeepLab's copy without the palette
      SegmentationClassAug/<id>.png    made from SBD; grey, in some copies palette
      cls/<id>.mat                     SBD itself (also benchmark_RELEASE/dataset/cls)
      ImageSets/Segmentation/<split>.txt

Sources: Everingham et al., The Pascal VOC Challenge, IJCV 2010, and its development
kit; Hariharan et al., Semantic Contours from Inverse Detectors, ICCV 2011 (SBD).
"""

import io
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from dsbuild import storage
from dsbuild.errors import ImageError, LayoutError, PlanError
from dsbuild.layouts.base import RGB, Layout, Sample
from dsbuild.layouts.trees import lists

if TYPE_CHECKING:
    import numpy as np

LISTS = "ImageSets/Segmentation"
IMAGES = "JPEGImages"
# Where each kind of label lies, in the order in which `auto` prefers them, and as what.
FOLDERS = {
    "class": ("SegmentationClass", ".png"),
    "raw": ("SegmentationClassRaw", ".png"),
    "aug": ("SegmentationClassAug", ".png"),
    "sbd": ("cls", ".mat"),
}
# One list under its three names in the wild.
AUGMENTED = ("train_aug", "trainaug", "aug")
UNLABELLED = ("test",)


def _palette() -> tuple[RGB, ...]:
    """Return VOC's 256 colours: the bits of an index, dealt to R, G, B from the top.

    Source: VOCdevkit/VOCcode/VOClabelcolormap.m.
    """

    def channel(index: int, first: int) -> int:
        return sum((index >> (first + 3 * i) & 1) << (7 - i) for i in range(3))

    return tuple((channel(i, 0), channel(i, 1), channel(i, 2)) for i in range(256))


@dataclass(frozen=True, kw_only=True)
class Voc(Layout):
    """Pascal VOC; `labels` names the folder of labels, or `auto`."""

    name: ClassVar[str] = "voc"
    title: ClassVar[str] = "Pascal VOC"
    source: ClassVar[str] = "the folder VOC2012, VOCdevkit, or the folder above it"
    classes: ClassVar[tuple[str, ...]] = tuple(
        "background aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog "
        "horse motorbike person pottedplant sheep sofa train tvmonitor".split()
    )
    palette: ClassVar[tuple[RGB, ...]] = _palette()
    unions: ClassVar[Mapping[str, frozenset[str]]] = {
        **Layout.unions,
        **dict.fromkeys(AUGMENTED, frozenset({"train", "SBD"})),
    }

    labels: str = field(
        default="auto",
        metadata={
            "choices": ("auto", *FOLDERS),
            "help": "Where the labels come from: SegmentationClass, SegmentationClassRaw, "
            "SegmentationClassAug, or SBD's cls/*.mat. auto: the one that has labels for most "
            "samples of the split; of equals the first.",
        },
    )

    def find(self, source: str | None) -> str:
        """Return the folder VOC2012 for it, for VOCdevkit, or for the folder above that."""
        if source is not None and not storage.is_folder(source):
            raise LayoutError(f"{source}: there is no such folder; expected {self.source}")
        starts = [source] if source is not None else [".", "data"]
        for start in starts:
            for below in ("", "VOC2012", "VOCdevkit", "VOCdevkit/VOC2012"):
                for folder in self._editions(os.path.normpath(storage.join(start, below))):
                    if storage.is_folder(storage.join(folder, IMAGES)):
                        return folder
        raise LayoutError(
            f"{' and '.join(starts)}: found no VOC2012 with {IMAGES} in it; name {self.source}: "
            "dsbuild voc SOURCE"
        )

    def _editions(self, folder: str) -> list[str]:
        """Return folder, and VOC2012's siblings in it (VOC2007, ...) where it is a VOCdevkit."""
        years = [n for n in storage.names(folder) if n.startswith("VOC20") and len(n) == 7]
        return [folder, *(storage.join(folder, year) for year in reversed(years))]

    def splits(self, root: str) -> tuple[str, ...]:
        """Return the names of all lists: train, augmented, val, trainval, test, then others."""
        known = ("train", *AUGMENTED, "val", "trainval", *UNLABELLED)
        names = lists(storage.join(root, LISTS))
        if not names:
            raise LayoutError(
                f"{storage.join(root, LISTS)}: found no list, expected train.txt, val.txt or the "
                "like, with one id a line"
            )
        return tuple(sorted(names, key=lambda n: (known.index(n) if n in known else 99, n)))

    def samples(self, root: str, split: str) -> Iterator[Sample]:
        """Yield the samples of a list; raise LayoutError with file and line where it is wrong."""
        path = storage.join(root, LISTS, f"{split}.txt")
        entries = list(_entries(path))
        if not entries:
            raise LayoutError(f"{path}: the list is empty, expected one id a line")
        auto = self.labels == "auto"
        bare = [entry.key for entry in entries if not auto or entry.label is None]
        place = self._folder(root, path, bare, split in UNLABELLED) if bare else None
        for entry in entries:
            if auto and entry.label is not None:
                yield entry
            elif place is None:
                yield Sample(entry.key, entry.image, None)
            else:
                yield Sample(entry.key, entry.image, f"{place[0]}/{entry.key}{place[1]}")

    def _folder(
        self, root: str, path: str, keys: list[str], unlabelled: bool
    ) -> tuple[str, str] | None:
        """Return the folder of labels and their extension for the keys of a list.

        None where the list may be unlabelled, and no label was found.
        """
        if self.labels != "auto":
            folder, extension = self._place(root, self.labels)
            if not storage.is_folder(storage.join(root, folder)):
                there = [f for f, _ in FOLDERS.values() if storage.is_folder(storage.join(root, f))]
                raise LayoutError(
                    f"{storage.join(root, folder)}: there is no such folder, which --labels "
                    f"{self.labels} asks for; there are {', '.join(there) or 'no labels at all'}"
                )
            return folder, extension
        have = {}
        for kind in FOLDERS:
            folder, extension = self._place(root, kind)
            names = set(storage.names(storage.join(root, folder)))
            have[folder, extension] = sum(
                bool(storage.stamp(storage.join(root, folder, key + extension)))
                if "/" in key
                else f"{key}{extension}" in names
                for key in keys
            )
        best = max(have, key=have.get)  # the first of equals: the order of FOLDERS
        if not have[best] and unlabelled:
            return None
        if not have[best]:
            raise LayoutError(
                f"{path}: found no label for any listed id, expected {keys[0]}.png in one of "
                f"{', '.join(folder for folder, _ in have)} of {root}; is the list one of ids, and "
                "are the labels there?"
            )
        return best

    def _place(self, root: str, kind: str) -> tuple[str, str]:
        folder, extension = FOLDERS[kind]
        if kind == "sbd" and not storage.is_folder(storage.join(root, folder)):
            for above in ("..", "../.."):
                candidate = f"{above}/benchmark_RELEASE/dataset/{folder}"
                if storage.is_folder(storage.join(root, candidate)):
                    return candidate, extension
        return folder, extension

    def published(self, root: str) -> Mapping[str, int]:
        """Return the published list lengths of VOC 2012 and of the augmented list."""
        if os.path.basename(os.path.abspath(root)) != "VOC2012":
            return {}
        return {
            "train": 1464,
            "val": 1449,
            "trainval": 2913,
            **dict.fromkeys(AUGMENTED, 10582),
        }

    def plane(self, data: bytes, path: str) -> "np.ndarray":
        """Return the class indices of a label PNG, or of SBD's MATLAB file: uint8 (h, w)."""
        if not data.startswith(b"MATLAB"):
            return super().plane(data, path)
        try:
            from scipy.io import loadmat
        except ImportError as error:
            # No fault of the sample, so none that may be skipped.
            raise PlanError(
                "found SBD labels (.mat), which scipy reads: pip install 'dsbuild[sbd]'"
            ) from error
        try:
            plane = loadmat(io.BytesIO(data))["GTcls"][0, 0]["Segmentation"]
        except Exception as error:  # scipy raises many kinds for damaged files
            raise ImageError(
                f"found a MATLAB file without GTcls(1).Segmentation ({error})"
            ) from error
        if plane.ndim != 2 or plane.dtype.kind not in "ui" or plane.size == 0:
            raise ImageError(
                f"found an SBD label of {plane.dtype} {plane.shape}, expected (h, w) integers"
            )
        if plane.min() < 0 or plane.max() > 255:
            raise ImageError(f"found SBD label values up to {plane.max()}, expected 0 to 255")
        return plane.astype("uint8")


def _entries(path: str) -> Iterator[Sample]:
    """Yield a list's lines: an id, or `/JPEGImages/x.jpg /SegmentationClassAug/x.png`."""
    try:
        lines = storage.read(path)[0].decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise LayoutError(f"{path}: found bytes that are no text (UTF-8)") from error
    seen: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words:
            continue
        where = f"{path}, line {number}"
        image, *label = words
        if len(label) > 1 or (label and "/" not in label[0]):
            raise LayoutError(
                f"{where}: found {line.strip()!r}, expected an id, or the paths of image and label"
            )
        if "/" in image and os.path.splitext(image)[1]:
            image, label = image.lstrip("/"), [name.lstrip("/") for name in label]
            key = os.path.splitext(os.path.basename(image))[0]
            if label and os.path.splitext(os.path.basename(label[0]))[0] != key:
                raise LayoutError(
                    f"{where}: found the label {label[0]!r} beside the image {image!r}, expected "
                    "one of the same name"
                )
        else:
            key, image = image, f"{IMAGES}/{image}.jpg"
        for name in (key, image, *label):
            if name.startswith("/") or ".." in name.split("/") or not name.isprintable():
                raise LayoutError(
                    f"{where}: found {line.strip()!r}, which leads out of the data set; expected "
                    "plain ids, without '..', a leading '/' or control characters"
                )
        if key in seen:
            raise LayoutError(
                f"{where}: found {key!r} again, which line {seen[key]} lists already; remove one"
            )
        seen[key] = number
        yield Sample(key, image, label[0] if label else None)
