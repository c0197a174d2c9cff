"""Draw polygons with OpenCV's fillPoly, as Ultralytics and Supervisely do."""

import numpy as np
from numpy.typing import NDArray

from dsbuild.shapes.runs import Mask


def mask(points: NDArray[np.float64], size: tuple[int, int]) -> Mask:
    """Return the mask of a polygon of points (n, 2) in pixels, which are cut to whole numbers.

    `size` is (h, w) of the mask, bool (h, w).
    """
    import cv2  # here, since only builds of such layouts need it

    plane = np.zeros(size, np.uint8)
    cv2.fillPoly(plane, [points.astype(np.int32)], 1)
    return plane.view(bool)
