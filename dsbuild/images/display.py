"""Images as viewers show them, of any common format: alpha dropped, EXIF orientation applied."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dsbuild.images import codec, opening
from dsbuild.images.header import excuse
from dsbuild.images.transform import of

_SEVERAL = ("TIFF", "GIF", "WEBP", "PNG")
_ORIENTATION = 0x0112  # the tag of EXIF


def pixels(data: bytes) -> NDArray[np.uint8]:
    """Return an image of a file's bytes: uint8 (h, w, 3) RGB.

    What may be stored as it is has the pixels of `codec.decode`, all else those of
    `codec.convert`. Raises ImageError.
    """
    if not codec.foreign(data):
        head = codec.header(data)
        if not codec.refusal(head):
            return codec.turn(codec.decode(data, head), head.orientation)
    found, orientation = codec.convert(data)
    return codec.turn(_coloured(found), orientation)


def count(data: bytes) -> int:
    """Return how many pictures a file of several has, of which `pixels` takes the first; else 1.

    Such are pages of TIFF, frames of GIF, WebP and PNG. What cannot be opened counts as one.
    """
    try:
        with opening.opened(data, *_SEVERAL) as image:
            return getattr(image, "n_frames", 1)
    except Exception as error:  # Pillow raises whatever its decoders meet
        excuse(error)
        return 1


def opened(image: Image.Image) -> NDArray[np.uint8]:
    """Return an image that Pillow opened, of any mode: uint8 (h, w, 3) RGB; raise ImageError."""
    return codec.turn(_coloured(of(image)), image.getexif().get(_ORIENTATION, 1))


def picture(pixels: NDArray[np.uint8]) -> Image.Image:
    """Return Pillow's image of pixels."""
    return Image.fromarray(pixels)


def _coloured(found: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return RGB of grey (h, w), or of pixels with their alpha (h, w, 2) or (h, w, 4)."""
    if found.ndim == 2 or found.shape[2] == 2:
        grey = found.reshape(*found.shape[:2], -1)[..., :1]
        found = np.broadcast_to(grey, (*grey.shape[:2], 3))
    return found[..., :3]
