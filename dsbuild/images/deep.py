"""Images of 16 bits per channel: recognised, read, scaled to 8 bits, and written as PNG."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dsbuild.errors import ImageError
from dsbuild.images import codec, jpeg, png, tiff, transform
from dsbuild.images.header import Header
from dsbuild.images.tiff import Tiff

BANDS = (1, 3, 4)  # that readers and writers of PNG can handle at 16 bits
_LEVEL = 4  # of zlib
_SPAN = 0xFFFF
_COLOUR, _RGB = 25, 2  # the byte of a PNG that holds its colour type, and the type of RGB
_BIG = (b"II+\0", b"MM\0+")


class Deep(NamedTuple):
    """An image of 16 bits per channel.

    Attributes:
      head: its header, if it is a PNG.
      tags: its tags, if it is a TIFF.
      reason: why its pixels cannot be read, or None.
    """

    head: Header | None
    tags: Tiff | None
    reason: str | None


def look(data: bytes) -> Deep | None:
    """Return what an image of 16 bits per channel or more is; None if it is another image."""
    if data.startswith(codec.PNG):
        head = png.header(data)
        return Deep(head, None, _refusal(head)) if head.bits == 16 else None
    if data.startswith(_BIG):
        return Deep(None, None, "found a BigTIFF; convert it with gdal_translate -co BIGTIFF=NO")
    found = None if data.startswith(jpeg.SIGNATURE) else tiff.read_tags(data)
    if found is None or found.bits < 16:
        return None
    reason = tiff.refusal(found) or _of_bands(found.bands) or _of_size(*found.size)
    return Deep(None, found, reason)


def _refusal(head: Header) -> str | None:
    if head.frames > 1 or head.beside:
        return codec.refusal(head)
    return _of_bands(head.channels) or _of_size(head.height, head.width)


def _of_bands(bands: int) -> str | None:
    if bands in BANDS:
        return None
    why = "a PNG holds no more" if bands > max(BANDS) else "tools write no such PNG"
    return (
        f"found {bands} bands of 16 bits, expected 1, 3 or 4: {why}; choose some of them first, "
        "for example with gdal_translate -b"
    )


def _of_size(height: int, width: int) -> str | None:
    if 0 < height * width * 3 < codec.TOO_MANY_BYTES:
        return None
    return (
        f"found {width:,} x {height:,} pixels, expected fewer than {codec.TOO_MANY_BYTES // 3:,}; "
        "cut it into tiles"
    )


def read(data: bytes, found: Deep) -> NDArray[np.uint16]:
    """Return the pixels of an image that can be read: uint16 (h, w) or (h, w, c)."""
    if found.tags is not None:
        pixels = tiff.read(found.tags)
        return pixels[..., 0] if found.tags.bands == 1 else pixels
    png.check(data, found.head or png.header(data))
    return decode(data)


def decode(data: bytes) -> NDArray[np.uint16]:
    """Return the pixels of a 16-bit PNG in its own channels: uint16 (h, w) or (h, w, c).

    A colour that stands for transparency (tRNS) adds no channel, as in TensorFlow. Raises
    ImageError if it is damaged.
    """
    import cv2

    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16:
        raise ImageError("found a damaged 16-bit PNG; fetch or export the file again")
    if pixels.ndim == 3 and data[_COLOUR] == _RGB:
        pixels = pixels[..., :3]
    return _swapped(np.asarray(pixels, np.uint16))


def own(data: bytes, head: Header) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Decode a whole image in its own channels: uint8 or uint16, (h, w) or (h, w, c).

    Raises ImageError if it is damaged.
    """
    if head.format != "png" or head.bits != 16:
        return codec.own(data, head)
    png.check(data, head)
    return decode(data)


def encode(
    pixels: NDArray[np.uint8] | NDArray[np.uint16],
    jpeg_quality: int | None = None,
    level: int = 6,
) -> bytes:
    """Encode pixels as `transform.encode` does, and those of 16 bits as a 16-bit PNG."""
    if pixels.dtype != np.uint16:
        return transform.encode(pixels, jpeg_quality, level)
    import cv2

    done, found = cv2.imencode(
        ".png", _swapped(np.asarray(pixels, np.uint16)), [cv2.IMWRITE_PNG_COMPRESSION, _LEVEL]
    )
    if not done:
        raise ImageError(f"found pixels of shape {pixels.shape}, which OpenCV writes as no PNG")
    return found.tobytes()


def _swapped(pixels: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Return RGB as the BGR that OpenCV expects, or back; a fourth band stays the fourth."""
    if pixels.ndim == 2:
        return np.ascontiguousarray(pixels)
    order = [2, 1, 0, 3][: pixels.shape[2]]
    return np.ascontiguousarray(pixels[..., order])


def pixels(data: bytes) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Decode a stored image: RGB uint8 (h, w, 3); with 16 bits uint16 (h, w, c), all its bands.

    Raises ImageError if it is damaged.
    """
    head = codec.header(data)
    if head.format != "png" or head.bits != 16:
        return codec.decode(data, head)
    found = decode(data)
    return found[..., None] if found.ndim == 2 else found


def narrowed(pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Return stored pixels as RGB uint8 (h, w, 3): 65535 becomes 255, further bands are dropped."""
    if pixels.dtype == np.uint8 and pixels.shape[2] == 3:
        return np.asarray(pixels, np.uint8)
    small = pixels if pixels.dtype == np.uint8 else (pixels + np.uint32(128)) // 257
    small = np.repeat(small, 3, axis=2) if small.shape[2] == 1 else small[..., :3]
    return np.ascontiguousarray(small, np.uint8)


def shown(pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Return stored pixels for viewers: RGB uint8 (h, w, 3), 16 bits from darkest to brightest."""
    if pixels.dtype == np.uint8:
        return narrowed(pixels)
    low, high = int(pixels.min()), int(pixels.max())
    return narrowed(scaled(np.asarray(pixels, np.uint16), low, max(high, low + 1)))


def resample(
    pixels: NDArray[np.uint8 | np.uint16], size: tuple[int, int]
) -> NDArray[np.uint8 | np.uint16]:
    """Resize RGB uint8 or uint16 (h, w, c) to (height, width) with a Lanczos filter."""
    if pixels.dtype == np.uint8:
        return transform.resample(np.asarray(pixels, np.uint8), size)
    bands = [
        Image.fromarray(pixels[..., i].astype(np.float32)).resize(
            size[::-1], Image.Resampling.LANCZOS
        )
        for i in range(pixels.shape[2])
    ]
    found = np.stack([np.asarray(band) for band in bands], -1)
    return found.round().clip(0, _SPAN).astype(np.uint16)


def scaled(pixels: NDArray[np.uint16], low: int, high: int) -> NDArray[np.uint8]:
    """Return pixels scaled from low..high to 0..255, rounded; values beyond become 0 or 255."""
    values = np.arange(_SPAN + 1).clip(low, high) - low
    table = ((510 * values + (high - low)) // (2 * (high - low))).astype(np.uint8)
    return table[pixels]
