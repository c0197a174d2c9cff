"""Masks as Supervisely keeps them: a PNG, compressed with zlib, as base64 text.

Older ones are not compressed. Pixels of one channel are inside if they are not 0; of four channels,
if alpha is not 0.

Source: Supervisely's SDK (geometry/bitmap.py), which decodes them by OpenCV.
"""

import base64
import binascii
import struct
import zlib

import numpy as np

from dsbuild.errors import ImageError
from dsbuild.shapes.runs import Mask

_START = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"  # of every PNG; width and height follow
_MOST = 1 << 26  # bytes of a PNG


def mask(text: str, corner: tuple[int, int], size: tuple[int, int]) -> Mask:
    """Return the mask of a bitmap whose upper left pixel is at a corner (x, y): bool (h, w).

    Raises ImageError if it is damaged, or not inside an image of size (h, w).
    """
    if not isinstance(text, str) or not all(type(value) is int for value in corner):
        raise ImageError("found a bitmap without data and a whole origin [x, y]")
    inner = _decode(text, size)
    left, top = corner
    height, width = inner.shape
    if left < 0 or top < 0 or left + width > size[1] or top + height > size[0]:
        raise ImageError(
            f"found a bitmap of {width} x {height} pixels at {left}, {top}, which is not inside "
            f"the image of {size[1]} x {size[0]}"
        )
    whole = np.zeros(size, bool)
    whole[top : top + height, left : left + width] = inner
    return whole


def _decode(text: str, size: tuple[int, int]) -> Mask:
    import cv2  # here, since only builds of such layouts need it

    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ImageError(f"found a bitmap that is not base64 ({error})") from error
    data = _inflated(data)
    if not data.startswith(_START) or len(data) < len(_START) + 8:
        raise ImageError("found a bitmap that is no PNG")
    width, height = struct.unpack_from(">II", data, len(_START))
    if width > size[1] or height > size[0]:
        raise ImageError(
            f"found a bitmap of {width} x {height} pixels, larger than the image of "
            f"{size[1]} x {size[0]}"
        )
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise ImageError("found a bitmap whose PNG is damaged")
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        pixels = pixels[..., 3]
    if pixels.ndim != 2:
        raise ImageError("found a bitmap of three channels; expected one, or four with alpha")
    return np.asarray(pixels > 0, bool)


def _inflated(data: bytes) -> bytes:
    """Return what zlib compressed, or bytes that it did not as they are."""
    stream = zlib.decompressobj()
    try:
        found = stream.decompress(data, _MOST)
    except zlib.error:
        return data
    if stream.unconsumed_tail or not stream.eof:
        raise ImageError(f"found a bitmap that is cut off, or larger than {_MOST >> 20} MiB")
    return found
