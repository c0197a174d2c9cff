"""Make pictures to look at: coloured planes and overlays, as files and as data URIs.

Colours are a table, uint8 (256, 3): an RGB colour for every value that a plane may hold. A table
for planes of 16 bits has 65,536 rows. Black, the colour of the background, is transparent in an
overlay.
"""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dsbuild.errors import ImageError
from dsbuild.images.header import excuse
from dsbuild.images.opening import opened
from dsbuild.images.png import Plane, write
from dsbuild.images.transform import pick, pick_wide, shrink

_MARK = b"tEXtSoftware\0dsbuild inspect"  # marks the PNGs that `is_marked` recognises
_QUALITY = 78  # of JPEGs: at this size no artefact shows


def dealt(bits: int = 8) -> NDArray[np.uint8]:
    """Return VOC's colours for all values, whose bits are dealt to red, green and blue in turn.

    Source: VOCdevkit, VOClabelcolormap.m.
    """
    values = np.arange(1 << bits)
    channels = [
        sum((values >> (3 * bit + channel) & 1) << (7 - bit) for bit in range(6))
        for channel in range(3)
    ]
    return np.stack(channels, 1).astype(np.uint8)


def table(palette: Mapping[str, Sequence[int]] | None, bits: int = 8) -> NDArray[np.uint8]:
    """Return the colours of a manifest's palette (value -> RGB), and VOC's for other values.

    `bits` are those of the planes.
    """
    colours = dealt(bits)
    for value, colour in (palette or {}).items():
        colours[int(value)] = colour
    return colours


