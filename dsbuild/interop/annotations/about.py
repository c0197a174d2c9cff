"""What a folder of TFRecords says about its records as a whole, as far as targets can hold it."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dsbuild import storage
from dsbuild.errors import PlanError
from dsbuild.format.folder import Folder, split_of
from dsbuild.interop import terms
from dsbuild.interop.export.splits import files, split
from dsbuild.interop.terms import Terms

RGB = tuple[int, int, int]
BACKGROUND = "background"
IGNORED = 255  # what tools take for no class, for folders that do not say


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
      others: splits of the folder that are not exported.
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
    others: tuple[str, ...] = ()

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


def of(folder: Folder, splits: Sequence[str] = (), classes: Sequence[str] = ()) -> About:
    """Return what a folder says of some of its splits, or all.

    `classes` are the names for a folder without a manifest. Raises PlanError if nothing names its
    classes.
    """
    known, chosen = folder.surrounding.manifest, {split(path) for path in files(folder, splits)}
    found = dict.fromkeys(map(split, folder.files))
    every = [*(name for name in known.splits if name in found), *found] if known else [*found]
    ours = tuple(dict.fromkeys(name for name in every if name in chosen))
    others = tuple(dict.fromkeys(name for name in every if name not in chosen))
    if known is None:
        return _foreign(folder, ours, others, tuple(classes))
    return About(
        known.classes,
        known.ignore,
        known.palette,
        ours,
        known.title,
        str(known.document.get("digest", "")),
        known.things if known.divisor else (),
        sum(one.rejects for name, one in known.splits.items() if name in ours),
        terms.load(folder.surrounding.path),
        known.recipe.get("images", {}).get("depth", 8),
        others,
    )


def _foreign(
    folder: Folder, splits: tuple[str, ...], others: tuple[str, ...], classes: tuple[str, ...]
) -> About:
    """Return what is known of a folder of another tool, by the names of its classes."""
    if not classes:
        raise PlanError(
            f"{folder.path}: found no manifest.json, so nothing names its classes; name them with "
            "--classes FILE, one per line, that of label 0 first"
        )
    unnamed = [path for path in folder.files if split_of(path) == "-"]
    if unnamed and len(unnamed) < len(folder.files):
        raise PlanError(
            f"{unnamed[0]}: found no split in its name; expected one such as train, since other "
            "files here have one"
        )
    ignore = IGNORED if len(classes) <= IGNORED else None
    return About(classes, ignore, {}, splits, storage.name(folder.path), others=others)
