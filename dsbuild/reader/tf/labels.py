"""Labels in a TensorFlow graph: class indices of PNGs, and panoptic maps."""

import functools
from collections.abc import Iterable

import numpy as np
import tensorflow as tf

from dsbuild import images
from dsbuild.format import example
from dsbuild.reader.sample import Sample
from dsbuild.reader.tf.python import call

_REMEDY = "build the records with dsbuild, which stores labels that TensorFlow decodes"
# What follows the size in an IHDR chunk of 8 or 16 bits: the bits per channel, and grey as the
# colour type. W3C PNG, 11.2.1.
_GREY = {tf.uint8: b"\x08\0", tf.uint16: b"\x10\0"}


def kind(samples: Iterable[Sample]) -> tf.DType:
    """Return the type of labels that are planes of classes, by some samples."""
    stored = [example.first(one.stored("label")) for one in samples if "panoptic" not in one]
    wide = any(label and images.header(label).bits == 16 for label in stored)
    return tf.uint16 if wide else tf.uint8


def panoptic_of(
    data: tf.Tensor, shape: tf.Tensor, divisor: int, kind: tf.DType, where: tf.Tensor | None
) -> dict[str, tf.Tensor]:
    """Return a panoptic map (h, w, 1), its classes of a kind, and its divisor.

    `shape` is that of the image; `where` names the record in an error if the map has another size.
    """
    values = tf.io.decode_raw(data, tf.int32, little_endian=True)
    if where is not None:
        text = ": found a panoptic map whose size is not the image's"
        whole = tf.equal(tf.size(values, tf.int64), shape[0] * shape[1])
        with tf.control_dependencies([tf.debugging.Assert(whole, [where + text])]):
            values = tf.identity(values)
    plane = tf.reshape(values, (shape[0], shape[1], 1))
    classes = tf.cast(plane // divisor, kind)
    return {"label": classes, "panoptic": plane, "label_divisor": tf.constant(divisor, tf.int64)}


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
        spec = tf.TensorSpec((None, None), kind)
        return call(plane, [data], [spec], _REMEDY)[0][..., tf.newaxis]

    decoded = functools.partial(tf.io.decode_png, data, channels=1, dtype=kind)
    said = tf.strings.substr(data, 24, 2)
    return decoded() if grey else tf.cond(tf.equal(said, _GREY[kind]), decoded, by_images)
