"""Planes beside an image, such as depths, normals and instance maps: read, checked, written."""

import numpy as np
from numpy.typing import NDArray

from dsbuild.errors import ImageError
from dsbuild.images import codec, deep, png

Pixels = NDArray[np.uint8] | NDArray[np.uint16]


def read(data: bytes, kind: str) -> tuple[np.ndarray, bool]:
    """Return the pixels of a plane's file, and whether its bytes can be stored as they are.

    `png8` gives uint8 (h, w), `png16` uint16 (h, w), `rgb` uint8 (h, w, 3). Raises ImageError for
    a file of another kind: values are never converted.
    """
    try:
        if kind == "png16":
            return _wide(data)
        head = codec.header(data)
        if kind == "png8" and head.format == "png" and head.bits <= 8 and head.model in _ONE:
            return codec.plane(data), head.model == "grey" and head.bits == 8 and not head.beside
        if kind == "rgb" and (head.format, head.model, head.bits) == ("png", "rgb", 8):
            return codec.own(data, head), True
        found = f"{head.bits} bits of {head.model} in a {head.format.upper()}"
    except ImageError as error:
        raise ImageError(str(error), kind="plane") from error
    raise ImageError(f"found {found}, expected {_EXPECTED[kind]}", kind="plane")


_ONE = ("grey", "palette")
_EXPECTED = {
    "png8": "a PNG of one channel with 8 bits, as :png8 says",
    "png16": "a PNG or TIFF of one channel with 16 bits, as :png16 says",
    "rgb": "an RGB PNG with 8 bits per channel, as :rgb says",
}


def _wide(data: bytes) -> tuple[Pixels, bool]:
    found = deep.look(data)
    if found is None:
        head = codec.header(data)
        text = f"found {head.bits} bits of {head.model} in a {head.format.upper()}"
        raise ImageError(f"{text}, expected {_EXPECTED['png16']}")
    if found.reason:
        raise ImageError(found.reason)
    pixels = deep.read(data, found)
    if pixels.ndim == 3:
        raise ImageError(f"found {pixels.shape[2]} bands, expected {_EXPECTED['png16']}")
    return pixels, found.head is not None


def write(pixels: Pixels) -> bytes:
    """Return a plane as a PNG."""
    if pixels.ndim == 2 and pixels.dtype == np.uint8:
        return png.write(np.asarray(pixels, np.uint8))
    return deep.encode(pixels)


def decode(data: bytes) -> Pixels:
    """Return the pixels of a stored plane: uint8 or uint16 (h, w), or RGB uint8 (h, w, 3)."""
    head = codec.header(data)
    if head.bits == 16:
        return deep.decode(data)
    return codec.plane(data) if head.model in _ONE else codec.own(data, head)
