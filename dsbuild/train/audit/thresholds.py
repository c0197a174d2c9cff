"""Confident learning, streamed: how sure models are of each class where labels say it is there.

A class's threshold is the mean confidence in it over the pixels that are labelled with it. A pixel
is a candidate for a label error if the model prefers another class, and is at least as sure of
that as it usually is. Sums are whole numbers, so their order does not matter.

Source: Northcutt, Jiang, Chuang: Confident Learning (2021); cleanlab, segmentation/filter.py.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsbuild.train.audit.planes import WHOLE, Seen


@dataclass(frozen=True)
class Thresholds:
    """Sums over pixels by their given class, which add up.

    Attributes:
      sums: of the confidence in the class, in units of 1/65535: int64 (c,).
      counts: of pixels: int64 (c,).
    """

    sums: NDArray[np.int64]
    counts: NDArray[np.int64]

    @classmethod
    def over(cls, records: Iterable[Seen], classes: int) -> "Thresholds":
        """Return the sums over records."""
        sums, counts = np.zeros(classes, np.int64), np.zeros(classes, np.int64)
        for one in records:
            given, own = one.given[one.judged], one.own[one.judged]
            # Exact: a double holds whole numbers to 2**53, which no plane's sum comes near.
            sums += np.bincount(given, own, classes).astype(np.int64)
            counts += np.bincount(given, minlength=classes)
        return cls(sums, counts)

    def __add__(self, other: "Thresholds") -> "Thresholds":
        return Thresholds(self.sums + other.sums, self.counts + other.counts)

    @property
    def values(self) -> list[float | None]:
        """The threshold of each class; None if no pixel is labelled with it."""
        pairs = zip(self.sums.tolist(), self.counts.tolist(), strict=True)
        return [total / (count * WHOLE) if count else None for total, count in pairs]

    @property
    def mean(self) -> float:
        """The mean confidence in the labels over all pixels; 0 without any."""
        return float(self.sums.sum() / max(1, int(self.counts.sum())) / WHOLE)

    @property
    def limits(self) -> NDArray[np.int64]:
        """The least confidence in each class that reaches its threshold: int64 (c,).

        No confidence reaches that of a class without pixels.
        """
        least = -(-self.sums // np.maximum(self.counts, 1))
        return np.where(self.counts > 0, least, WHOLE + 1)


def candidates(one: Seen, limits: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return the pixels whose label is likely wrong: bool (h, w)."""
    sure = one.confidence >= limits[one.model]
    return np.asarray(one.judged & (one.model != one.given) & sure)
