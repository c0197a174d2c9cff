"""What a folder of TFRecords says about its records as a whole, as far as targets can hold it."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field

from dsbuild.errors import PlanError
from dsbuild.format.folder import Folder, split_of
from dsbuild.interop import terms
from dsbuild.interop.terms import Terms

RGB = tuple[int, int, int]
BACKGROUND = "background"
UNNAMED = "train"  # what a file is taken for whose name has no split


@dataclass(frozen=True)
class About:
    """Classes and splits of a folder, and what people say of it.

    Attributes:
      classes: names by index.
      ignore: the label value that is not a class, or None.
      palette: RGB by label value; empty if there is none.
      splits: names of splits, in order.
      title: of the data set.
      digest: of its manifest; empty without one.
      counted: the classes whose objects panoptic records tell apart; none if they are not.
      left_out: how many samples the build left out.
      terms: licence, citation, description.
      depth: bits per channel of the images.
    """

    classes: tuple[str, ...]
    ignore: int | None
    palette: Mapping[int, RGB]
    splits: tuple[str, ...]
    title: str = ""
    digest: str = ""
    counted: tuple[int, ...] = ()
    left_out: int = 0
    terms: Terms = field(default_factory=Terms)
    depth: int = 8

    @functools.cached_property
    def background(self) -> int | None:
        """The index of the class that is the background, or None."""
        plain = [name.casefold().strip("_") for name in self.classes]
        return plain.index(BACKGROUND) if BACKGROUND in plain else None

    @functools.cached_property
    def things(self) -> tuple[int, ...]:
        """The indices of all classes but the background, and one that is ignored."""
        others = (self.background, self.ignore)
        return tuple(i for i in range(len(self.classes)) if i not in others)

    @functools.cached_property
    def values(self) -> tuple[int, ...]:
        """All label values that records may have."""
        ignored = () if self.ignore is None else (self.ignore,)
        return tuple(dict.fromkeys((*range(len(self.classes)), *ignored)))

    def colours(self) -> dict[int, RGB]:
        """Return the palette if it has a colour of its own for every class; else nothing."""
        known = {i: self.palette[i] for i in range(len(self.classes)) if i in self.palette}
        return known if len({*known.values()}) == len(self.classes) else {}


def split(path: str) -> str:
    """Return the split of a file; `train` if its name says none."""
    found = split_of(path)
    return UNNAMED if found == "-" else found


def of(folder: Folder) -> About:
    """Return what a folder says; raise PlanError if nothing names its classes."""
    splits, known = dict.fromkeys(map(split, folder.files)), folder.surrounding.manifest
    if known is None:
        raise PlanError(
            f"{folder.path}: found no manifest.json, so nothing names its classes; annotations "
            "can be exported from folders that dsbuild built"
        )
    return About(
        known.classes,
        known.ignore,
        known.palette,
        tuple(name for name in (*known.splits, *splits) if splits.pop(name, 0) is None),
        known.title,
        str(known.document.get("digest", "")),
        known.things if known.divisor else (),
        sum(one.rejects for one in known.splits.values()),
        terms.load(folder.surrounding.path),
        known.recipe.get("images", {}).get("depth", 8),
    )
