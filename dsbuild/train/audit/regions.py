"""Suspects: regions of pixels whose label is likely wrong, each with a score.

Labels and models disagree along every outline, so what counts is not the number of pixels but how
far a region reaches inwards, and how sure the model is: a pixel weighs as much as it is away from
the region's edge, times the square of the margin between the model's class and the given one.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from dsbuild.train.audit.planes import WHOLE, Seen
from dsbuild.train.audit.thresholds import candidates

_REACH = 2  # pixels of mere disagreement that two regions of one error may have between them
_THIN = 0.25  # what a pixel on the edge of a region weighs, against 1.25 for the next one

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

    def number(self, numbers: NDArray[np.int32]) -> int:
        """Return the number, of those of each pixel (h, w), that its first pixel has."""
        return int(numbers[self.window][self.mask][0])


def regions(one: Seen, limits: NDArray[np.int64]) -> list[Region]:
    """Return the regions of a record, the highest score first."""
    parts = list(_parts(one, candidates(one, limits)))
    found = [_region(one, group) for group in _errors(one, parts)]
    return sorted(found, key=lambda region: -region.score)


def _errors(one: Seen, parts: Sequence[_Part]) -> list[list[_Part]]:
    """Return the parts of each error together: those of one object, and those side by side."""
    inner = [_reaches_in(part, one.given.shape) for part in parts]
    beside = _beside(one, list(itertools.compress(parts, inner)))
    objects = _Objects(one)
    roots = list(range(len(parts)))
    first: dict[tuple[int, ...], int] = {}  # what parts have in common -> the first of them
    for number, (part, is_inner) in enumerate(zip(parts, inner, strict=True)):
        keys: list[tuple[int, ...]] = [objects.of(part)]
        keys += [(part.number(beside),)] if is_inner else []
        for key in keys:
            one_root, other = _root(roots, number), _root(roots, first.setdefault(key, number))
            roots[max(one_root, other)] = min(one_root, other)
    groups: dict[int, list[_Part]] = {}
    for number, part in enumerate(parts):
        groups.setdefault(_root(roots, number), []).append(part)
    return list(groups.values())


def _root(roots: list[int], number: int) -> int:
    """Return the first part that one is connected with; shorten the way to it."""
    while roots[number] != number:
        roots[number] = number = roots[roots[number]]
    return number


def _reaches_in(part: _Part, size: tuple[int, ...]) -> bool:
    """Tell whether a part has a pixel that is not on its edge."""
    rows, columns = part.window
    if (
        min(part.mask.shape) < 3
        and rows.start
        and columns.start
        and not (rows.stop == size[0] or columns.stop == size[1])
    ):
        return False  # as most parts are
    return bool(depth(Region(0, 0, rows.start, columns.start, part.mask, 0.0), size).any())


def _beside(one: Seen, parts: Sequence[_Part]) -> NDArray[np.int32]:
    """Return numbers that parts share if little but disagreement lies between them: (h, w)."""
    wrong = np.zeros(one.given.shape, np.uint8)
    for part in parts:
        wrong[part.window] |= part.mask
    grown = cv2.dilate(wrong, np.ones((2 * _REACH + 1, 2 * _REACH + 1), np.uint8))
    near = grown.astype(bool) & one.judged & (one.given != one.model)
    return np.asarray(cv2.connectedComponents(near.view(np.uint8))[1], np.int32)


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


class _Objects:
    """The objects of a record: where the label has a class or the model sees it.

    So one holds the parts on both sides of a shifted mask.
    """

    def __init__(self, one: Seen) -> None:
        self._one = one
        self._of: dict[int, tuple[int, NDArray[np.int32]]] = {}

    def of(self, part: _Part) -> tuple[int, int]:
        """Return the object that a part is of: class and number; of two classes the rarer one's."""
        rare = min(part.given, part.model, key=lambda value: (self._numbered(value)[0], value))
        return rare, part.number(self._numbered(rare)[1])

    def _numbered(self, value: int) -> tuple[int, NDArray[np.int32]]:
        """Return the pixels of a class, and the number of the object of each pixel (h, w)."""
        if value not in self._of:
            plane = (self._one.given == value) | (self._one.model == value)
            _, numbers = cv2.connectedComponents(plane.view(np.uint8))
            self._of[value] = int(np.count_nonzero(plane)), np.asarray(numbers, np.int32)
        return self._of[value]


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
    weight = margin**2 * (depth(region, one.given.shape) + _THIN)
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
    top, left = int(region.top > 0), int(region.left > 0)
    bottom, right = int(region.top + height < size[0]), int(region.left + width < size[1])
    mask = np.ascontiguousarray(region.mask).view(np.uint8)
    boxed = cv2.copyMakeBorder(mask, top, bottom, left, right, cv2.BORDER_CONSTANT, value=0)
    ringed = cv2.copyMakeBorder(boxed, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    far = cv2.distanceTransform(ringed, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    inner = far[top + 1 : top + 1 + height, left + 1 : left + 1 + width].astype(np.float64)
    return np.maximum(inner - 1, 0)
