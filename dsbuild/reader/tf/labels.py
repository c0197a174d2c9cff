"""Class indices of label PNGs in a TensorFlow graph."""

import functools

import numpy as np
import tensorflow as tf

from dsbuild import images

# What follows the size in an IHDR chunk of 8 or 16 bits: the bits per channel, and grey as the
# colour type. W3C PNG, 11.2.1.
_GREY = {tf.uint8: b"\x08\0", tf.uint16: b"\x10\0"}


def plane_of(data: tf.Tensor, kind: tf.DType, grey: bool) -> tf.Tensor:
    """Return the class indices of a label PNG, known to be `grey` of its kind or not: (h, w, 1).

    TensorFlow turns palettes into colours and scales other bits to those of the kind; such labels,
    which other tools write, are decoded by `images.plane`.
    """

    def plane(data: bytes) -> np.ndarray:
        found = images.plane(data)
        if found.dtype.itemsize > kind.size:
            raise ValueError("found a label of 16 bits, expected 8 bits, as in the first record")
        return found.astype(kind.as_numpy_dtype)

    def by_images() -> tf.Tensor:
        found = tf.numpy_function(plane, [data], kind)
        return tf.ensure_shape(found, (None, None))[..., tf.newaxis]

    decoded = functools.partial(tf.io.decode_png, data, channels=1, dtype=kind)
    said = tf.strings.substr(data, 24, 2)
    return decoded() if grey else tf.cond(tf.equal(said, _GREY[kind]), decoded, by_images)
