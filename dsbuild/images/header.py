"""What a header says of an image, whatever its format."""

import re
from dataclasses import dataclass
from typing import Literal

from dsbuild.errors import ImageError

_TAG = 0x0112  # of EXIF's orientation
_SIZES = {3: 2, 4: 4}  # bytes of the types that it may have: SHORT and LONG
_ORDERS: dict[bytes, Literal["little", "big"]] = {b"II*\0": "little", b"MM\0*": "big"}
_NO_MEMORY = "out of memory|Error -4 while|[Ii]nsufficient memory"  # zlib.h: Z_MEM_ERROR is -4
_XMP = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')


@dataclass(frozen=True)
class Header:
    """What the bytes of an image say of it before any pixel is decoded.

    Attributes:
      format: `jpeg` or `png`, by the bytes, never by a file name.
      height, width: in pixels, as stored; EXIF orientation is not applied.
      channels: what decoding gives: 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA or CMYK.
      bits: bits a channel as stored (a palette's index, for palette PNGs).
      model: `grey`, `grey+alpha`, `rgb`, `rgba`, `palette` or `cmyk`.
      coding: `baseline`, `progressive`, `arithmetic`, `lossless`; `deflate` for PNG.
      orientation: by EXIF or XMP, 1..8; 5..8 swap height and width for viewers.
      frames: 1, or more for an animated PNG.
      interlaced: whether a PNG is interlaced.
      beside: what stands beside the pixels, which are whole, and keeps readers from them.
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


def orientation(exif: bytes, xmp: bytes = b"") -> int:
    """Return the orientation by which viewers turn an image, 1 where they do not.

    That of an EXIF block, where it has none that of XMP. Damaged blocks have none: readers
    ignore them, and so does this one.
    """
    found = _of_exif(exif)
    if found is None:
        named = _XMP.search(xmp)
        found = int(named[1]) if named else 1
    return found if 1 <= found <= 8 else 1


def _of_exif(block: bytes) -> int | None:
    """Return the orientation of an EXIF block, 0 of none that there is, None without the tag.

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
    """Return the error for an image whose bytes end too early."""
    return ImageError(f"found a truncated {format}: {what}; fetch or export the file again")


def excuse(error: Exception) -> None:
    """Raise again what a decoder raised for no fault of the bytes: memory ran out, a disk failed.

    Pillow and zlib say some of it in words alone; Pillow's own errors of files have no number.
    """
    if isinstance(error, MemoryError) or re.search(_NO_MEMORY, str(error)):
        raise MemoryError from error
    if isinstance(error, OSError) and error.errno is not None:
        raise error
