"""Contours of masks through the centres of pixels: polygons that OpenCV's fillPoly draws exactly.

A hole is joined to the contour around it by a bridge of no width, straight up through pixels of
the mask, so that drawing the bridge adds none.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsbuild.shapes.runs import Mask

Points = NDArray[np.int64]  # (n, 2): x, y
LEAST = 3  # points that a polygon must have; fewer are repeated


class Contour(NamedTuple):
    """A polygon around a mask: its points (n, 2), at least 3, and how many holes it goes around.

    `repeated` tells whether it has fewer than 3 points of its own.
    """

    points: Points
    holes: int
    repeated: bool


def polygon(mask: Mask, corner: tuple[int, int] = (0, 0)) -> Contour:
    """Return one polygon around a connected mask.

    `corner` is where the mask's first pixel lies in the image, x and y.
    """
    import cv2  # here, since few need it

    found, tree = cv2.findContours(mask.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    width = mask.shape[1]
    codes = [one.reshape(-1, 2).astype(np.int64) @ (1, width) for one in found]
    above = tree.reshape(-1, 4)[:, 3]
    outer = [one for one, parent in zip(codes, above, strict=True) if parent < 0]
    holes = [one for one, parent in zip(codes, above, strict=True) if parent >= 0]
    whole = outer[0]
    for hole in sorted(holes, key=lambda one: int(one.min())):
        whole = _bridged(whole, hole, mask)
    points = _plain(np.stack([whole % width, whole // width], 1))
    again = points[:1].repeat(max(0, LEAST - len(points)), 0)
    points = np.asarray(np.concatenate([points, again]) + np.array(corner), np.int64)
    return Contour(points, len(holes), len(again) > 0)


def joined(polygons: Sequence[Points]) -> Points:
    """Return one polygon through several, each joined to those before it by a bridge: (n, 2).

    A bridge starts at a polygon's first point and ends at the nearest one; drawing it adds pixels.
    """
    whole, *others = polygons
    for one in others:
        near = int(((whole - one[0]) ** 2).sum(1).argmin())
        whole = np.concatenate([whole[: near + 1], one, one[:1], whole[near:]])
    return whole


def _bridged(whole: NDArray[np.int64], hole: NDArray[np.int64], mask: Mask) -> NDArray[np.int64]:
    """Return a contour that goes to a hole and back; points are counted row by row.

    The hole's highest pixel is below one that an earlier contour has: the rows above it were done.
    """
    width = mask.shape[1]
    first = int(hole.argmin())
    place = int(hole[first])
    column = mask[: place // width + 1, place % width]
    gaps = np.flatnonzero(~column)
    end = (int(gaps[-1]) + 1 if gaps.size else 0) * width + place % width
    at = int(np.flatnonzero(whole == end)[0])
    around = np.roll(hole, -first)
    return np.concatenate([whole[: at + 1], around, around[:1], whole[at:]])


def _plain(points: Points) -> Points:
    """Return a closed polygon without points on the way between two others."""
    points = points[(points != np.roll(points, 1, 0)).any(1)] if len(points) > 1 else points
    if len(points) < LEAST:
        return points
    before, after = points - np.roll(points, 1, 0), np.roll(points, -1, 0) - points
    turns = before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]
    back = (before * after).sum(1) < 0
    return np.asarray(points[turns | back], np.int64)
