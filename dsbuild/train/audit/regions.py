"""Suspects: connected regions of pixels whose label is likely wrong, each with a score.

Labels and models disagree along every outline, so what counts is not the number of pixels but how
far a region reaches inwards: a pixel weighs as much as it is away from the region's edge, times
how much the model prefers its own class to the given one.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from dsbuild.train.audit.planes import WHOLE, Seen
from dsbuild.train.audit.thresholds import candidates

Mask = NDArray[np.bool_]
Window = tuple[slice, slice]  # rows and columns


class Region(NamedTuple):
    """A region of a record.

    Attributes:
      given: the class of the label, that with most weight if there are several.
      model: the class of the model, likewise.
      top, left: where its box begins, in the planes that the model saw.
      mask: its pixels in its box: bool (h, w).
      score: the larger, the more likely is an error.
    """

    given: int
    model: int
    top: int
    left: int
    mask: Mask
    score: float

    @property
    def window(self) -> Window:
        """Rows and columns of its box."""
        height, width = self.mask.shape
        return np.s_[self.top : self.top + height, self.left : self.left + width]


class _Part(NamedTuple):
    """Connected pixels of one given class and one of the model's, in their box."""

    given: int
    model: int
    window: Window
    mask: Mask


def regions(one: Seen, limits: NDArray[np.int64]) -> list[Region]:
    """Return the regions of a record, the highest score first."""
    wrong = candidates(one, limits)
    groups: dict[tuple[int, int, int], list[_Part]] = {}
    objects: dict[tuple[int, int], NDArray[np.int32]] = {}
    for part in _parts(one, wrong):
        pair = min(part.given, part.model), max(part.given, part.model)
        if pair not in objects:
            objects[pair] = _objects(one, pair)
        number = int(objects[pair][part.window][part.mask][0])
        groups.setdefault((*pair, number), []).append(part)
    found = [_region(one, parts) for parts in groups.values()]
    return sorted(found, key=lambda region: -region.score)


def _parts(one: Seen, wrong: Mask) -> Iterator[_Part]:
    """Yield the connected pixels of likely errors, by their classes."""
    if not wrong.any():
        return
    pairs = one.given.astype(np.int64) << 16 | one.model
    for pair in np.unique(pairs[wrong]).tolist():
        mine = wrong & (pairs == pair)
        _, numbers, stats, _ = cv2.connectedComponentsWithStats(mine.view(np.uint8))
        for number, (left, top, width, height, _) in enumerate(stats[1:].tolist(), 1):
            window = np.s_[top : top + height, left : left + width]
            yield _Part(pair >> 16, pair & 0xFFFF, window, numbers[window] == number)


def _objects(one: Seen, pair: tuple[int, int]) -> NDArray[np.int32]:
    """Return the numbers of the objects of the rarer of two classes: (h, w).

    An object is where the label has the class or the model sees it, so that it holds the parts on
    both sides of a shifted mask.
    """
    planes = {value: (one.given == value) | (one.model == value) for value in pair}
    rare = min(planes, key=lambda value: (np.count_nonzero(planes[value]), value))
    _, numbers = cv2.connectedComponents(planes[rare].view(np.uint8))
    return np.asarray(numbers, np.int32)


def _region(one: Seen, parts: Sequence[_Part]) -> Region:
    """Return the region of the parts of an object, with the classes of most of its weight."""
    ends = [(w[0].start, w[0].stop, w[1].start, w[1].stop) for w in (p.window for p in parts)]
    tops, bottoms, lefts, rights = zip(*ends, strict=True)
    top, left = min(tops), min(lefts)
    mask = np.zeros((max(bottoms) - top, max(rights) - left), bool)
    for part, (a, b, c, d) in zip(parts, ends, strict=True):
        mask[a - top : b - top, c - left : d - left] |= part.mask
    region = Region(0, 0, top, left, mask, 0.0)
    window = region.window
    margin = (one.confidence[window].astype(np.float64) - one.own[window]) / WHOLE
    weight = margin * depth(region, one.given.shape)
    sums: dict[tuple[int, int], float] = {}
    for part, (a, b, c, d) in zip(parts, ends, strict=True):
        inner = weight[a - top : b - top, c - left : d - left][part.mask]
        key = part.given, part.model
        sums[key] = sums.get(key, 0.0) + float(inner.sum())
    given, model = max(sums, key=lambda key: (sums[key], key))
    return region._replace(given=given, model=model, score=float(weight[mask].sum()))


def depth(region: Region, size: tuple[int, ...]) -> NDArray[np.float64]:
    """Return how far each pixel of a region lies from its edge, 0 on the edge: (h, w) of its box.

    `size` is that of the planes, whose border is no edge.
    """
    height, width = region.mask.shape
    # Beyond the box are pixels that are not of the region, except beyond the border.
    beyond = (
        (int(region.top > 0), int(region.top + height < size[0])),
        (int(region.left > 0), int(region.left + width < size[1])),
    )
    ringed = np.pad(np.pad(region.mask.view(np.uint8), beyond), 1, mode="edge")
    far = cv2.distanceTransform(ringed, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    rows, columns = beyond[0][0] + 1, beyond[1][0] + 1
    inner = far[rows : rows + height, columns : columns + width].astype(np.float64)
    return np.maximum(inner - 1, 0)
