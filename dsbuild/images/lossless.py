"""Rewrite labels in other lossless formats as PNGs with the same pixels."""

import io

import numpy as np
from PIL import Image

from dsbuild.errors import ImageError
from dsbuild.images import codec
from dsbuild.images.header import excuse
from dsbuild.images.opening import judging, opened

_FORMATS = ("TIFF", "BMP", "GIF")
_MODES = ("1", "L", "P", "LA", "RGB", "RGBA")
# Pillow's names of lossless compressions in TIFF; others are JPEG and the like.
_DEFLATED = ("tiff_adobe_deflate", "tiff_deflate")
_FAX = ("tiff_ccitt", "group3", "group4")
_KEPT = ("raw", "tiff_lzw", "packbits", "lzma", "zstd", *_DEFLATED, *_FAX)
_WHITE_IS_ZERO = (262, 0)  # TIFF 6.0: PhotometricInterpretation


def as_png(data: bytes) -> bytes:
    """Return a label in a TIFF, BMP or GIF as a PNG with the same samples and palette.

    Raises ImageError for a file with several pages, a lossy compression, samples that PNG does
    not support, or too many pixels.
    """
    judging()
    try:
        image = opened(data, *_FORMATS)
        if image.height * image.width * 3 >= codec.TOO_MANY_BYTES:
            raise ImageError(
                f"found a label of {image.width:,} x {image.height:,} pixels, which is too large"
            )
        pages = getattr(image, "n_frames", 1)
        if pages > 1:
            raise ImageError(
                f"found a label with {pages} pages or frames, expected one; save it as a PNG"
            )
        coding = image.info.get("compression", "raw")
        if image.format == "TIFF" and coding not in _KEPT:
            raise ImageError(
                f"found a label in a TIFF compressed as {coding}, which may change its values, "
                "expected lossless compression; export the masks as PNG",
                kind="jpeg",
            )
        image.load()
        made = io.BytesIO()
        _still(image).save(made, "PNG")
        return made.getvalue()
    except ImageError:
        raise
    except Exception as error:  # Pillow's many readers raise many kinds for damaged files
        excuse(error)
        raise ImageError(
            f"found a label that cannot be read: {type(error).__name__}; save it as a PNG with "
            "the same values"
        ) from error


def _still(image: Image.Image) -> Image.Image:
    """Return an image in a mode that PNG supports, with the same samples."""
    if image.mode in _MODES:
        return image
    values = np.asarray(image)
    tag, inverted = _WHITE_IS_ZERO
    fits = image.mode[:1] == "I" and 0 <= values.min() <= values.max() <= 0xFFFF
    tags = getattr(image, "tag_v2", {})  # of a TIFF
    if not fits or tags.get(tag) == inverted:
        raise ImageError(
            f"found a label with samples of mode {image.mode}, {values.min()} to {values.max()}, "
            "expected class indices below 256; save it as an 8-bit PNG"
        )
    return Image.fromarray(values.astype(np.uint16))
