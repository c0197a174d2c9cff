"""Keep and sort more values than memory holds, in a temporary file."""

import contextlib
import functools
import heapq
import itertools
import pickle
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import IO, Any, Generic, TypeVar

from dsbuild.storage import temporary

Value = TypeVar("Value")

_BATCH = 1 << 10  # values that are pickled together
_RUN = 1 << 12  # values that are sorted in memory
_MERGED = 16  # runs that are merged at a time, each of which may have a file open
_MEMORY = 1 << 20  # bytes; a larger spool moves to a temporary file


class Spool(Generic[Value]):
    """Picklable values in order, written once and read any number of times.

    More than `memory` bytes move to a file. It has no name, so nothing is left of it however the
    process ends.
    """

    def __init__(
        self, values: Iterable[Value], memory: int = _MEMORY, batch_size: int = _BATCH
    ) -> None:
        self._count = 0
        self._file = tempfile.SpooledTemporaryFile(memory)  # noqa: SIM115
        weakref.finalize(self, _close, self._file)
        for batch in batches(values, batch_size):
            self._count += len(batch)
            with temporary.named():
                pickle.dump(batch, self._file, pickle.HIGHEST_PROTOCOL)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Value]:
        place, left = 0, self._count
        while left:
            # Another iterator may have moved the file's position since the last batch.
            with temporary.named():
                self._file.seek(place)
                batch = pickle.load(self._file)
                place = self._file.tell()
            left -= len(batch)
            yield from batch


def _close(file: IO[bytes]) -> None:
    with contextlib.suppress(OSError):  # unwritten data no longer matters
        file.close()


def batches(values: Iterable[Value], size: int) -> Iterator[list[Value]]:
    """Yield values in lists of `size`; the last one may be shorter."""
    values = iter(values)
    while batch := list(itertools.islice(values, size)):
        yield batch


def spaced(values: Sequence[Value] | Spool[Value], count: int) -> list[Value]:
    """Return `count` values or somewhat more, evenly spaced, the first included.

    >>> spaced("abcdefg", 3)
    ['a', 'c', 'e', 'g']
    """
    return list(itertools.islice(values, 0, None, max(1, len(values) // count)))


def ordered(
    values: Iterable[Value], key: Callable[[Value], Any], run: int = _RUN, most: int = _MERGED
) -> Iterator[Value]:
    """Yield values sorted by key, equal ones in their order, with about `run` in memory.

    Sorted runs are spooled and merged (Knuth, The Art of Computer Programming 3, 5.4). `most` runs
    of a level become one of the next, so that few files are open however many values there are.
    """
    levels: list[list[Iterable[Value]]] = [[]]
    # Of each run that is merged one batch is in memory.
    spooled = functools.partial(Spool, memory=_MEMORY // most, batch_size=max(1, run // most))
    for batch in batches(values, run):
        batch.sort(key=key)
        if len(batch) < run and not any(levels):
            return iter(batch)
        levels[0].append(spooled(batch))
        for level, runs in enumerate(levels):
            if len(runs) < most:
                break
            if level + 1 == len(levels):
                levels.append([])
            levels[level + 1].append(spooled(heapq.merge(*runs, key=key)))
            runs.clear()
    # Higher levels have the earlier values, which come first if keys are equal.
    return heapq.merge(*(one for runs in reversed(levels) for one in runs), key=key)
