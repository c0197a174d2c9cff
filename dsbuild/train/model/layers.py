"""Layers that Keras does not have: scale pixels for a backbone, pad and resize planes.

Resizing is two products with matrices of interpolation weights. They are computed at run time,
so sizes may be unknown until then, on every backend and after an export alike.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from dsbuild.train.model.places import (
    Size,
    Tensor,
    aligned,
    between,
    moved,
    ranged,
    resampled,
    resize,
    scaled,
)
from dsbuild.train.model.scalings import SCALINGS

Shape = tuple[int | None, ...]


@keras.saving.register_keras_serializable("dsbuild")
class Spread(keras.layers.Layer):
    """Interpolate features to pixels, or to other features, by position.

    The first input is features (b, h, w, c) of a stride, the first of which lies at `start`. The
    second is a plane with a value on every step-th pixel from `first` on: the result has its height
    and width. Pairs of planes may follow, in each of which the second plane is the first one
    resized: they lead from the pixels of the second input to those that the features were computed
    from. Places between two pixels, such as 1.5, are allowed.
    """

    def __init__(
        self,
        stride: int,
        step: int = 1,
        align_corners: bool = True,
        start: float = 0.0,
        first: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.stride, self.step, self.align_corners = stride, step, align_corners
        self.start, self.first = start, first

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        """Return (b, h of the second, w of the second, c of the first)."""
        features, *planes = inputs
        like, *pairs = (ops.shape(plane) for plane in planes)
        weights = []
        for axis in (1, 2):
            places = ops.cast(ops.arange(like[axis], dtype="int32"), "float32") * self.step
            places = places + self.first if self.first else places
            for before, after in zip(pairs[::2], pairs[1::2], strict=True):
                places = moved(places, before[axis], after[axis], self.align_corners)
            places = places - self.start if self.start else places
            weights.append(between(places / self.stride, ops.shape(features)[axis]))
        return resampled(features, *weights)

    def compute_output_shape(self, shapes: Sequence[Shape]) -> Shape:
        """Return the shape, whose sizes may be unknown."""
        return (*shapes[1][:3], shapes[0][3])

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the layer."""
        own = {
            "stride": self.stride,
            "step": self.step,
            "align_corners": self.align_corners,
            "start": self.start,
            "first": self.first,
        }
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("dsbuild")
class Canvas(keras.layers.Layer):
    """Pad planes (b, h, w, c) with 0 below and on the right, to a size that suits a backbone.

    That is k stride + 1, or k stride with cells (see `places`). The result has the smallest such
    size that is at least the plane's, and at least `least`.
    """

    def __init__(self, stride: int, least: int = 1, cells: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.stride, self.least, self.cells = stride, least, cells

    def call(self, planes: Tensor) -> Tensor:
        """Return the padded planes."""
        sizes = ops.shape(planes)[1:3]
        pads = [[0, self._padded(size) - size] for size in sizes]
        return ops.pad(planes, [[0, 0], *pads, [0, 0]])

    def _padded(self, size: Size) -> Size:
        larger = max if isinstance(size, int) else ops.maximum
        return aligned(larger(size, self.least), self.stride, self.cells)

    def compute_output_shape(self, shape: Shape) -> Shape:
        """Return the shape, whose sizes may be unknown."""
        sizes = (size if size is None else self._padded(size) for size in shape[1:3])
        return (shape[0], *sizes, shape[3])

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the layer."""
        own = {"stride": self.stride, "least": self.least, "cells": self.cells}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("dsbuild")
class Scale(keras.layers.Layer):
    """Resize planes (b, h, w, c) by a factor: to (h - 1) factor + 1, as DeepLab does.

    With a stride, to the nearest k stride + 1, or k stride with cells (see `places`). With `sides`
    the size is first brought into a range: smaller side, largest side, and multiple, as in
    `dsbuild.Augmentation.resize`.
    """

    def __init__(
        self,
        factor: float = 1.0,
        align_corners: bool = True,
        sides: Sequence[int] = (),
        stride: int = 1,
        cells: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.factor, self.align_corners, self.sides = factor, align_corners, tuple(sides)
        self.stride, self.cells = stride, cells

    def call(self, planes: Tensor) -> Tensor:
        """Return the resized planes."""
        _, height, width, _ = ops.shape(planes)
        if self.sides:
            height, width = ranged(height, width, *self.sides)
        return resize(planes, self._scaled(height), self._scaled(width), self.align_corners)

    def _scaled(self, size: Size) -> Size:
        return size if self.factor == 1 else scaled(size, self.factor, self.stride, self.cells)

    def compute_output_shape(self, shape: Shape) -> Shape:
        """Return the shape, whose sizes may be unknown."""
        height, width = shape[1:3]
        if self.sides and None in (height, width):
            return (shape[0], None, None, shape[3])
        if self.sides:
            height, width = ranged(height, width, *self.sides)
        sizes = (size if size is None else self._scaled(size) for size in (height, width))
        return (shape[0], *sizes, shape[3])

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the layer."""
        own = {
            "factor": self.factor,
            "align_corners": self.align_corners,
            "sides": self.sides,
            "stride": self.stride,
            "cells": self.cells,
        }
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("dsbuild")
class Pixels(keras.layers.Layer):
    """Scale RGB of 0..255 as in the training of a backbone; `mode` is one of SCALINGS."""

    def __init__(self, mode: str, **options: Any) -> None:
        super().__init__(**options)
        self.mode = mode

    def call(self, pixels: Tensor) -> Tensor:
        """Return the scaled pixels (b, h, w, 3)."""
        return SCALINGS[self.mode].of(pixels)

    def compute_output_shape(self, shape: Shape) -> Shape:
        """Return the same shape."""
        return shape

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the layer."""
        return {**super().get_config(), "mode": self.mode}