def paint(plane: Plane, colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a plane in the colours of its values: uint8 (h, w, 3).

    A plane of 16 bits, which other tools wrote, may need more colours than a table has.
    """
    if plane.dtype.itemsize > 1 and len(colours) < 1 << 16:
        colours = np.concatenate([colours, dealt(16)[len(colours) :]])
    return colours[plane]


def overlay(
    pixels: NDArray[np.uint8], plane: Plane, colours: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Return the mean of an image and its coloured plane, or the image where that is black."""
    painted = paint(plane, colours)
    mixed = ((pixels.astype(np.uint16) + painted + 1) // 2).astype(np.uint8)
    return np.where(painted.any(2, keepdims=True), mixed, pixels)


def grey_of(values: NDArray[np.integer[Any]]) -> NDArray[np.uint8]:
    """Return numbers (h, w) as a grey picture: uint8, the largest magnitude is white.

    If some numbers are negative, 0 is in the middle, at 128.
    """
    most = max(int(values.max()), -int(values.min()), 1)
    if values.min() < 0:
        return (128 + values * (127 / most)).round().astype(np.uint8)
    return (values * (255 / most)).round().astype(np.uint8)


def fit(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Return (height, width), shrunk so that the longer side is at most `side`.

    >>> fit((375, 500), 320)
    (240, 320)
    """
    longer = max(size)
    if longer <= side:
        return size
    height, width = (max(1, round(length * side / longer)) for length in size)
    return height, width


def photo_uri(pixels: NDArray[np.uint8], side: int) -> str:
    """Return an image or a grey picture as a data URI, with its longer side at most `side`.

    It is a JPEG, or for black and white alone a PNG, which is sharp and a quarter of the size.
    """
    out = io.BytesIO()
    small = shrink(np.ascontiguousarray(pixels), fit(pixels.shape[:2], side))
    if small.ndim == 2 and np.isin(small, (0, 255)).all():
        Image.fromarray(small).convert("1").save(out, "PNG", optimize=True)
        return _uri("png", out.getvalue())
    Image.fromarray(small).save(out, "JPEG", quality=_QUALITY)
    return _uri("jpeg", out.getvalue())


def outlined(
    plane: Plane, segments: NDArray[np.int32], colours: NDArray[np.uint8]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return a plane with white outlines between segments, and its colours.

    `segments` are of the plane's size. The outlines have a value that the plane does not use.
    """
    outline = np.zeros(plane.shape, bool)
    outline[:, 1:] |= segments[:, 1:] != segments[:, :-1]
    outline[1:] |= segments[1:] != segments[:-1]
    free = np.setdiff1d(np.arange(256), plane)
    if not len(free):
        return plane, colours
    colours = colours.copy()
    colours[free[-1]] = 255
    return np.where(outline, free[-1], plane).astype(np.uint8), colours


def plane_uri(
    plane: Plane,
    colours: NDArray[np.uint8],
    side: int,
    segments: NDArray[np.int32] | None = None,
) -> str:
    """Return a coloured plane as a data URI: a palette PNG in which black is transparent.

    Of the values of a plane of 16 bits, the 256 most frequent keep their colours, and others show
    the nearest value's. With `segments`, int32 (h, w), these have outlines.
    """
    out = io.BytesIO()
    size = fit(plane.shape, side)
    small = pick(np.ascontiguousarray(plane), size)
    small, colours = _numbered(small, colours)
    colours = colours[:256]  # a plane of 8 bits may come with those of 16
    if segments is not None:
        small, colours = outlined(small, pick_wide(segments, size), colours)
    image = Image.fromarray(small)
    image.putpalette(colours.tobytes())
    clear = bytes(255 if colour.any() else 0 for colour in colours)
    image.save(out, "PNG", transparency=clear, optimize=True)
    return _uri("png", out.getvalue())


def _numbered(
    plane: Plane, colours: NDArray[np.uint8]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return a plane as numbers of at most 256 colours: uint8 (h, w), and RGB uint8 (n, 3)."""
    if plane.dtype.itemsize == 1:
        return plane.astype(np.uint8, copy=False), colours
    values, counts = np.unique(plane, return_counts=True)
    shown = np.sort(values[np.argsort(-counts, kind="stable")[:256]])
    after = np.searchsorted(shown, plane).clip(max=len(shown) - 1)
    before = (after - 1).clip(min=0)
    nearer = plane.astype(np.int32) - shown[before] < shown[after].astype(np.int32) - plane
    places = np.where(nearer, before, after).astype(np.uint8)
    return places, paint(shown[None], colours)[0]


def _uri(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def paletted(plane: Plane, colours: NDArray[np.uint8]) -> bytes:
    """Return a plane of class indices as a palette PNG like VOC's: values with colours.

    A palette has no more than 256 colours, so a plane of 16 bits becomes a grey PNG.
    """
    if plane.dtype.itemsize > 1:
        return write(plane)
    out = io.BytesIO()
    image = Image.fromarray(np.ascontiguousarray(plane))
    image.putpalette(colours.tobytes())
    image.save(out, "PNG", bits=8)
    return out.getvalue()


def marked_png(pixels: NDArray[np.uint8]) -> bytes:
    """Return pixels as a PNG with a mark that dsbuild wrote it for viewing."""
    from PIL.PngImagePlugin import PngInfo  # here, since few commands write such PNGs

    out = io.BytesIO()
    mark = PngInfo()
    mark.add_text("Software", "dsbuild inspect")
    Image.fromarray(np.ascontiguousarray(pixels)).save(out, "PNG", pnginfo=mark)
    return out.getvalue()


def is_marked(data: bytes) -> bool:
    """Tell whether a file is a PNG with the mark of `marked_png`."""
    return data.startswith(b"\x89PNG") and _MARK in data[:4096]


def sixteen(data: bytes) -> NDArray[np.int32]:
    """Return the values of a 16-bit grey PNG: int32 (h, w); raise ImageError."""
    try:
        image = np.asarray(opened(data, "PNG")).astype(np.int32)
    except Exception as error:  # Pillow raises many kinds for damaged files
        excuse(error)
        raise ImageError(f"found a damaged PNG: {error}; build again") from error
    if image.ndim != 2:
        raise ImageError("found a PNG in colour, expected 16-bit grey; build again")
    return image
