"""Where pixels and features lie on an axis, and the weights by which one is made of the other.

Features of stride s lie on pixels 0, s, 2 s and so on. So an axis of k s + 1 pixels has one on its
first pixel and one on its last; sizes are brought to that (`aligned`), and then no resizing shifts
anything. Sizes are whole numbers, or tensors where they are only known at run time; no step
has a negative number, of which exporters round quotients and remainders otherwise.
"""

from fractions import Fraction
from typing import Any

from keras import ops


def aligned(size: Any, stride: int) -> Any:
    """Return the least k stride + 1 that is `size` or more.

    >>> aligned(96, 16), aligned(97, 16), aligned(1, 8)
    (97, 97, 1)
    """
    return (size + (stride - 2)) // stride * stride + 1 if stride > 1 else size


def scaled(size: Any, factor: float, stride: int) -> Any:
    """Return (size - 1) factor + 1, as DeepLab scales images, as the nearest k stride + 1.

    >>> scaled(513, 0.75, 16), scaled(97, 0.75, 16), scaled(97, 0.75, 1)
    (385, 81, 73)
    """
    part = Fraction(factor).limit_denominator(1000)
    below = 2 * part.denominator * stride
    return ((size - 1) * (2 * part.numerator) + below // 2) // below * stride + 1


def ranged(height: Any, width: Any, least: int, most: int, multiple: int) -> tuple[Any, Any]:
    """Return the size at which the smaller side is `least`, or the larger one at most `most`.

    As by DeepLab's `resize_to_range`: `most` is first cut to a multiple plus 1, and both sides
    are brought up to one at the end.

    >>> ranged(375, 500, 193, 256, 4)
    (189, 253)
    """
    most = (most - 1) // multiple * multiple + 1
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
    return tuple(aligned(side, multiple) for side in found)


def moved(places: Any, size: Any, target: Any, align_corners: bool) -> Any:
    """Return where places on an axis of `size` pixels are when it is resized to `target`.

    Corners fall on corners where they are aligned; else pixels are areas, and their centres lie
    at halves. `places` is float32 (n,).
    """
    if align_corners:
        below = ops.cast(ops.maximum(size - 1, 1), "float32")
        return places * ops.cast(target - 1, "float32") / below
    factors = ops.cast(target, "float32"), ops.cast(size, "float32")
    last = ops.cast(target - 1, "float32")
    return ops.clip((places + 0.5) * factors[0] / factors[1] - 0.5, 0.0, last)


def between(places: Any, size: Any) -> Any:
    """Return the weights of linear interpolation at places on an axis: float32 (n, size).

    Beyond the first and the last of `size` values there are these.
    """
    places = ops.clip(places, 0.0, ops.cast(size - 1, "float32"))
    numbers = ops.cast(ops.arange(size, dtype="int32"), "float32")
    return ops.maximum(1 - ops.abs(places[:, None] - numbers[None]), 0.0)


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


def resampled(planes: Any, down: Any, across: Any) -> Any:
    """Return planes (b, h, w, c) by weights of rows (height, h) and columns (width, w)."""
    _, rows, columns, channels = ops.shape(planes)
    height = ops.shape(down)[0]
    down, across = (ops.cast(weights, planes.dtype) for weights in (down, across))
    planes = ops.matmul(down, ops.reshape(planes, (-1, rows, columns * channels)))
    return ops.matmul(across, ops.reshape(planes, (-1, height, columns, channels)))


def resize(planes: Any, height: Any, width: Any, align_corners: bool) -> Any:
    """Return planes (batch, h, w, c) bilinearly resized to (batch, height, width, c)."""
    _, rows, columns, _ = ops.shape(planes)
    down = interpolation(rows, height, align_corners)
    return resampled(planes, down, interpolation(columns, width, align_corners))
