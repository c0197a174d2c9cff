"""Numbers to compare images by, computed from their pixels, uint8 (h, w, 3) RGB.

All are integers, so sums do not depend on the order in which images are added up.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_VALUES = np.arange(256, dtype=np.int64)


def moments(pixels: NDArray[np.uint8]) -> tuple[list[int], list[int]]:
    """Return the sums of red, green and blue over all pixels, and the sums of their squares."""
    counts = np.array(Image.fromarray(pixels).histogram(), np.int64).reshape(3, 256)
    return (counts @ _VALUES).tolist(), (counts @ _VALUES**2).tolist()


def sha256(pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> bytes:
    """Return the sha256 of height, width and pixels: equal for images with equal pixels."""
    digest = hashlib.sha256(np.array(pixels.shape[:2], "<u4").data)
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.digest()


def dhash(pixels: NDArray[np.uint8]) -> int:
    """Return the difference hash: which of 9 x 8 areas are brighter than their left neighbours.

    Few of its 64 bits change if an image is re-encoded, scaled or made brighter; many change if
    it is cropped, turned or mirrored.

    Source: Krawetz, Kind of Like That, hackerfactor.com 2013.
    """
    grey = Image.fromarray(pixels).convert("L").resize((9, 8), Image.Resampling.BOX)
    small = np.asarray(grey)
    return int.from_bytes(np.packbits(small[:, 1:] > small[:, :-1]).tobytes())
