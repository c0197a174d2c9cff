"""Pascal VOC, its DeepLab copy, its augmented labels, and the labels of SBD.

    VOCdevkit/VOC2012/
      JPEGImages/<id>.jpg
      SegmentationClass/<id>.png       palette PNG: index 0..20, 255 is the void border
      SegmentationClassRaw/<id>.png    DeepLab's copy without the palette
      SegmentationClassAug/<id>.png    made from SBD; grey, or in some copies with a palette
      cls/<id>.mat                     SBD itself (or in a folder beside, see `sbd`)
      ImageSets/Segmentation/<split>.txt

Sources: Everingham et al., The Pascal VOC Challenge, IJCV 2010, and its development
kit; Hariharan et al., Semantic Contours from Inverse Detectors, ICCV 2011 (SBD).
"""

import collections
import contextlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from dsbuild import storage
from dsbuild.errors import LayoutError
from dsbuild.fields import field
from dsbuild.layouts import sbd, voc_forms, voc_labels
from dsbuild.layouts.base import RGB, Layout, Sample
from dsbuild.layouts.finding import Finding
from dsbuild.layouts.folders import composed, folders, lists, require, unpaired
from dsbuild.layouts.recognition import PUBLISHED, Glance, Recognised
from dsbuild.layouts.voc_labels import FOLDERS
from dsbuild.layouts.voc_lists import IMAGES, LISTS, count_listed, elsewhere, entries, photos

if TYPE_CHECKING:
    from dsbuild.images.labels import Label

EDITION = "VOC2012"
# The three names that the list has in the wild; a missing list is made under the first.
AUGMENTED = ("train_aug", "trainaug", "aug")
UNLABELLED = ("test",)


def _palette() -> tuple[RGB, ...]:
    """Return VOC's 256 colours: the bits of an index dealt to R, G and B from the top.

    Source: VOCdevkit/VOCcode/VOClabelcolormap.m.
    """

    def channel(index: int, first: int) -> int:
        return sum((index >> (first + 3 * i) & 1) << (7 - i) for i in range(3))

    return tuple((channel(i, 0), channel(i, 1), channel(i, 2)) for i in range(256))


