"""Rewrite labels in NumPy's .npy files as PNGs with the same values."""

import io

import numpy as np
from numpy.lib import format as npy
from PIL import Image

from dsbuild.errors import ImageError
from dsbuild.images import codec


def is_array(data: bytes) -> bool:
    """Tell whether bytes are those of a .npy file."""
    return data.startswith(npy.MAGIC_PREFIX)


def as_png(data: bytes) -> bytes:
    """Return the values of an array (h, w), or its colours, uint8 (h, w, 3), as a PNG.

    Raises ImageError for other shapes, pickles, and values that are not whole numbers below 65,536.
    """
    try:
        array = npy.read_array(io.BytesIO(data), allow_pickle=False)
    except (ValueError, OSError, SyntaxError, EOFError) as error:
        raise ImageError(
            "found a .npy file that cannot be read without pickles, expected an array of class "
            "indices; save it again, as uint8"
        ) from error
    if array.ndim == 3 and 1 in (array.shape[0], array.shape[2]):
        array = array.reshape([side for side in array.shape if side != 1] or [1, 1])
    if array.dtype == bool:
        array = array.astype(np.uint8)
    colours = array.ndim == 3 and array.shape[2] == 3 and array.dtype == np.uint8
    whole = array.size and (array.dtype.kind in "iu" or (array.dtype.kind == "f" and _whole(array)))
    if (
        not (colours or array.ndim == 2)
        or not whole
        or not 0 <= array.min() <= array.max() < 1 << 16
    ):
        numbers = array.size and array.dtype.kind in "iuf"
        values = f", {array.min()} to {array.max()}" if numbers else ""
        raise ImageError(
            f"found an array of shape {array.shape} and type {array.dtype}{values}, expected "
            "height x width of class indices below 65,536; save it as uint8 or uint16"
        )
    if array.size * (1 if colours else 3) >= codec.TOO_MANY_BYTES:
        raise ImageError(f"found a label of shape {array.shape}, which is too large")
    made = io.BytesIO()
    kind = np.uint8 if array.max() < 256 else np.uint16
    Image.fromarray(array.astype(kind)).save(made, "PNG")
    return made.getvalue()


def _whole(array: np.ndarray) -> bool:
    return bool(np.isfinite(array).all() and (array == np.round(array)).all())
