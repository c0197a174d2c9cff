"""Read images as viewers show them, in any common format: no alpha, EXIF orientation applied."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dsbuild.images import codec, opening
from dsbuild.images.header import excuse
from dsbuild.images.transform import of, turn

_SEVERAL = ("TIFF", "GIF", "WEBP", "PNG")
_ORIENTATION = 0x0112  # the tag of EXIF


def pixels(data: bytes) -> NDArray[np.uint8]:
    """Return the pixels of an image file: uint8 (h, w, 3) RGB.

    An image that may be stored as it is has the pixels of `codec.decode`, any other those of
    `codec.convert`. Raises ImageError.
    """
    if not codec.foreign(data):
        head = codec.header(data)
        if not codec.refusal(head):
            return turn(codec.decode(data, head), head.orientation)
    converted, orientation = codec.convert(data)
    return turn(_coloured(converted), orientation)


def count(data: bytes) -> int:
    """Return how many pictures a file holds, of which `pixels` takes the first.

    Pictures are the pages of a TIFF and the frames of a GIF, WebP or PNG. A file that cannot be
    opened counts as one.
    """
    try:
        with opening.opened(data, *_SEVERAL) as image:
            return getattr(image, "n_frames", 1)
    except Exception as error:  # Pillow's readers raise many kinds
        excuse(error)
        return 1


def opened(image: Image.Image) -> NDArray[np.uint8]:
    """Return the pixels of a Pillow image in any mode: uint8 (h, w, 3) RGB; raise ImageError."""
    return turn(_coloured(of(image)), image.getexif().get(_ORIENTATION, 1))


def deep(image: Image.Image) -> NDArray[np.uint16]:
    """Return the pixels of a grey Pillow image of 16 bits, a mode I;16: uint16 (h, w, 1)."""
    pixels = np.asarray(image).astype(np.uint16)[..., np.newaxis]
    return turn(pixels, image.getexif().get(_ORIENTATION, 1))


def picture(pixels: NDArray[np.uint8 | np.uint16]) -> Image.Image:
    """Return pixels as a Pillow image."""
    return Image.fromarray(pixels)


def _coloured(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return grey (h, w), or pixels with alpha (h, w, 2) or (h, w, 4), as RGB (h, w, 3)."""
    if pixels.ndim == 2 or pixels.shape[2] == 2:
        grey = pixels.reshape(*pixels.shape[:2], -1)[..., :1]
        pixels = np.broadcast_to(grey, (*grey.shape[:2], 3))
    return pixels[..., :3]
