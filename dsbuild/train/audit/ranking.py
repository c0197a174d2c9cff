"""Rank the regions of all records, holding only the most likely errors."""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsbuild.train.audit.planes import Seen
from dsbuild.train.audit.regions import Region, regions
from dsbuild.train.audit.suspects import Suspect


def ranked(
    records: Iterable[tuple[int, Seen]],
    limits: NDArray[np.int64],
    classes: Sequence[str],
    most: int,
) -> tuple[list[Suspect], int]:
    """Return the suspects with the highest scores, at most `most`, and how many there are in all.

    Args:
      records: each with its fold.
      limits: the least confidence of each class, see `Thresholds`.
      classes: their names.
      most: how many to return.
    """
    total = 0

    def found() -> Iterator[tuple[Any, ...]]:
        nonlocal total
        for fold, one in records:
            for part, region in enumerate(regions(one, limits)):
                if region.score > 0:
                    total += 1
                    yield -region.score, one.split, one.number, part, fold, *_cut(one, region)

    best = heapq.nsmallest(most, found(), key=lambda row: row[:4])
    suspects = [
        Suspect(
            rank=rank,
            key=key,
            split=split,
            record=number,
            box=box,
            area=area,
            given=classes[given],
            suggested=classes[model],
            score=round(-score, 3),
            fold=fold,
            part=part,
        )
        for rank, (score, split, number, part, fold, key, box, area, given, model) in enumerate(
            best, 1
        )
    ]
    return suspects, total


def _cut(one: Seen, region: Region) -> tuple[str, tuple[int, int, int, int], int, int, int]:
    """Return what the list says of a region: key, box, area, classes."""
    return one.key, box(one, region), area(one, region), region.given, region.model


def box(one: Seen, region: Region) -> tuple[int, int, int, int]:
    """Return left, top, width and height of a region in pixels of the label."""
    ends = []
    starts = region.top, region.left
    for start, side, full, whole in zip(
        starts, region.mask.shape, one.size, one.given.shape, strict=True
    ):
        first, last = start * full // whole, -(-(start + side) * full // whole)
        ends.append((first, last - first))
    (top, height), (left, width) = ends
    return left, top, width, height


def area(one: Seen, region: Region) -> int:
    """Return the area of a region in pixels of the label."""
    pixels = int(np.count_nonzero(region.mask))
    return round(pixels * one.size[0] * one.size[1] / one.given.size)
