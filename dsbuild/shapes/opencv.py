"""Draw polygons with OpenCV's fillPoly, as Ultralytics and Supervisely do."""

import numpy as np
from numpy.typing import NDArray

from dsbuild.shapes.runs import Mask, Patch


def mask(points: NDArray[np.float64], size: tuple[int, int]) -> Mask:
    """Return the mask of a polygon of points (n, 2) in pixels, which are cut to whole numbers.

    `size` is (h, w) of the mask, bool (h, w).
    """
    import cv2  # here, since only builds of such layouts need it

    plane = np.zeros(size, np.uint8)
    cv2.fillPoly(plane, [points.astype(np.int32)], 1)
    return plane.view(bool)


def patch(points: NDArray[np.float64], size: tuple[int, int]) -> Patch:
    """Return what `mask` does in the smallest box, if the polygon lies inside the image."""
    corners = points.astype(np.int32)
    (left, top), (right, bottom) = corners.min(0).tolist(), corners.max(0).tolist()
    if left < 0 or top < 0 or right >= size[1] or bottom >= size[0]:
        return Patch(mask(points, size))  # OpenCV cuts edges off, and their slope is rounded
    inner = mask(corners - (left, top), (bottom - top + 1, right - left + 1))
    return Patch(inner, (left, top))
