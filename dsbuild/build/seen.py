"""The stamps of a split's sources as its audit saw them, in the order of its plan.

Checking shards compares these with their receipts, so that sources are looked up once: on a store
each lookup by a worker would list whole folders again.
"""

from array import array
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import starmap
from typing import TypeAlias

from dsbuild.format.receipts import Row
from dsbuild.layouts import Sample
from dsbuild.storage import Stamp, join, stamps
from dsbuild.storage.heap import Heap

Packed: TypeAlias = bytes  # stamps one after another

_FLUSHED = 1 << 16  # numbers that are kept in memory
_ABSENT = (-1, -1)


class Seen:
    """Stamps, kept one after another; if they are many, in a temporary file."""

    def __init__(self) -> None:
        self._heap = Heap()
        self._last = array("q")

    def sources(
        self, samples: Iterable[Sample], root: str
    ) -> Iterator[tuple[Sample, str, Stamp | None]]:
        """Look up the files of samples; yield sample, path and stamp of each."""
        asked: deque[tuple[Sample, str]] = deque()

        def paths() -> Iterator[str]:
            for sample in samples:
                for path in sample.files:
                    asked.append((sample, path))
                    yield join(root, path)

        for stamp in self.adding(stamps(paths())):
            sample, path = asked.popleft()
            yield sample, path, stamp

    def adding(self, found: Iterable[Stamp | None]) -> Iterator[Stamp | None]:
        """Yield the stamps of files, None if there is no such file, and keep each."""
        for stamp in found:
            self._last.extend(stamp or _ABSENT)
            if len(self._last) >= _FLUSHED:
                self._flush()
            yield stamp

    def _flush(self) -> None:
        self._heap.add(self._last.tobytes())
        self._last = array("q")

    def parts(self, counts: Iterable[int]) -> Iterator[Packed]:
        """Yield the next stamps, packed, as many as each count says."""
        self._flush()
        offset = 0
        for count in counts:
            size = 2 * count * self._last.itemsize
            yield self._heap.read(offset, size)
            offset += size


def agree(known: Packed, rows: Iterable[Row]) -> bool:
    """Tell whether packed stamps are those in a receipt's rows, of two files for each sample."""
    noted = [number for row in rows for number in (*row[0:2], *row[3:5], *row[6:])]
    return array("q", [-1 if number is None else number for number in noted]).tobytes() == known


def unpacked(data: Packed) -> list[Stamp | None]:
    """Return packed stamps."""
    numbers = array("q")
    numbers.frombytes(data)
    pairs = list(starmap(Stamp, zip(numbers[::2], numbers[1::2], strict=True)))
    return [None if pair == _ABSENT else pair for pair in pairs] if _ABSENT in pairs else [*pairs]
