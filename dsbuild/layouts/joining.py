"""Join two listings by key, with few rows in memory however long they are."""

import itertools
from collections.abc import Iterable, Iterator
from operator import itemgetter
from typing import NamedTuple

from dsbuild.storage import spool

_Row = tuple[str, int, int, str]  # key, side, place, path


class Joined(NamedTuple):
    """A key with the paths that either side lists for it, in the order of its list."""

    key: str
    ones: list[str]
    others: list[str]


def joined(ones: Iterable[tuple[str, str]], others: Iterable[tuple[str, str]]) -> Iterator[Joined]:
    """Yield all keys of two lists of key and path, by the place of their first path in `ones`.

    Keys that only `others` has come first.
    """
    rows = (
        (key, side, place, path)
        for side, pairs in enumerate((ones, others))
        for place, (key, path) in enumerate(pairs)
    )
    groups = itertools.groupby(spool.ordered(rows, key=itemgetter(0)), key=itemgetter(0))
    found = (_group(key, [*group]) for key, group in groups)
    return (group for _, group in spool.ordered(found, key=itemgetter(0)))


def _group(key: str, rows: list[_Row]) -> tuple[int, Joined]:
    """Return a group of rows, those of `ones` first, and its place."""
    sides: tuple[list[str], list[str]] = ([], [])
    for _, side, _, path in rows:
        sides[side].append(path)
    return rows[0][2] if sides[0] else -1, Joined(key, *sides)
