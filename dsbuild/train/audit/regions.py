"""Suspects: connected regions of pixels whose label is likely wrong, each with a score.

Labels and models disagree along every outline, so what counts is not the number of pixels but how
far a region reaches inwards: a pixel weighs as much as it is away from the region's edge, and as
the model prefers its own class to the given one.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from dsbuild.train.audit.planes import WHOLE, Seen
from dsbuild.train.audit.thresholds import candidates

Mask = NDArray[np.bool_]


class Region(NamedTuple):
    """A region of a record.

    Attributes:
      given: the class of the label, that of most pixels if there are several.
      model: the class of the model, likewise.
      mask: its pixels among those that the model saw: bool (h, w).
      score: the larger, the more likely is an error.
    """

    given: int
    model: int
    mask: Mask
    score: float


def regions(one: Seen, limits: NDArray[np.int64]) -> list[Region]:
    """Return the regions of a record, the highest score first."""
    wrong = candidates(one, limits)
    if not wrong.any():
        return []
    margin = (one.confidence.astype(np.float64) - one.own) / WHOLE
    found = [_region(one, mask, margin) for mask in _parts(one, wrong)]
    return sorted(found, key=lambda region: -region.score)


def _region(one: Seen, mask: Mask, margin: NDArray[np.float64]) -> Region:
    """Return a region with the classes of most of its weight."""
    weight = margin * depth(mask)
    pairs = one.given.astype(np.int64)[mask] << 16 | one.model[mask]
    values, places = np.unique(pairs, return_inverse=True)
    top = int(values[np.bincount(places, weight[mask]).argmax()])
    return Region(top >> 16, top & 0xFFFF, mask, float(weight[mask].sum()))


def depth(mask: Mask) -> NDArray[np.float64]:
    """Return how far each pixel of a mask lies from its edge, 0 on the edge: (h, w).

    The border of the picture is no edge.
    """
    padded = np.pad(mask.astype(np.uint8), 1, mode="edge")
    far = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    return np.maximum(far.astype(np.float64) - 1, 0)


def _parts(one: Seen, wrong: Mask) -> list[Mask]:
    """Return the regions of likely errors as masks, by their first pixel.

    Pixels that touch and have the same two classes are connected. Regions of one object that
    the label places beside where the model sees it, as a shifted mask, are one.
    """
    found: list[tuple[int, int, Mask]] = []
    pairs = one.given.astype(np.int64) << 16 | one.model
    for pair in np.unique(pairs[wrong]).tolist():
        count, labels = cv2.connectedComponents((wrong & (pairs == pair)).view(np.uint8))
        found += [(pair >> 16, pair & 0xFFFF, labels == i) for i in range(1, count)]
    groups: dict[tuple[int, int, int], list[Mask]] = {}
    for given, model, mask in found:
        groups.setdefault(_object(one, given, model, mask), []).append(mask)
    return [np.logical_or.reduce(masks) for masks in groups.values()]


def _object(one: Seen, given: int, model: int, mask: Mask) -> tuple[int, int, int]:
    """Return what the regions of one object have in common: its two classes and its place.

    The object is of the class that is the rarer of the two in this record.
    """
    planes = {value: (one.given == value) | (one.model == value) for value in (given, model)}
    rare = min(planes, key=lambda value: (np.count_nonzero(planes[value]), value))
    _, labels = cv2.connectedComponents(planes[rare].view(np.uint8))
    return rare, given + model - rare, int(labels[mask][0])
