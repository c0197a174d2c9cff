"""Objects as COCO's run lengths: those of all components of a mask, found at once.

Every run of pixels down a column belongs to one component, so that box, area and counts of all
components come from the runs of the mask; no component needs a mask of its own.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsbuild.shapes import runs
from dsbuild.shapes.components import Region
from dsbuild.shapes.runs import Counts


class Encoded(NamedTuple):
    """An object in an image.

    Attributes:
      box: left, top, width and height in pixels.
      area: in pixels.
      counts: COCO's, of the whole image.
    """

    box: tuple[int, int, int, int]
    area: int
    counts: Counts


def whole(region: Region, size: tuple[int, int]) -> Encoded:
    """Return a region of an image of size (h, w) as one object."""
    counts = runs.coco_counts(region.mask, (region.left, region.top), size)
    return Encoded(region.box, int(counts[1::2].sum()), counts)


def parts(region: Region, size: tuple[int, int]) -> list[Encoded]:
    """Return the connected components of a region of an image (h, w), by their first pixels."""
    import cv2  # here, since few need it

    _, labels = cv2.connectedComponents(region.mask.view(np.uint8), connectivity=8)
    row, column, length = runs.columns(region.mask)
    owner = np.asarray(labels[row, column], np.int64)
    order = owner.argsort(kind="stable")
    owner, row, column, length = owner[order], row[order], column[order], length[order]
    new = _turns(owner)
    begins = np.flatnonzero(new)
    ends = np.append(begins[1:], owner.size)
    first = np.minimum.reduceat(row * region.mask.shape[1] + column, begins)
    left, right = column[begins], column[ends - 1] + 1
    top, bottom = first // region.mask.shape[1], np.maximum.reduceat(row + length, begins)
    boxes = np.stack([left + region.left, top + region.top, right - left, bottom - top], 1).tolist()
    areas = np.add.reduceat(length, begins).tolist()
    starts = (column + region.left) * size[0] + row + region.top
    found = _counts(starts, starts + length, new, size[0] * size[1])
    return [Encoded((*boxes[i],), areas[i], found[i]) for i in first.argsort().tolist()]


def _turns(values: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
    """Tell which values differ from the one before; the first one does."""
    return np.concatenate([[True], values[1:] != values[:-1]])


def _counts(
    starts: NDArray[np.int64], ends: NDArray[np.int64], new: NDArray[np.bool_], pixels: int
) -> list[Counts]:
    """Return the counts of objects from their runs; `new` marks the first run of each."""
    apart = new.copy()  # a run may go on at the top of the next column
    apart[1:] |= starts[1:] != ends[:-1]
    places = np.flatnonzero(apart)
    starts, ends, new = starts[places], ends[np.append(places[1:], ends.size) - 1], new[places]
    before = np.concatenate([[0], ends[:-1]])
    before[new] = 0
    pairs = np.stack([starts - before, ends - starts], 1).ravel()
    begins = np.flatnonzero(new)
    cuts = 2 * np.append(begins, starts.size)
    tails = pixels - ends[cuts[1:] // 2 - 1]
    found = []
    for begin, end, tail in zip(cuts[:-1].tolist(), cuts[1:].tolist(), tails.tolist(), strict=True):
        counts = pairs[begin:end]
        found.append(np.append(counts, tail) if tail else counts)
    return found
