"""The functions that compute extra features from an image, a label or an alpha. All are pure.

An image is RGB uint8 (h, w, 3); a label holds class indices, uint8 (h, w); an alpha is uint8
(h, w). OpenCV and NumPy are imported inside the functions, so that a build without extras spends
neither their time nor their memory.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def _grey(image: "NDArray[np.uint8]") -> "NDArray[np.uint8]":
    import cv2
    import numpy as np

    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)


def laplacian(image: "NDArray[np.uint8]") -> "NDArray[np.int16]":
    """Return the Laplacian of the grey image: int16 (h, w), -1020..1020.

    This is `cv2.Laplacian` with its default aperture (0 1 0; 1 -4 1; 0 1 0) and borders
    reflected without repeating the edge.
    """
    import cv2
    import numpy as np

    return np.asarray(cv2.Laplacian(_grey(image), cv2.CV_16S), np.int16)


def sobel(image: "NDArray[np.uint8]") -> "NDArray[np.int16]":
    """Return the gradient magnitude of the grey image: int16 (h, w), 0..1140.

    It is sqrt(gx^2 + gy^2), rounded, with Sobel's 3 x 3 kernels (-1 0 1; -2 0 2; -1 0 1) and
    borders reflected without repeating the edge.
    """
    import cv2
    import numpy as np

    grey = _grey(image)
    across = cv2.Sobel(grey, cv2.CV_16S, 1, 0).astype(np.float64)
    down = cv2.Sobel(grey, cv2.CV_16S, 0, 1).astype(np.float64)
    return np.rint(np.sqrt(across * across + down * down)).astype(np.int16)


def canny(image: "NDArray[np.uint8]", low: int, high: int) -> "NDArray[np.uint8]":
    """Return the Canny edges of the grey image: uint8 (h, w), 0 or 1.

    This is `cv2.Canny` with aperture 3 and |gx| + |gy|; `low` and `high` are the thresholds of
    its hysteresis.
    Source: Canny, A Computational Approach to Edge Detection, PAMI 1986.
    """
    import cv2
    import numpy as np

    return (cv2.Canny(_grey(image), low, high) > 0).astype(np.uint8)


def _extremes(
    plane: "NDArray[np.uint8]", width: int
) -> "tuple[NDArray[np.uint8], NDArray[np.uint8]]":
    """Return the smallest and the largest value within `width` rows and columns of every pixel."""
    import cv2
    import numpy as np

    square = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    low, high = cv2.erode(plane, square), cv2.dilate(plane, square)
    return np.asarray(low, plane.dtype), np.asarray(high, plane.dtype)


def edges(label: "NDArray[np.uint8]", width: int) -> "NDArray[np.uint8]":
    """Return the class boundaries of a label: uint8 (h, w), 0 or 1.

    A pixel is 1 if another value lies within `width` rows and columns, so a boundary is `width`
    pixels wide on either side. The ignore value counts like any other value.
    """
    import numpy as np

    low, high = _extremes(label, width)
    boundary: NDArray[np.bool_] = (low != label) | (high != label)
    return boundary.astype(np.uint8)


def distance(label: "NDArray[np.uint8]", cap: int) -> "NDArray[np.uint8]":
    """Return the distance to the nearest class boundary: uint8 (h, w), 0..cap pixels.

    Distances are Euclidean, between pixel centres, rounded. The boundary, `edges` with width 1,
    is 0; without any boundary all pixels are `cap`. Source: Felzenszwalb and Huttenlocher,
    Distance Transforms of Sampled Functions, 2012.
    """
    import cv2
    import numpy as np

    inside = 1 - edges(label, 1)
    if inside.all():
        return np.full_like(inside, cap)
    exact = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.rint(exact).clip(max=cap).astype(np.uint8)


def alpha(alpha: "NDArray[np.uint8]") -> "NDArray[np.uint8]":
    """Return the soft alpha itself: uint8 (h, w), from 0 transparent to 255 opaque."""
    return alpha


def trimap(alpha: "NDArray[np.uint8]", width: int) -> "NDArray[np.uint8]":
    """Return a trimap: uint8 (h, w), 0 background, 255 foreground, 128 unknown.

    A pixel is known if all pixels within `width` rows and columns of it are fully transparent,
    or all are fully opaque.
    """
    import numpy as np

    low, high = _extremes(alpha, width)
    return np.select([low == 255, high == 0], [np.uint8(255), np.uint8(0)], np.uint8(128))
