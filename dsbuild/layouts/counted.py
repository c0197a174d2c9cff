"""Tell whether the labels of pairs count their classes from 1, by the labels themselves.

With N names, labels that hold all of 1 to N and no 0 have only this reading: as indices from 0 on,
N would be no class.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from dsbuild import storage
from dsbuild.errors import ImageError, StorageError

if TYPE_CHECKING:
    from dsbuild.layouts.base import Layout

_GLANCED = 2  # labels that are opened first, since most hold a 0
OPENED = 16  # labels that decide


def glanced(folder: str) -> list[str]:
    """Return the paths of a few files in a folder, at most."""
    entries = storage.some(folder, _GLANCED).entries
    return [storage.join(folder, name) for name, is_folder in entries if not is_folder]


def fits(layout: "Layout", paths: Sequence[str]) -> bool:
    """Tell whether labels hold no 0, and no value beyond those of classes counted from 1."""
    return all(values is None or _within(values, layout) for values in _values(layout, paths))


def from_1(layout: "Layout", paths: Sequence[str]) -> bool:
    """Tell whether labels hold the values 1 to N together, all can be read, and `fits` them."""
    found: set[int] = set()
    for values in _values(layout, paths):
        if values is None or not _within(values, layout):
            return False
        found |= values
    return len(layout.classes) > 1 and found - {layout.ignore} == _wanted(layout)


def _wanted(layout: "Layout") -> set[int]:
    return {*range(1, len(layout.classes) + 1)}


def _within(values: set[int], layout: "Layout") -> bool:
    return 0 not in values and values <= _wanted(layout) | {layout.ignore}


def _values(layout: "Layout", paths: Sequence[str]) -> Iterator[set[int] | None]:
    """Yield the values of each label; None for one that a build will name."""
    for path in paths:
        try:
            yield {*layout.read(storage.read(path)[0], path).counts}
        except (ImageError, StorageError):
            yield None
