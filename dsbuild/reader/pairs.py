"""Samples as tuples (image, label, *extras), as supervised training takes them."""

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

from dsbuild.reader.epoch import Epoch
from dsbuild.reader.order import WINDOW, Order, Share
from dsbuild.reader.reader import Reader
from dsbuild.reader.sample import Sample


@dataclass(frozen=True, repr=False)
class Pairs(Sequence[tuple[Any, ...]]):
    """Samples as tuples (image, label, *extras), by number; `reader` has the rest.

    Example:
      >>> image, label = dsbuild.open("tfrecord", "train", as_supervised=True)[0]
      >>> image.dtype, image.shape[2], label.shape == image.shape[:2]
      (dtype('uint8'), 3, True)
    """

    reader: Reader

    def __len__(self) -> int:
        return len(self.reader)

    @overload
    def __getitem__(self, number: int) -> tuple[Any, ...]: ...

    @overload
    def __getitem__(self, number: slice) -> "Pairs": ...

    def __getitem__(self, number: int | slice) -> "tuple[Any, ...] | Pairs":
        """Return the tuple of a sample, or those of a slice; raise PlanError without a label."""
        if isinstance(number, slice):
            return Pairs(self.reader[number])
        return self.reader[number].pair()

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return (sample.pair() for sample in self.reader)

    @property
    def remote(self) -> bool:
        """Whether the files are objects of a store."""
        return self.reader.remote

    def ahead(self, numbers: Iterable[int]) -> Iterator[Callable[[], tuple[Any, ...]]]:
        """Yield a function for each tuple, as `Reader.ahead` does."""
        return (functools.partial(_paired, wait) for wait in self.reader.ahead(numbers))

    def epoch(
        self,
        seed: int | None = None,
        epoch: int = 0,
        *,
        window: int = WINDOW,
        index: int = 0,
        count: int = 1,
        start: int = 0,
        threads: int = 0,
    ) -> Epoch:
        """Return an iterator over an epoch of tuples; the arguments are those of `Reader.epoch`."""
        order = Order(self.reader.blocks, seed, epoch, window)
        return Epoch(self, order, Share(index, count), start, threads, load=_as_they_are)

    def __repr__(self) -> str:
        return f"<Pairs of {self.reader.about}>"

    def _repr_html_(self) -> str:
        return self.reader._repr_html_()


def _paired(wait: Callable[[], Sample]) -> tuple[Any, ...]:
    return wait().pair()


def _as_they_are(pair: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return a tuple, which is decoded already."""
    return pair