def _places(start: str, folders: Callable[[str], list[str]]) -> Iterator[str]:
    """Yield the folders that may hold JPEGImages: VOC2012 and other years, in VOCdevkit or not.

    `folders` returns the names of the folders in a folder.
    """
    # The last one is for Kaggle's archives, which hold a folder of their own name.
    for below in ("", "VOC2012", "VOCdevkit", "VOCdevkit/VOC2012", storage.name(start)):
        folder = storage.normal(storage.join(start, below))
        yield folder
        years = (name for name in folders(folder) if re.fullmatch(r"VOC20\d\d", name))
        yield from (storage.join(folder, year) for year in sorted(years, reverse=True))


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
        "auto",
        "Where the labels come from: SegmentationClass, SegmentationClassRaw, "
        "SegmentationClassAug, or SBD's cls/*.mat. auto: the first of these that has labels of the "
        "split; it must have all of them.",
        choices=("auto", *FOLDERS),
    )

    def find(self, source: str | None) -> str:
        """Return the folder VOC2012, given itself, VOCdevkit, or the folder above that."""
        require(source)
        starts = [source] if source is not None else [".", "data"]
        for start in starts:
            for folder in _places(start, folders):
                if storage.is_folder(storage.join(folder, IMAGES)):
                    return folder
        raise LayoutError(
            f"{' and '.join(starts)}: found no VOC2012 with {IMAGES} in it; name {self.source}: "
            "dsbuild voc SOURCE"
        )

    @classmethod
    def recognise(cls, path: str, _given: Mapping[str, str], /) -> Recognised:
        """Recognise JPEGImages beside the lists in ImageSets/Segmentation."""
        glance = Glance()
        places = (one for one in _places(path, glance.folders) if glance.has(one, IMAGES))
        root = next(places, None)
        if root is None:
            return cls.seen(0, f"no {IMAGES}, here or in VOCdevkit/VOC2012")
        names = lists(storage.join(root, LISTS))
        if not names:
            return cls.seen(0, f"{IMAGES}, but no list in {LISTS}")
        other = voc_forms.other(root, cls.classes, cls.palette)
        if other:
            return cls.seen(
                0, f"{IMAGES} and {LISTS}, but other classes than VOC's in {other.path}"
            )
        year = re.fullmatch(r"VOC(20\d\d)", storage.name(root))
        title = f"{cls.title} {year[1]}" if year else cls.title
        return cls.seen(PUBLISHED, f"{title}: {count_listed(root, names)}")

    def splits(self, root: str) -> tuple[str, ...]:
        """Return the names of all lists: train, augmented, val, trainval, test, then others.

        They include train_aug if it has no list but can be made.
        """
        voc_forms.check(root, self.classes, self.palette)
        order = ("train", *AUGMENTED, "val", "trainval", *UNLABELLED)
        names = lists(storage.join(root, LISTS))
        if not names:
            raise LayoutError(
                f"{storage.join(root, LISTS)}: found no list, expected train.txt, val.txt or the "
                f"like, with one id per line{elsewhere(root)}"
            )
        if self._augmented(root):
            names.append(AUGMENTED[0])
        return tuple(sorted(names, key=lambda n: (order.index(n) if n in order else 99, n)))

    def samples(self, root: str, split: str) -> Iterator[Sample]:
        """Yield the samples of a list; raise LayoutError with file and line if it is wrong."""
        made = self._augmented(root) if split == AUGMENTED[0] else []
        if made:
            yield from self._made(root, made)
            return
        path = storage.join(root, LISTS, f"{split}.txt")
        listed = list(entries(path, photos(root)))
        if not listed:
            raise LayoutError(
                f"{path}: the list is empty, expected one id per line; remove it, or name the "
                "others with --split"
            )
        auto = self.labels == "auto"
        bare = [entry.key for entry in listed if not auto or entry.label is None]
        place = self._place(root, split, bare) if bare else None
        for entry in listed:
            if auto and entry.label is not None:
                yield entry
            elif place is None:
                yield Sample(entry.key, entry.image, None)
            else:
                yield Sample(entry.key, entry.image, voc_labels.path(root, place, entry.key))

    def _place(self, root: str, split: str, keys: list[str]) -> voc_labels.Place | None:
        """Return the folder of labels and their extension for the keys of a list.

        Return None if the list may be unlabelled and no label was found.
        """
        if self.labels != "auto":
            return voc_labels.named(root, self.labels)
        best = voc_labels.choose(root, split, keys, wide=split in AUGMENTED)
        if best is None and split not in UNLABELLED:
            folders = (voc_labels.place(root, kind)[0] for kind in FOLDERS)
            raise LayoutError(
                f"{storage.join(root, LISTS, split)}.txt: found no label for any listed id, "
                f"expected {keys[0]}.png in one of {', '.join(folders)} in {root}; check that the "
                "list holds ids, and that the labels are there"
            )
        return best

    def _augmented(self, root: str) -> list[str]:
        """Return the ids of train_aug if it has no list and can be made, else none.

        They are VOC's train and all of SBD without VOC's val, sorted. SBD's lists say what SBD
        has, or else its labels.
        """
        names, edition = lists(storage.join(root, LISTS)), storage.name(root)
        if not {"train", "val"} <= {*names} or not {*AUGMENTED}.isdisjoint(names):
            return []
        if re.fullmatch(r"VOC20\d\d", edition) and edition != EDITION:  # SBD belongs to 2012
            return []
        added = sbd.listed(root)
        for kind in ("aug", "sbd"):
            folder, extension = voc_labels.place(root, kind)
            added = added or sbd.stems(storage.join(root, folder), extension)
        if not added:
            return []
        paths = [storage.join(root, LISTS, f"{split}.txt") for split in ("train", "val")]
        there = photos(root)
        train, val = ({entry.key for entry in entries(path, there)} for path in paths)
        return sorted((train | added) - val)

    def _made(self, root: str, keys: list[str]) -> Iterator[Sample]:
        """Yield the samples of train_aug without a list.

        SBD has no labels for some of VOC's train, so `auto` takes each label from where it is.
        Images missing from VOC come from SBD.
        """
        if self.labels != "auto":
            places = [voc_labels.named(root, self.labels)]
            have = {places[0]: {*keys}}
        else:
            have = {voc_labels.place(root, k): v for k, v in voc_labels.have(root, keys).items()}
            places = sorted(have, key=lambda place: -len(have[place]))  # the first one if equal
        theirs, ending = sbd.place(root, sbd.IMAGES[0]), sbd.IMAGES[1]
        lent, own = sbd.stems(storage.join(root, theirs), ending), photos(root)
        for key in keys:
            place = next((place for place in places if key in have[place]), places[0])
            lost = f"{theirs if key in lent else IMAGES}/{key}{ending}"
            yield Sample(key, own.get(key, lost), voc_labels.path(root, place, key))

    def findings(self, root: str, split: str, samples: Iterable[Sample]) -> list[Finding]:
        """Find labels without an image, and a train_aug whose labels come from two folders."""
        there = lists(storage.join(root, LISTS))
        if split in there:
            first = next((name for name in self.splits(root) if name not in UNLABELLED), None)
            return self._alone(root, split, samples, there) if split == first else []
        counts = collections.Counter(os.path.dirname(str(sample.label)) for sample in samples)
        (most, _), *others = counts.most_common()
        return [
            Finding("source", split, f"{count:,} labels are from {folder}, since {most} has none")
            for folder, count in others
        ]

    def _alone(
        self, root: str, split: str, samples: Iterable[Sample], names: list[str]
    ) -> list[Finding]:
        """Find labels without an image or a list, and other files in the folder of labels.

        `names` are those of all lists.
        """
        folder, name = os.path.split(str(next(iter(samples)).label))
        ending = os.path.splitext(name)[1]
        names_there = storage.names(storage.join(root, folder))
        labelled = {composed(key) for key in sbd.without(names_there, ending)}
        listed = {sample.key for sample in samples}  # if images are missing, that is reported
        own, lent = {}, set()
        if labelled - listed:
            own = photos(root)
            lent = sbd.stems(storage.join(root, sbd.place(root, sbd.IMAGES[0])), sbd.IMAGES[1])
        found = unpaired(root, split, folder, names_there, ending, listed | own.keys() | lent)
        rest = (labelled - listed) & own.keys()
        for name in names if rest else ():
            with contextlib.suppress(LayoutError):  # the bad list of another split
                path = storage.join(root, LISTS, f"{name}.txt")
                rest -= {entry.key for entry in entries(path, own)}
        rest -= {*self._augmented(root)} if rest else set()
        if rest:
            text = (
                f"{storage.join(root, folder, min(rest) + ending)}: no list has it, nor "
                f"{len(rest) - 1:,} more with image and label"
            )
            found.append(Finding("stray", split, text))
        return found

    def published(self, root: str) -> Mapping[str, int]:
        """Return the published lengths of VOC 2012's lists and of the augmented list."""
        if storage.name(root) != EDITION:
            return {}
        return {
            "train": 1464,
            "val": 1449,
            "trainval": 2913,
            **dict.fromkeys(AUGMENTED, 10582),
        }

    def read(self, data: bytes, path: str) -> "Label":
        """Return the class indices in a label PNG or in an SBD MATLAB file."""
        if not data.startswith(b"MATLAB"):
            return super().read(data, path)
        from dsbuild.images import labels

        return labels.of(sbd.plane(data))
