"""Where the values of a plane lie in its frame, and the connected regions that they form.

A plane is cut into runs, stretches of one value within a row. Everything is counted over runs, of
which a mask has few: the cost depends neither on the number of classes nor on that of regions.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

CELLS = 16  # per side of the grid that is laid over a frame

Indices = NDArray[np.intp]


class Runs(NamedTuple):
    """The runs of a plane, row by row: one array each for value, row, first and last column."""

    value: NDArray[np.uint8]
    row: Indices
    first: Indices
    last: Indices


class Regions(NamedTuple):
    """Connected regions of one value each: their values, and their pixels."""

    value: NDArray[np.uint8]
    pixels: Indices


def cells(plane: NDArray[np.uint8]) -> dict[tuple[int, int], int]:
    """Return (value, cell) -> pixels, for a grid of `CELLS` x `CELLS` laid over the plane.

    Cells are numbered row by row from the upper left corner. The pixel in row y of h rows is in
    the grid's row `y * CELLS // h`, and columns likewise.
    """
    height, width = plane.shape
    edges = np.arange(1, CELLS) * width
    runs = _runs(plane, np.unique(-(-edges // CELLS)))
    cell = runs.row * CELLS // height * CELLS + runs.first * CELLS // width
    values, rank = np.unique(runs.value, return_inverse=True)
    lengths = runs.last - runs.first + 1
    counts = np.bincount(rank * CELLS**2 + cell, lengths).astype(np.int64)
    found = np.flatnonzero(counts)
    value, place = values[found // CELLS**2].tolist(), (found % CELLS**2).tolist()
    return dict(zip(zip(value, place, strict=True), counts[found].tolist(), strict=True))


def regions(plane: NDArray[np.uint8]) -> Regions:
    """Return the connected regions of a plane; pixels that touch at a corner are connected.

    That is the connectivity that OpenCV and scikit-image have by default.
    """
    runs = _runs(plane)
    roots = _roots(len(runs.value), *_touching(runs, plane.shape[1]))
    pixels = np.bincount(roots, runs.last - runs.first + 1).astype(np.intp)
    found = np.flatnonzero(pixels)
    return Regions(runs.value[found], pixels[found])


def _runs(plane: NDArray[np.uint8], cuts: Indices | None = None) -> Runs:
    """Return the runs of a plane, cut before the columns `cuts`, too."""
    height, width = plane.shape
    begins = np.ones((height, width), bool)
    np.not_equal(plane[:, 1:], plane[:, :-1], out=begins[:, 1:])
    if cuts is not None:
        begins[:, cuts[cuts < width]] = True
    starts = np.flatnonzero(begins)
    ends = np.append(starts[1:], plane.size) - 1
    row, first = np.divmod(starts, width)
    return Runs(plane.reshape(-1)[starts], row, first, ends - row * width)


def _touching(runs: Runs, width: int) -> tuple[Indices, Indices]:
    """Return pairs of runs of equal value in neighbouring rows that touch, also at a corner."""
    stride = width + 2  # columns -1 to `width`
    starts, ends = (runs.row * stride + column for column in (runs.first, runs.last))
    low = np.searchsorted(ends, starts + (stride - 1))
    high = np.searchsorted(starts, ends + (stride + 1), "right")
    counts = np.maximum(high - low, 0)
    upper = np.repeat(np.arange(len(starts)), counts)
    before = np.cumsum(counts) - counts
    lower = np.arange(len(upper)) + np.repeat(low - before, counts)
    same = runs.value[upper] == runs.value[lower]
    return upper[same], lower[same]


def _roots(count: int, one: Indices, other: Indices) -> Indices:
    """Return the smallest member of the set of each of `count` members, linked by pairs.

    Each round hooks every root that has a smaller neighbour to one, so at least half of the roots
    that are linked to another vanish. Source: Shiloach and Vishkin, An O(log n) Parallel
    Connectivity Algorithm, 1982.
    """
    roots = np.arange(count)
    while len(one):
        low, high = np.minimum(one, other), np.maximum(one, other)
        roots[high] = low
        while (further := roots[roots]).tobytes() != roots.tobytes():
            roots = further
        one, other = roots[one], roots[other]
        apart = one != other
        one, other = one[apart], other[apart]
    return roots
