"""Polygons and objects of COCO, drawn as pycocotools draws them, pixel by pixel.

The boundary is sampled densely on a grid five times as fine; where it crosses from one column of
pixels to the next, the mask changes between inside and outside from there on down.

Source: cocoapi (common/maskApi.c: rleFrPoly), on which COCO's evaluation rests.
"""

import numpy as np
from numpy.typing import NDArray

from dsbuild.errors import ImageError
from dsbuild.shapes import runs
from dsbuild.shapes.runs import Mask, Patch

_FINE = 5  # steps per pixel
_FAR = 1e6  # pixels; coordinates beyond it are refused
_LONGEST = 1 << 26  # steps of a boundary


def mask(segmentation: object, size: tuple[int, int]) -> Mask:
    """Return what `patch` does in the whole image: bool (h, w)."""
    return patch(segmentation, size).within(size)


def patch(segmentation: object, size: tuple[int, int]) -> Patch:
    """Return the mask of an object's `segmentation` in an image of size (h, w).

    It is a list of polygons, whose union is the object, or a run-length encoding. Raises
    ImageError for anything else.
    """
    if not isinstance(segmentation, list):
        return runs.coco(segmentation, size)
    if not segmentation:
        raise ImageError(
            "found no segmentation, only a box; expected polygons or a run-length encoding"
        )
    if not isinstance(segmentation[0], list):
        raise ImageError(
            "found numbers in segmentation; expected a list of polygons, as in [[x, y, x, y, ...]]"
        )
    whole = polygon(segmentation[0], size)
    for points in segmentation[1:]:
        whole |= polygon(points, size)
    return Patch(whole)


def polygon(points: object, size: tuple[int, int]) -> Mask:
    """Return the mask of one polygon [x, y, x, y, ...]: bool (h, w).

    It is closed by itself. Raises ImageError for anything that is no polygon.
    """
    corners = _corners(points)
    height, width = size
    places = np.sort(_crossings(corners, height, width))
    inside = np.zeros(height * width + 1, np.uint8)
    # Two crossings at one place cancel out, so only odd numbers of them change anything.
    where, times = np.unique(places, return_counts=True)
    inside[where[times % 2 == 1]] = 1
    column = np.bitwise_xor.accumulate(inside)[:-1].view(bool)
    return column.reshape(width, height).T


def _corners(points: object) -> NDArray[np.int64]:
    """Return the corners on the fine grid, the first one repeated at the end: (n + 1, 2)."""
    if not isinstance(points, list) or not all(
        type(value) in (int, float) and abs(value) <= _FAR for value in points
    ):
        raise ImageError(
            "found a polygon that is not a list of numbers x, y, x, y, ... near the image"
        )
    if len(points) % 2:
        raise ImageError(f"found a polygon of {len(points)} numbers; expected pairs of x and y")
    if len(points) < 6:
        few = {0: "no points", 2: "1 point"}.get(len(points), "2 points")
        box = "; if it is a box, convert it to a polygon of 4 points" if len(points) == 4 else ""
        raise ImageError(f"found a polygon of {few}; expected 3 or more{box}")
    fine = np.trunc(np.array(points, float).reshape(-1, 2) * _FINE + 0.5).astype(np.int64)
    return np.concatenate([fine, fine[:1]])


def _crossings(corners: NDArray[np.int64], height: int, width: int) -> NDArray[np.int64]:
    """Return where the boundary crosses columns: places counted down the columns."""
    x, y = _boundary(corners)
    moved = np.flatnonzero(x[1:] != x[:-1])
    left = np.minimum(x[1:], x[:-1])[moved]
    column = (left + 0.5) / _FINE - 0.5
    row = (np.minimum(y[1:], y[:-1])[moved] + 0.5) / _FINE - 0.5
    kept = (np.floor(column) == column) & (column >= 0) & (column <= width - 1)
    rows = np.ceil(row[kept].clip(0, height)).astype(np.int64)
    places: NDArray[np.int64] = column[kept].astype(np.int64) * height + rows
    return places


def _boundary(corners: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return all points x and y on the fine grid, from corner to corner."""
    start, end = corners[:-1], corners[1:]
    delta = np.abs(end - start)
    flat = delta[:, 0] >= delta[:, 1]
    steps = delta.max(1)
    total = int((steps + 1).sum())
    if total > _LONGEST:
        raise ImageError(f"found a polygon whose outline has {total // _FINE:,} pixels")
    along = np.where(flat, 0, 1)  # the axis that advances by one
    every = np.arange(len(steps))
    back = start[every, along] > end[every, along]
    low = np.where(back[:, None], end, start)
    high = np.where(back[:, None], start, end)
    rise = (high - low)[every, 1 - along]
    slope = rise / np.maximum(steps, 1)
    owner = np.repeat(every, steps + 1)
    place = np.arange(total) - np.repeat((steps + 1).cumsum() - steps - 1, steps + 1)
    place = np.where(back[owner], steps[owner] - place, place)
    first = low[every, along][owner] + place
    second = low[every, 1 - along][owner] + slope[owner] * place + 0.5
    other = np.trunc(second).astype(np.int64)
    upright = along[owner] == 1
    return np.where(upright, other, first), np.where(upright, first, other)
