"""Which splits of a folder are exported: those that are asked for, or all."""

from collections.abc import Sequence

from dsbuild.errors import PlanError, nearest
from dsbuild.format.folder import Folder, split_of

UNNAMED = "train"  # what a file is taken for whose name has no split


def split(path: str) -> str:
    """Return the split of a file; `train` if its name says none."""
    found = split_of(path)
    return UNNAMED if found == "-" else found


def files(folder: Folder, splits: Sequence[str]) -> tuple[str, ...]:
    """Return the files of some splits, or all; raise PlanError for a split that is not there."""
    if not splits:
        return folder.files
    there = list(dict.fromkeys(map(split, folder.files)))
    for name in splits:
        if name not in there:
            raise PlanError(
                f"{folder.path}: found no split {name!r}; expected one of {', '.join(there)}"
                f"{nearest(name, there)}"
            )
    return tuple(path for path in folder.files if split(path) in splits)
