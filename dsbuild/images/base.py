"""What a header says of an image, whatever its format."""

from dataclasses import dataclass

from dsbuild.errors import ImageError


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
      orientation: EXIF orientation 1..8; 5..8 swap height and width for viewers.
      frames: 1, or more for an animated PNG.
      interlaced: whether a PNG is interlaced.
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


def exif_orientation(tiff: bytes) -> int:
    """Return the orientation (tag 0x0112) of an EXIF block, 1 where it has none.

    A damaged block has none: readers ignore it, and so does this one. Source: TIFF
    6.0, section 2; EXIF 2.32, 4.6.4.
    """
    order = {b"II*\0": "little", b"MM\0*": "big"}.get(tiff[:4])
    if order is None:
        return 1

    def number(at: int, size: int) -> int:
        return int.from_bytes(tiff[at : at + size], order)

    start = number(4, 4)
    for entry in range(start + 2, start + 2 + 12 * number(start, 2), 12):
        if number(entry, 2) == 0x0112:
            value = number(entry + 8, 2)
            return value if 1 <= value <= 8 else 1
        if entry > len(tiff):
            break
    return 1


def cut(format: str, what: str) -> ImageError:
    """Return the error for an image whose bytes end too early."""
    return ImageError(f"found a truncated {format}: {what}; fetch or export the file again")
