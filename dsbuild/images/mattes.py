"""Read the alpha of a matte from whichever channel holds it."""

import numpy as np
from numpy.typing import NDArray

from dsbuild.errors import ImageError
from dsbuild.images import codec, palette, png
from dsbuild.images.header import Header


def alpha(data: bytes) -> NDArray[np.uint8]:
    """Return the alpha of a matte: uint8 (h, w), from 0 transparent to 255 opaque.

    It is the alpha channel if that varies; else the grey, alone or in equal channels, if there
    is no alpha or all of it is opaque, also in a JPEG, as published videos have it. It is never
    the luma of colours. Raises ImageError for anything else.
    """
    head = codec.label_header(data)
    if head.format == "jpeg":
        return _of_jpeg(data, head)
    if head.bits > 8:
        raise ImageError(
            f"found a matte with {head.bits} bits per channel, expected 8; save it as an 8-bit PNG"
        )
    codec.refuse_label(head)
    if head.model in ("grey+alpha", "rgba"):
        channel = png.alpha(data, head)
        if channel.min() != channel.max():
            return channel
    pixels = codec.own(data, head)
    if pixels.ndim == 2:
        return _grey(pixels, palette.transparent(data, head))
    coloured = (pixels[..., :3] != pixels[..., :1]).any() if pixels.shape[2] > 2 else False
    channel = pixels[..., -1]
    if pixels.shape[2] == 3:
        channel = _key(pixels, palette.transparent(data, head))
    if channel.min() != channel.max():
        return _agreed(None if coloured else pixels[..., 0], channel)
    if coloured and channel.max() == 255:
        opaque = "without alpha" if pixels.shape[2] == 3 else "whose alpha is opaque everywhere"
        raise _without_alpha(head, opaque)
    grey = np.ascontiguousarray(pixels[..., 0])
    if channel.max() == 255:
        return grey
    if channel.max() == 0 and (coloured or grey.min() == grey.max()):
        return channel  # all of the picture is transparent
    raise ImageError(
        f"found a matte whose alpha is {channel.max()} everywhere, expected an alpha that varies, "
        "or grey without alpha; save the channel that holds the matte as a grey PNG",
        kind="no-alpha",
    )


def channel(data: bytes) -> NDArray[np.uint8]:
    """Return the alpha channel of a PNG, uint8 (h, w); raise ImageError if it has none."""
    head = codec.label_header(data)
    if head.format == "jpeg" or head.model not in ("grey+alpha", "rgba"):
        raise ImageError(
            f"found a {head.format.upper()} in {head.model.upper()} without alpha channel, "
            "expected one, since labels are read from it; leave --channel alpha out if the mask is "
            "in the colours",
            kind="no-alpha",
        )
    codec.refuse_label(head)
    return png.alpha(data, head)


def _of_jpeg(data: bytes, head: Header) -> NDArray[np.uint8]:
    """Return the grey of a JPEG: of a matte, blur moves soft pixels by few levels."""
    codec.refuse_label(head)
    pixels = codec.decode(data, head, strict=True)
    if (pixels != pixels[..., :1]).any():
        raise _without_alpha(head, "without alpha")
    return np.ascontiguousarray(pixels[..., 0])


def _without_alpha(head: Header, what: str) -> ImageError:
    return ImageError(
        f"found a {head.format.upper()} matte in {head.model.upper()} {what}, expected RGBA or "
        "grey PNG: its colours show the cut-out, not the alpha; export the alpha",
        kind="no-alpha",
    )


def _grey(grey: NDArray[np.uint8], key: tuple[int, ...] | None) -> NDArray[np.uint8]:
    return grey if key is None else _agreed(grey, _key(grey[..., None], key))


def _key(pixels: NDArray[np.uint8], key: tuple[int, ...] | None) -> NDArray[np.uint8]:
    """Return the alpha that the transparent colour of a PNG without alpha channel defines."""
    if key is None:
        return np.full(pixels.shape[:2], 255, np.uint8)
    return np.where((pixels == key).all(axis=2), 0, 255).astype(np.uint8)


def _agreed(grey: NDArray[np.uint8] | None, alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the alpha, or an opaque one's grey; raise ImageError if both may be the matte."""
    if grey is None or alpha.min() == alpha.max() == 255:
        return alpha if grey is None else grey
    if grey.min() == grey.max() or np.array_equal(grey, alpha):
        return alpha
    raise ImageError(
        "found a grey matte in which one level is transparent, and it is unclear whether grey or "
        "transparency is the matte; save it as a grey PNG without transparency",
        kind="no-alpha",
    )
