"""The alpha of a matte, in whatever channel its makers' tools left it."""

import numpy as np
from numpy.typing import NDArray

from dsbuild.errors import ImageError
from dsbuild.images import codec, palette, png


def alpha(data: bytes) -> NDArray[np.uint8]:
    """Return the alpha of a matte: uint8 (h, w), 0 transparent to 255 opaque.

    An alpha that varies; else the grey, alone or in equal channels, that has none or is
    wholly opaque. Never the luma of colours. Raises ImageError for anything else.
    """
    head = codec.label_header(data)
    if head.format == "jpeg":
        raise _without_alpha(head, "without alpha")
    if head.bits > 8:
        raise ImageError(
            f"found a matte of {head.bits} bits a channel, expected 8; save it as a PNG of 8 bits"
        )
    codec.refuse_label(head)
    if head.model in ("grey+alpha", "rgba"):
        found = png.alpha(data, head)
        if found.min() != found.max():
            return found
    pixels = codec.own(data, head)
    if pixels.ndim == 2:
        return _grey(pixels, palette.transparent(data, head))
    coloured = (pixels[..., :3] != pixels[..., :1]).any() if pixels.shape[2] > 2 else False
    found = pixels[..., -1]
    if pixels.shape[2] == 3:
        found = _key(pixels, palette.transparent(data, head))
    if found.min() != found.max():
        return _agreed(None if coloured else pixels[..., 0], found)
    if coloured and found.max() == 255:
        opaque = "without alpha" if pixels.shape[2] == 3 else "whose alpha is opaque everywhere"
        raise _without_alpha(head, opaque)
    grey = np.ascontiguousarray(pixels[..., 0])
    if found.max() == 255:
        return grey
    if found.max() == 0 and (coloured or grey.min() == grey.max()):
        return found  # nothing of the picture is left
    raise ImageError(
        f"found a matte whose alpha is {found.max()} everywhere, expected one that varies, or grey "
        "without alpha; save the channel that holds the matte as a grey PNG",
        kind="no-alpha",
    )


def _without_alpha(head: codec.Header, what: str) -> ImageError:
    return ImageError(
        f"found a {head.format.upper()} matte in {head.model.upper()} {what}, expected RGBA or "
        "grey PNG: its colours are the cut-out, not the alpha; export the alpha",
        kind="no-alpha",
    )


def _grey(grey: NDArray[np.uint8], key: tuple[int, ...] | None) -> NDArray[np.uint8]:
    return grey if key is None else _agreed(grey, _key(grey[..., None], key))


def _key(pixels: NDArray[np.uint8], key: tuple[int, ...] | None) -> NDArray[np.uint8]:
    """Return the alpha by the one colour that a PNG without alpha calls transparent."""
    if key is None:
        return np.full(pixels.shape[:2], 255, np.uint8)
    return np.where((pixels == key).all(axis=2), 0, 255).astype(np.uint8)


def _agreed(grey: NDArray[np.uint8] | None, found: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return an alpha beside colours; raise ImageError where grey says another matte."""
    if grey is None or found.min() == found.max() == 255:
        return found if grey is None else grey
    if grey.min() == grey.max() or np.array_equal(grey, found):
        return found
    raise ImageError(
        "found a grey matte in which one level is transparent, and it is not known which of them "
        "is the matte, grey or transparency; save it as a grey PNG without transparency",
        kind="no-alpha",
    )
