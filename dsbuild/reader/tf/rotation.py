"""Rotation of planes about their centre; what comes from outside is filled."""

import math
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

_NATIVE = (tf.uint8, tf.int32, tf.int64, tf.float32, tf.float64)  # types that TensorFlow rotates


def rotated(
    plane: tf.Tensor, degrees: tf.Tensor, fill: Sequence[Any] | tf.Tensor, smooth: bool
) -> tf.Tensor:
    """Return a plane (h, w, c) rotated clockwise about its centre, in its size and type.

    Args:
      plane: float32 if it is to be smooth.
      degrees: the angle, float32 ().
      fill: values of pixels from outside: [c] or [1].
      smooth: whether pixels are interpolated bilinearly, or taken from the nearest one.
    """
    kind, shape = plane.dtype, tf.shape(plane)[:2]
    fill = tf.cast(tf.stack(fill), tf.float32 if smooth else tf.int64 if kind.is_integer else kind)
    if not smooth and kind not in _NATIVE:
        plane = tf.cast(plane, tf.int32)
    offset = tf.cast(fill, plane.dtype) if smooth else tf.zeros([1], plane.dtype)
    found = tf.raw_ops.ImageProjectiveTransformV3(
        images=(plane - offset)[tf.newaxis],
        transforms=_backwards(degrees, shape)[tf.newaxis],
        output_shape=shape,
        fill_value=0.0 if smooth else tf.cast(fill[0], tf.float32),
        interpolation="BILINEAR" if smooth else "NEAREST",
        fill_mode="CONSTANT",
    )[0]
    return tf.ensure_shape(tf.cast(found + offset, kind), plane.shape)


def _backwards(degrees: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
    """Return the transform from places (x, y) of the result to those of the plane: float32 [8]."""
    y, x = tf.unstack((tf.cast(shape, tf.float32) - 1) / 2)
    angle = degrees * (math.pi / 180)
    cos, sin = tf.cos(angle), tf.sin(angle)
    down = [cos, sin, x - cos * x - sin * y]
    across = [-sin, cos, y + sin * x - cos * y]
    return tf.stack([*down, *across, 0.0, 0.0])
