"""The header of an image, in whatever format."""

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dsbuild.errors import ImageError

_MODELS = {1: "grey", 2: "grey+alpha", 3: "rgb", 4: "rgba"}
_TAG = 0x0112  # of EXIF's orientation
_SIZES = {3: 2, 4: 4}  # bytes of the types that it may have: SHORT and LONG
_ORDERS: dict[bytes, Literal["little", "big"]] = {b"II*\0": "little", b"MM\0*": "big"}
_NO_MEMORY = "out of memory|Error -4 while|[Ii]nsufficient memory"  # zlib.h: Z_MEM_ERROR is -4
_XMP = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')


@dataclass(frozen=True)
class Header:
    """What the bytes of an image say about it before any pixel is decoded.

    Attributes:
      format: `jpeg` or `png`, by the bytes, never by the file name.
      height, width: in pixels, as stored; EXIF orientation is not applied.
      channels: what decoding gives: 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA or CMYK.
      bits: bits per channel, as stored; for palette PNGs those of an index.
      model: `grey`, `grey+alpha`, `rgb`, `rgba`, `palette` or `cmyk`.
      coding: `baseline`, `progressive`, `arithmetic`, `lossless`; `deflate` for PNG.
      orientation: from EXIF or XMP, 1 to 8; viewers swap height and width for 5 to 8.
      frames: 1, or more for an animated PNG.
      interlaced: whether a PNG is interlaced.
      beside: data beside the pixels that keeps readers from them, though they are intact.
      usual: whether a JPEG has nothing before its pixels that some reader might refuse.
    """

    format: str
    height: int
    width: int
    channels: int
    bits: int
    model: str
    coding: str
    orientation: int = 1
    frames: int = 1
    interlaced: bool = False
    beside: str = ""
    usual: bool = False


def of_pixels(pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> Header:
    """Return the header of the PNG that pixels (h, w) or (h, w, c) give."""
    height, width = pixels.shape[:2]
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    bits = 8 * pixels.dtype.itemsize
    return Header("png", height, width, channels, bits, _MODELS[channels], "deflate")


def orientation(exif: bytes, xmp: bytes = b"") -> int:
    """Return the orientation by which viewers turn an image; 1 leaves it as it is.

    It is that of the EXIF block, or else that of XMP. Damaged blocks are ignored, as in other
    readers.
    """
    number = _of_exif(exif)
    if number is None:
        match = _XMP.search(xmp)
        number = int(match[1]) if match else 1
    return number if 1 <= number <= 8 else 1


def _of_exif(block: bytes) -> int | None:
    """Return the orientation in an EXIF block: 0 if it is no valid one, None without the tag.

    Source: TIFF 6.0, section 2; EXIF 2.32, 4.6.4.
    """
    tiff = block.removeprefix(b"Exif\0\0").removeprefix(b"Exif\0\0")
    order = _ORDERS.get(tiff[:4])
    if order is None:
        return None

    def number(at: int, size: int) -> int:
        return int.from_bytes(tiff[at : at + size], order)

    start = number(4, 4)
    end = min(start + 2 + 12 * number(start, 2), len(tiff) - 11)
    for entry in range(start + 2, end, 12):
        if number(entry, 2) == _TAG:
            size = _SIZES.get(number(entry + 2, 2))
            return number(entry + 8, size) if size and number(entry + 4, 4) == 1 else 0
    return None


def cut(format: str, what: str) -> ImageError:
    """Return the error for an image that ends too early."""
    return ImageError(f"found a truncated {format}: {what}; fetch or export the file again")


def excuse(error: Exception) -> None:
    """Raise a decoder's error again if the bytes are not at fault: no memory, a failing disk.

    Pillow and zlib report missing memory only in words; Pillow's own OSErrors have no errno.
    """
    if isinstance(error, MemoryError) or re.search(_NO_MEMORY, str(error)):
        raise MemoryError from error
    if isinstance(error, OSError) and error.errno is not None:
        raise error
