"""Count pixels by the values that they have in two planes, as a confusion matrix does."""

import collections
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.integer[Any]]
Counts = Mapping[tuple[int, int], int]  # value in one plane and in the other -> pixels


def counts(one: Plane, other: Plane) -> Counts:
    """Return how many pixels have each pair of values in two planes of one size, (h, w).

    Pixels are counted by runs in which both planes stay the same: masks have long ones.
    """
    first, second = (np.ascontiguousarray(plane).reshape(-1) for plane in (one, other))
    turns = np.flatnonzero((first[1:] != first[:-1]) | (second[1:] != second[:-1]))
    starts = np.concatenate([[0], turns + 1])
    lengths = np.diff(starts, append=first.size)
    pairs = first[starts].astype(np.int64) << 32 | second[starts]
    found, places = np.unique(pairs, return_inverse=True)
    pixels = np.bincount(places, lengths).astype(np.int64).tolist()
    return {
        (pair >> 32, pair & 0xFFFFFFFF): n for pair, n in zip(found.tolist(), pixels, strict=True)
    }


def through(counts: Counts, table: Mapping[int, int], missing: int) -> Counts:
    """Return counts with the values of the other plane replaced by their entries in a table."""
    found = collections.Counter[tuple[int, int]]()
    for (one, other), pixels in counts.items():
        found[one, table.get(other, missing)] += pixels
    return found
