"""Outlines of masks along the edges of pixels: polygons that COCO's tools draw exactly.

A corner lies where rows and columns of pixels meet. Corners of a row pair up to its horizontal
edges, corners of a column to its vertical ones, so that a ring is found by taking turns. A hole is
joined to the outline by a bridge of no width, which pycocotools crosses twice and so ignores.
"""

import numpy as np
from numpy.typing import NDArray

from dsbuild.shapes.runs import Mask

Points = NDArray[np.int64]  # (n, 2): x, y


def polygon(mask: Mask, corner: tuple[int, int] = (0, 0)) -> tuple[Points, int]:
    """Return one polygon around a connected mask, (n, 2), and how many holes it goes around.

    `corner` is where the mask's first pixel lies in the image, x and y.
    """
    whole, *holes = rings(mask)
    for hole in holes:
        start = hole[0]
        near = int(np.abs(whole - start).sum(1).argmin())
        bridged = (whole[: near + 1], hole, hole[:1], whole[near:])
        whole = np.concatenate(bridged)
    return np.asarray(whole + np.array(corner), np.int64), len(holes)


def rings(mask: Mask) -> list[Points]:
    """Return the rings around a connected mask: the outer one, then its holes; each (n, 2)."""
    corners, upright = _corners(mask)
    beside = _partners(upright)
    x, y = corners
    free, found = np.ones(len(x), bool).tolist(), []
    for start in range(len(free)):
        if not free[start]:
            continue
        ring, at = list[int](), start
        while free[at]:
            across = at ^ 1
            free[at] = free[across] = False
            ring += (at, across)
            at = beside[across]
        places = np.array(ring)
        found.append(np.stack([x[places], y[places]], 1))
    return found


def _corners(mask: Mask) -> tuple[tuple[Points, Points], NDArray[np.int64]]:
    """Return x and y of all corners by rows, and their order by columns.

    Where two pixels touch at a corner only, it counts twice: one for the edge on its left, one for
    that on its right.
    """
    padded = np.pad(mask, 1).astype(np.uint8)
    above, below = padded[:-1], padded[1:]
    a, b, c, d = above[:, :-1], above[:, 1:], below[:, :-1], below[:, 1:]
    touching = (a == d) & (b == c) & (a != b)
    turned = ((a + b + c + d) & 1).astype(bool)
    times = turned.astype(np.uint8) + 2 * touching
    y, x = np.nonzero(times)
    repeats = times[y, x]
    down = np.repeat(touching[y, x] & (a[y, x] == 1), repeats)  # set above left and below right
    x, y = np.repeat(x, repeats), np.repeat(y, repeats)
    upright = np.lexsort((np.arange(len(x)), y, x))
    # The pixels are one object, so its ring goes through: left goes with below, right with above.
    second = np.flatnonzero(down[upright])[1::2]
    upright[second - 1], upright[second] = upright[second], upright[second - 1].copy()
    return (x, y), upright


def _partners(upright: NDArray[np.int64]) -> list[int]:
    """Return, for each corner, the one at the other end of its vertical edge."""
    beside = np.empty(len(upright), np.int64)
    beside[upright[0::2]], beside[upright[1::2]] = upright[1::2], upright[0::2]
    found: list[int] = beside.tolist()
    return found
