"""Images as viewers show them, of any common format."""

import numpy as np

from dsbuild import images


def pixels(data: bytes) -> np.ndarray:
    """Return an image as viewers show it: uint8 (h, w, 3) RGB.

    Alpha is dropped, EXIF orientation applied. What may be stored as it is has the pixels of
    `images.decode`, all else those of `images.convert`. Raises ImageError.
    """
    if not images.foreign(data):
        head = images.header(data)
        if not images.refusal(head):
            return images.turn(images.decode(data, head), head.orientation)
    found, orientation = images.convert(data)
    if found.ndim == 2 or found.shape[2] == 2:  # grey, or that and alpha
        grey = found.reshape(*found.shape[:2], -1)[..., :1]
        found = np.broadcast_to(grey, (*grey.shape[:2], 3))
    return images.turn(found[..., :3], orientation)
