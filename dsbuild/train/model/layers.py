"""Layers that Keras lacks: pixels scaled as a backbone wants them, planes resized to any size.

Resizing is two products with matrices of interpolation weights. They are made at run time,
so sizes may be unknown until then, on every backend and after an export alike.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

_MEANS = (103.939, 116.779, 123.68)  # of ImageNet, in the order BGR


def interpolation(size: Any, target: Any, align_corners: bool) -> Any:
    """Return the weights of bilinear resizing of an axis: float32 (target, size).

    Target i takes from the place i (size - 1) / (target - 1) where corners are aligned, as
    TensorFlow 1 did with `align_corners=True`; from (i + 1/2) size / target - 1/2 where pixels
    are areas, as `tf.image.resize` and torch's `interpolate` do. Each place is a fraction of
    integers, so that no weight suffers from the length of an axis.
    """
    numbers = ops.arange(target, dtype="int32")[:, None]
    if align_corners:
        below = ops.cast(ops.maximum(target - 1, 1), "int32")
        above = numbers * (size - 1)
    else:
        below = 2 * target
        above = ops.cast(
            ops.clip((2 * numbers + 1) * size - target, 0, below * (size - 1)), "int32"
        )
    distance = ops.abs(above - ops.arange(size, dtype="int32")[None] * below)
    return ops.maximum(1 - ops.cast(distance, "float32") / ops.cast(below, "float32"), 0)


def resize(planes: Any, height: Any, width: Any, align_corners: bool) -> Any:
    """Return planes (batch, h, w, c) bilinearly resized to (batch, height, width, c)."""
    _, rows, columns, channels = ops.shape(planes)
    down = ops.cast(interpolation(rows, height, align_corners), planes.dtype)
    across = ops.cast(interpolation(columns, width, align_corners), planes.dtype)
    planes = ops.matmul(down, ops.reshape(planes, (-1, rows, columns * channels)))
    return ops.matmul(across, ops.reshape(planes, (-1, height, columns, channels)))


@keras.saving.register_keras_serializable("dsbuild")
class ResizeLike(keras.layers.Layer):
    """Resize the first of two inputs (batch, h, w, c) to the height and width of the second."""

    def __init__(self, align_corners: bool = True, **options: Any):
        super().__init__(**options)
        self.align_corners = align_corners

    def call(self, inputs):
        """Return (batch, h of the second, w of the second, c of the first)."""
        planes, like = inputs
        _, height, width, _ = ops.shape(like)
        return resize(planes, height, width, self.align_corners)

    def compute_output_shape(self, shapes):
        """Return the shape, whose sizes may be unknown."""
        return (*shapes[1][:3], shapes[0][3])

    def get_config(self):
        """Return what the layer is made of."""
        return {**super().get_config(), "align_corners": self.align_corners}


@keras.saving.register_keras_serializable("dsbuild")
class Scale(keras.layers.Layer):
    """Resize planes (batch, h, w, c) by a factor, as DeepLab does: to (h - 1) factor + 1.

    With `sides` they are brought into a range before, in the same step: smaller side, largest
    side, and n, as `dsbuild.Augmentation.resize` has them.
    """

    def __init__(
        self,
        factor: float = 1.0,
        align_corners: bool = True,
        sides: Sequence[int] = (),
        **options: Any,
    ):
        super().__init__(**options)
        self.factor, self.align_corners, self.sides = factor, align_corners, tuple(sides)

    def call(self, planes):
        """Return the resized planes; each size is rounded down."""
        _, height, width, _ = ops.shape(planes)
        if self.sides:
            height, width = ranged(height, width, *self.sides)
        sizes = (self._scaled(height), self._scaled(width))
        return resize(planes, *sizes, self.align_corners)

    def _scaled(self, size):
        if self.factor == 1:
            return size
        if isinstance(size, int):
            return int((size - 1) * self.factor + 1)
        return ops.cast(ops.cast(size - 1, "float32") * self.factor + 1, "int32")

    def compute_output_shape(self, shape):
        """Return the shape, whose sizes may be unknown."""
        sizes = shape[1:3]
        if self.sides:
            sizes = (None, None) if None in sizes else ranged(*sizes, *self.sides)
        sizes = (size if size is None else self._scaled(size) for size in sizes)
        return (shape[0], *sizes, shape[3])

    def get_config(self):
        """Return what the layer is made of."""
        own = {"factor": self.factor, "align_corners": self.align_corners, "sides": self.sides}
        return super().get_config() | own


def ranged(height: Any, width: Any, least: int, most: int, multiple: int) -> tuple[Any, Any]:
    """Return the size at which the smaller side is `least`, or the larger one at most `most`.

    Both are then brought up to a multiple plus 1, as by DeepLab's `resize_to_range`. Sizes are
    whole numbers or tensors, and so are those that are returned.
    """
    if isinstance(height, int) and isinstance(width, int):
        small, large = min(height, width), max(height, width)
        over = large * least // small > most
        top, below = (most, large) if over else (least, small)
        found = [max(side * top // below, 1) for side in (height, width)]
    else:
        small, large = ops.minimum(height, width), ops.maximum(height, width)
        over = large * least // small > most
        top, below = ops.where(over, most, least), ops.where(over, large, small)
        found = [ops.maximum(side * top // below, 1) for side in (height, width)]
    return tuple(side + (1 - side) % multiple for side in found)


@keras.saving.register_keras_serializable("dsbuild")
class Pixels(keras.layers.Layer):
    """Scale RGB of 0..255 as the weights of a backbone were trained.

    The modes are those of `keras.applications.imagenet_utils.preprocess_input`: `tf` is
    -1..1; `caffe` is BGR less the means of ImageNet.
    """

    def __init__(self, mode: str, **options: Any):
        super().__init__(**options)
        self.mode = mode

    def call(self, pixels):
        """Return the scaled pixels (batch, h, w, 3)."""
        if self.mode == "tf":
            return pixels / 127.5 - 1
        return ops.flip(pixels, -1) - ops.convert_to_tensor(_MEANS, pixels.dtype)

    def compute_output_shape(self, shape):
        """Return the same shape."""
        return shape

    def get_config(self):
        """Return what the layer is made of."""
        return {**super().get_config(), "mode": self.mode}
