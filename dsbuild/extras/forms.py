"""The forms in which the pixels of extra features are stored."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8] | NDArray[np.int16]
    Stored = dict[str, bytes | Pixels]  # role -> value

OFFSET = 32768  # added in 16-bit PNGs, which hold no negative values


def _values(name: str, pixels: "Pixels") -> "Stored":
    return {name: pixels.ravel()}


def _png(name: str, pixels: "Pixels") -> "Stored":
    import numpy as np

    from dsbuild import images

    encoded = images.encode(pixels.astype(np.uint8, casting="safe", copy=False))
    return {f"{name}.encoded": encoded, f"{name}.format": b"png"}


def _png16(name: str, pixels: "Pixels") -> "Stored":
    import numpy as np

    from dsbuild import images

    shifted = (pixels.astype(np.int32) + OFFSET).astype(np.uint16)
    return {
        f"{name}.encoded": images.encode(shifted, level=1),
        f"{name}.format": b"png16",
    }


def _raw16(name: str, pixels: "Pixels") -> "Stored":
    return {
        f"{name}.encoded": pixels.astype("<i2").tobytes(),
        f"{name}.format": b"raw16",
    }


@dataclass(frozen=True)
class Form:
    """A way to store pixels.

    Attributes:
      store: (name, pixels) -> {role: value}.
      roles: endings of the roles, after the extra's name.
      bytes_per_pixel: the approximate size.
    """

    store: Callable[[str, "Pixels"], "Stored"]
    roles: tuple[str, ...]
    bytes_per_pixel: float


_ENCODED = (".encoded", ".format")
FORMS = {
    "int64": Form(_values, ("",), 4.9),
    "png": Form(_png, _ENCODED, 0.05),
    "png16": Form(_png16, _ENCODED, 1.1),
    "raw16": Form(_raw16, _ENCODED, 2.0),
}


def restore(form: bytes, data: bytes, shape: tuple[int, int] | None = None) -> "Pixels":
    """Return the pixels of an extra stored as bytes: int16 or uint8 (h, w).

    `form` is the record's own word for the form. `shape` is that of the image; `raw16` stores
    none. Raises ImageError if the pixels do not decode, ValueError if they do not fit the shape.
    """
    import numpy as np

    from dsbuild import images
    from dsbuild.images import colour

    if form == b"raw16":
        return np.frombuffer(data, "<i2").reshape(shape or -1)
    if form == b"png16":
        return (colour.sixteen(data) - OFFSET).astype(np.int16)
    return images.plane(data)
