"""Contours of masks through the centres of pixels: polygons that OpenCV's fillPoly draws exactly.

A hole is joined to the contour around it by a bridge of no width, straight up through pixels of
the mask, so that drawing the bridge adds none.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsbuild.shapes.runs import Mask

Points = NDArray[np.int64]  # (n, 2): x, y
LEAST = 3  # points that a polygon must have; fewer are repeated


class Contour(NamedTuple):
    """A polygon around a component: its points (n, 2), at least 3, and how many holes it has.

    `repeated` tells whether it has fewer than 3 points of its own.
    """

    points: Points
    holes: int
    repeated: bool

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, width and height of the component in pixels."""
        (left, top), (right, bottom) = self.points.min(0).tolist(), self.points.max(0).tolist()
        return left, top, right - left + 1, bottom - top + 1


def polygons(mask: Mask, corner: tuple[int, int] = (0, 0)) -> list[Contour]:
    """Return a polygon around each connected component of a mask, by their first pixels.

    `corner` is where the mask's first pixel lies in the image, x and y. All contours are found,
    and freed of what is between their corners, at once: most of the time is spent per call.
    """
    import cv2  # here, since few need it

    found, tree = cv2.findContours(mask.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    if not found:
        return []
    width = mask.shape[1]
    sizes = np.fromiter(map(len, found), np.int64, len(found))
    codes = np.concatenate(found).reshape(-1, 2).astype(np.int64) @ (1, width)
    starts = sizes.cumsum() - sizes
    firsts = np.minimum.reduceat(codes, starts).tolist()
    rings = [codes[start:end] for start, end in _spans(sizes)]
    holes: dict[int, list[int]] = {}
    for number, parent in enumerate(tree[0, :, 3].tolist()):
        holes.setdefault(parent, []).append(number)
    outer = sorted(holes.pop(-1), key=firsts.__getitem__)
    whole = []
    for number in outer:
        ring = rings[number]
        for hole in sorted(holes.get(number, ()), key=firsts.__getitem__):
            ring = _bridged(ring, rings[hole], firsts[hole], mask)
        whole.append(ring)
    codes = np.concatenate(whole)
    points, sizes = _plain(np.stack([codes % width, codes // width], 1), whole)
    points += corner
    return [
        _contour(points[start:end], len(holes.get(number, ())))
        for number, (start, end) in zip(outer, _spans(sizes), strict=True)
    ]


def joined(polygons: Sequence[Points]) -> Points:
    """Return one polygon through several, each joined to those before it by a bridge: (n, 2).

    A bridge starts at a polygon's first point and ends at the nearest one; drawing it adds pixels.
    """
    whole, *others = polygons
    for one in others:
        near = int(((whole - one[0]) ** 2).sum(1).argmin())
        whole = np.concatenate([whole[: near + 1], one, one[:1], whole[near:]])
    return whole


def _spans(sizes: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Return where the parts of some sizes start and end in a whole."""
    return itertools.pairwise([0, *sizes.cumsum().tolist()])


def _contour(points: Points, holes: int) -> Contour:
    missing = LEAST - len(points)
    if missing <= 0:
        return Contour(points, holes, False)
    return Contour(np.concatenate([points, points[:1].repeat(missing, 0)]), holes, True)


def _bridged(
    whole: NDArray[np.int64], hole: NDArray[np.int64], place: int, mask: Mask
) -> NDArray[np.int64]:
    """Return a contour that goes to a hole and back; points are counted row by row.

    The bridge leads up from the hole's first point, at `place`, to one that an earlier contour has:
    the rows above were done.
    """
    row, column = divmod(place, mask.shape[1])
    above = mask[row::-1, column]
    gap = int(above.argmin())  # 0 if there is none up to the border
    end = place - mask.shape[1] * (gap - 1 if gap else row)
    first, at = int((hole == place).argmax()), int((whole == end).argmax())
    around = (hole[first:], hole[:first], hole[first : first + 1])
    return np.concatenate([whole[: at + 1], *around, whole[at:]])


def _plain(points: Points, rings: Sequence[NDArray[np.int64]]) -> tuple[Points, NDArray[np.int64]]:
    """Return closed polygons without points on the way between two others, and their sizes."""
    sizes = np.fromiter(map(len, rings), np.int64, len(rings))
    before, _ = _neighbours(sizes)
    moved = (points != points[before]).any(1) | np.repeat(sizes == 1, sizes)
    points, sizes = points[moved], np.add.reduceat(moved, sizes.cumsum() - sizes, dtype=np.int64)
    before, after = _neighbours(sizes)
    x, y = (points - points[before]).T
    further_x, further_y = (points[after] - points).T
    turns = (x * further_y != y * further_x) | (x * further_x + y * further_y < 0)
    turns |= np.repeat(sizes < LEAST, sizes)
    sizes = np.add.reduceat(turns, sizes.cumsum() - sizes, dtype=np.int64)
    return points[turns], sizes


def _neighbours(sizes: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the places before and after each point of closed polygons of some sizes."""
    ends = sizes.cumsum()
    before = np.arange(-1, ends[-1] - 1)
    after = np.arange(1, ends[-1] + 1)
    before[ends - sizes], after[ends - 1] = ends - 1, ends - sizes
    return before, after
