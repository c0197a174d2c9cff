"""Where pixels and features lie on an axis, and the weights that interpolate between them.

Features of stride s lie on pixels 0, s, 2 s and so on. So an axis of k s + 1 pixels has a feature
on its first pixel and on its last; sizes are rounded up to that (`aligned`), and then no resizing
shifts anything.

Some backbones (CELLS) have windows of even size, which divide an image into cells without overlap.
Their features lie between pixels, in the middles of cells (`first`), and sizes are k s.

Sizes are whole numbers, or tensors if they are only known at run time. No step has a negative
number, since exporters differ in how they round quotients and remainders of those.
"""

from fractions import Fraction
from typing import Any

from keras import ops

LARGEST = 32  # stride of the last features of each backbone, before any atrous convolution

Tensor = Any  # of Keras' backend, or what converts to one
Size = Any  # a whole number, or a tensor of one


def first(stride: int, cells: bool) -> float:
    """Return where the first feature of this stride lies: on pixel 0, or in the middle of a cell.

    If atrous convolution makes a stride smaller, the first feature stays where it is.
    """
    return (stride - 1) / 2 if cells else 0.0


def aligned(size: Size, stride: int, cells: bool = False) -> Size:
    """Return the smallest k stride + 1 that is at least `size`; with cells, the smallest k stride.

    With cells it is at least LARGEST, since a smaller image has no feature.

    >>> aligned(96, 16), aligned(97, 16), aligned(1, 8)
    (97, 97, 1)
    >>> aligned(96, 16, True), aligned(97, 16, True), aligned(1, 8, True)
    (96, 112, 32)
    """
    if cells:
        return _whole((size + (stride - 1)) // stride * stride)
    return (size + (stride - 2)) // stride * stride + 1 if stride > 1 else size


def scaled(size: Size, factor: float, stride: int, cells: bool = False) -> Size:
    """Return the k stride + 1 nearest to (size - 1) factor + 1, DeepLab's size of a scaled image.

    With cells, return the k stride nearest to size x factor that is at least LARGEST.

    >>> scaled(513, 0.75, 16), scaled(97, 0.75, 16), scaled(97, 0.75, 1)
    (385, 81, 73)
    >>> scaled(512, 0.75, 16, True), scaled(64, 0.25, 16, True)
    (384, 32)
    """
    part = Fraction(factor).limit_denominator(1000)
    below = 2 * part.denominator * stride
    if cells:
        return _whole((size * (2 * part.numerator) + below // 2) // below * stride)
    return ((size - 1) * (2 * part.numerator) + below // 2) // below * stride + 1


def _whole(size: Size) -> Size:
    """Return a size, or that of one cell of the largest stride if it is smaller."""
    return max(size, LARGEST) if isinstance(size, int) else ops.maximum(size, LARGEST)


def ranged(height: Size, width: Size, least: int, most: int, multiple: int) -> tuple[Size, Size]:
    """Return the size with a smaller side of `least`, unless the larger would exceed `most`.

    Like DeepLab's `resize_to_range`: `most` is first rounded down to a multiple plus 1, and both
    sides are rounded up to one at the end.

    >>> ranged(375, 500, 193, 256, 4)
    (189, 253)
    """
    most = (most - 1) // multiple * multiple + 1
    if isinstance(height, int) and isinstance(width, int):
        small, large = min(height, width), max(height, width)
        over = large * least // small > most
        top, below = (most, large) if over else (least, small)
        sides = [max(side * top // below, 1) for side in (height, width)]
    else:
        small, large = ops.minimum(height, width), ops.maximum(height, width)
        over = large * least // small > most
        top, below = ops.where(over, most, least), ops.where(over, large, small)
        sides = [ops.maximum(side * top // below, 1) for side in (height, width)]
    return aligned(sides[0], multiple), aligned(sides[1], multiple)


def moved(places: Tensor, size: Size, target: Size, align_corners: bool) -> Tensor:
    """Return where places on an axis of `size` pixels lie after it is resized to `target`.

    With aligned corners, corners map to corners; otherwise pixels are areas with their centres at
    halves. `places` is float32 (n,).
    """
    if align_corners:
        below = ops.cast(ops.maximum(size - 1, 1), "float32")
        return places * ops.cast(target - 1, "float32") / below
    factors = ops.cast(target, "float32"), ops.cast(size, "float32")
    last = ops.cast(target - 1, "float32")
    return ops.clip((places + 0.5) * factors[0] / factors[1] - 0.5, 0.0, last)


def between(places: Tensor, size: Size) -> Tensor:
    """Return the weights of linear interpolation at places on an axis: float32 (n, size).

    Outside of the axis the first or the last of its `size` values counts.
    """
    places = ops.clip(places, 0.0, ops.cast(size - 1, "float32"))
    numbers = ops.cast(ops.arange(size, dtype="int32"), "float32")
    return ops.maximum(1 - ops.abs(places[:, None] - numbers[None]), 0.0)


def interpolation(size: Size, target: Size, align_corners: bool) -> Tensor:
    """Return the weights that resize an axis bilinearly: float32 (target, size).

    Pixel i of the target lies at i (size - 1) / (target - 1) if corners are aligned, as in
    TensorFlow 1 with `align_corners=True`; at (i + 1/2) size / target - 1/2 if pixels are areas,
    as in `tf.image.resize` and PyTorch's `interpolate`. Each place is a fraction of integers, so
    weights are equally exact on axes of any length.
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


def resampled(planes: Tensor, down: Tensor, across: Tensor) -> Tensor:
    """Return planes (b, h, w, c) weighted by rows (height, h) and columns (width, w)."""
    _, rows, columns, channels = ops.shape(planes)
    height = ops.shape(down)[0]
    down, across = (ops.cast(weights, planes.dtype) for weights in (down, across))
    planes = ops.matmul(down, ops.reshape(planes, (-1, rows, columns * channels)))
    return ops.matmul(across, ops.reshape(planes, (-1, height, columns, channels)))


def resize(planes: Tensor, height: Size, width: Size, align_corners: bool) -> Tensor:
    """Return planes (b, h, w, c) bilinearly resized to (b, height, width, c)."""
    _, rows, columns, _ = ops.shape(planes)
    down = interpolation(rows, height, align_corners)
    return resampled(planes, down, interpolation(columns, width, align_corners))
