"""What a layout recognises in a folder, and how it looks there: at a few names, never at all.

A folder may hold millions of files and may be on a store, so every look is bounded.
"""

import functools
import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from dsbuild import storage
from dsbuild.layouts.folders import composed, is_picture

PUBLISHED, NAMED, FORMED = 3, 2, 1
_DEPTH, _SIDE = 4, 3  # folders below each other, and beside each other, that are searched


@dataclass(frozen=True)
class Recognised:
    """What a layout found in a folder, or looked for there and did not find.

    Attributes:
      layout: name of the layout, as of its command.
      text: what was found, or what was looked for, in one sentence without a full stop.
      certainty: 0 if this is not the layout; FORMED if folders and files have its form; NAMED if
        folders also have names that say what they hold; PUBLISHED if they have the names of the
        published data set.
      options: options that the layout needs for what it found, by the names that users have.
      needs: options that only a user can choose, in words; empty if there are none.
      barred: why given options do not belong to the layout; empty if they do.
    """

    layout: str
    text: str
    certainty: int = 0
    options: Mapping[str, str] = field(default_factory=dict)
    needs: str = ""
    barred: str = ""

    def __bool__(self) -> bool:
        return self.certainty > 0 and not self.barred


class Glance:
    """Bounded looks at folders, each made once."""

    def __init__(self) -> None:
        self._some = functools.cache(storage.some)

    def folders(self, folder: str) -> list[str]:
        """Return the names of folders in a folder, except hidden ones."""
        return [name for name, inner in self._some(folder).entries if inner and name[0] != "."]

    def files(self, folder: str) -> list[str]:
        """Return the names of files in a folder, except hidden ones."""
        return [name for name, inner in self._some(folder).entries if not inner and name[0] != "."]

    def pictures(self, folder: str) -> list[str]:
        """Return the names of pictures in a folder."""
        return list(filter(is_picture, self.files(folder)))

    def below(self, folder: str, depth: int = _DEPTH) -> list[str]:
        """Return some pictures below a folder, as paths from it: those of its first such folder."""
        there = self.pictures(folder)
        if there or not depth:
            return there
        for name in self.folders(folder)[:_SIDE]:
            found = self.below(storage.join(folder, name), depth - 1)
            if found:
                return [f"{name}/{path}" for path in found]
        return []

    def count(self, folder: str, what: str = "picture") -> str:
        """Return how many pictures lie in a folder itself, in words: `1,464 pictures`."""
        number = len(self.pictures(folder))
        over = "" if self._some(folder).whole else "over "
        return f"{over}{number:,} {what}{'' if number == 1 and not over else 's'}"

    def whole(self, *folders: str) -> bool:
        """Tell whether looks at folders show all of their names."""
        return all(self._some(folder).whole for folder in folders)

    def has(self, *names: str) -> bool:
        """Tell whether a folder is there."""
        return storage.is_folder(storage.join(*names))


def listed(names: Iterable[str], most: int = 4) -> str:
    """Return names in words, the first of them if they are many.

    >>> listed(["a", "b"]), listed("abcdef")
    ('a and b', 'a, b, c, d and 2 more')
    """
    names = list(names)
    more = [f"{len(names) - most:,} more"] if len(names) > most + 1 else []
    first = [*(names[:most] if more else names), *more]
    return " and ".join([", ".join(first[:-1]), first[-1]] if first[1:] else first)


def suffix(images: Iterable[str], labels: Iterable[str]) -> str | None:
    """Return what the stems of labels add to those of images; None if none of them match.

    A number is not torn in two: 0 and 000 do not match.

    >>> suffix(["a.jpg", "b.jpg"], ["a_mask.png", "b_mask.png"]), suffix(["a.jpg"], ["b.png"])
    ('_mask', None)
    >>> suffix(["0.jpg", "1.jpg"], ["000.png", "001.png"]) is None
    True
    """
    stems = {composed(posixpath.splitext(path)[0]) for path in images}
    for label in labels:
        stem = composed(posixpath.splitext(label)[0])
        for end in range(len(stem), 0, -1):
            torn = end < len(stem) and stem[end - 1 : end + 1].isdecimal()
            if stem[:end] in stems and not torn:
                return stem[end:]
    return None
