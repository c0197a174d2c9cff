"""The order of an epoch as a pure function: which record comes at which place.

Only numbers are kept, so an epoch is resumed at any place by its number, and divided among any
number of readers that need not know of each other.
"""

import bisect
import functools
import itertools
from dataclasses import dataclass

import numpy as np

from dsbuild.errors import PlanError

WINDOW = 1 << 14


@dataclass(frozen=True)
class Order:
    """The order in which the records of some blocks, such as shards, are read in an epoch.

    Attributes:
      blocks: number of records of each block.
      seed: None for the order in which they are stored; otherwise blocks are shuffled, then
        records within windows over the shuffled blocks.
      epoch: each has its own order.
      window: how many records are shuffled together.
    """

    blocks: tuple[int, ...]
    seed: int | None = None
    epoch: int = 0
    window: int = WINDOW

    def __post_init__(self) -> None:
        if self.window < 1:
            raise PlanError(f"window {self.window}: expected at least 1 record")

    def __len__(self) -> int:
        return self._starts[-1]

    @functools.cached_property
    def _starts(self) -> list[int]:
        return [0, *itertools.accumulate(self.blocks)]

    @functools.cached_property
    def _shuffled(self) -> tuple[np.ndarray, list[int]]:
        """The blocks in their order, and where each begins in it."""
        blocks = self._random(0).permutation(len(self.blocks))
        return blocks, [0, *itertools.accumulate(self.blocks[i] for i in blocks)]

    def _random(self, *what: int) -> np.random.Generator:
        # A seed sequence mixes all its numbers, whichever differs.
        assert self.seed is not None, "an order without a seed draws nothing"
        return np.random.Generator(np.random.PCG64([self.seed % 2**63, self.epoch, *what]))

    @functools.cached_property
    def _last(self) -> dict[int, np.ndarray]:
        """The last window: most places are asked for in order."""
        return {}

    def _window(self, number: int) -> np.ndarray:
        found = self._last.get(number)
        if found is None:
            size = min(self.window, len(self) - number * self.window)
            found = self._random(1, number).permutation(size)
            self._last.clear()
            self._last[number] = found
        return found

    def __getitem__(self, place: int) -> int:
        """Return the number of the record at a place."""
        if not 0 <= place < len(self):
            raise IndexError(place)
        if self.seed is None:
            return place
        window, inner = divmod(place, self.window)
        place = window * self.window + int(self._window(window)[inner])
        blocks, starts = self._shuffled
        at = bisect.bisect_right(starts, place) - 1
        return self._starts[int(blocks[at])] + place - starts[at]


@dataclass(frozen=True)
class Share:
    """The places of an epoch that one reader has: each place belongs to exactly one.

    Attributes:
      index, count: which reader of how many; the index is something like rank * workers + worker.
    """

    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise PlanError(
                f"found reader {self.index} of {self.count}, expected an index from 0 to count - 1"
            )

    def places(self, total: int) -> range:
        """Return the reader's places in order."""
        return range(self.index, total, self.count)
