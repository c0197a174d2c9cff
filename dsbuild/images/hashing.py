"""What is computed of an image's pixels, uint8 (h, w, 3) RGB, to compare it with others.

All of it is integers, so that it does not depend on the order in which it is added up.
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


def sha256(pixels: NDArray[np.uint8]) -> bytes:
    """Return the sha256 of height, width and pixels: equal for images that look equal."""
    digest = hashlib.sha256(np.array(pixels.shape[:2], "<u4").data)
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.digest()


def dhash(pixels: NDArray[np.uint8]) -> int:
    """Return the difference hash: of 9 x 8 areas, which are brighter than their left neighbours.

    Of its 64 bits few change where an image is encoded or scaled anew, or made brighter, but
    many where one is cropped, turned or mirrored.

    Source: Krawetz, Kind of Like That, hackerfactor.com 2013.
    """
    grey = Image.fromarray(pixels).convert("L").resize((9, 8), Image.Resampling.BOX)
    small = np.asarray(grey)
    return int.from_bytes(np.packbits(small[:, 1:] > small[:, :-1]).tobytes())
