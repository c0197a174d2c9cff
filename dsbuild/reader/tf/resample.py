"""A window of a resized image without resizing the rest: the pixels of resize, crop, flip, pad.

Pixel centres are at halves, as in `tf.image.resize` of TensorFlow 2, Pillow and OpenCV: row y of
H rows shows row (y + 0.5) h / H - 0.5 of h. DeepLab on TensorFlow 1 aligned the corners,
(h - 1) / (H - 1), which shifts pixels by up to half a pixel of the source.
"""

from typing import NamedTuple

import tensorflow as tf


class Window(NamedTuple):
    """The visible part of a resized image.

    Attributes:
      size: int32 [2], height and width to which the image is resized.
      offset: int32 [2], the first visible row and column.
      seen: int32 [2], how many rows and columns are visible.
      flip: bool [], whether the window is mirrored left to right.
    """

    size: tf.Tensor
    offset: tf.Tensor
    seen: tf.Tensor
    flip: tf.Tensor


class Region(NamedTuple):
    """The rows and columns of a plane that a window is interpolated from.

    Attributes:
      low: int32 [2], the first row and column.
      high: int32 [2], those after the last.
      whole: bool [], whether the region, resized, has whole rows and columns of the resized plane.
      ends: float64 [2, 2], the places in the plane of the window's first and last pixel.
    """

    low: tf.Tensor
    high: tf.Tensor
    whole: tf.Tensor
    ends: tf.Tensor


def region(shape: tf.Tensor, window: Window) -> Region:
    """Return the region that `interpolated` takes of a plane of a shape, int32 [2]."""
    # The first row and column that are needed, and those after the last.
    ends = tf.cast(tf.stack([window.offset, window.offset + window.seen - 1]), tf.float64)
    ends = (ends + 0.5) * tf.cast(shape, tf.float64) / tf.cast(window.size, tf.float64) - 0.5
    low = tf.maximum(tf.cast(tf.floor(ends[0]), tf.int32), 0)
    high = tf.minimum(tf.cast(tf.floor(ends[1]), tf.int32) + 2, shape)
    # A part is resized like the whole if its ends are whole rows before and after.
    times = _common(shape, window.size)
    unit, resized = shape // times, window.size // times
    first, last = low // unit, (high + unit - 1) // unit
    whole = _area((last - first) * resized) <= 4 * _area(window.seen)
    return Region(
        tf.where(whole, first * unit, low), tf.where(whole, last * unit, high), whole, ends
    )


def bilinear(plane: tf.Tensor, window: Window) -> tf.Tensor:
    """Return a window of a plane (h, w, c) by bilinear interpolation: float32 (*seen, c).

    Equals `tf.image.resize(plane, size)`, cropped and flipped, up to rounding in float32, and
    exactly if the size is that of the plane. As there, shrinking does not average.

    `crop_and_resize` computes only the window but takes four times as long per pixel as a resize,
    so a larger part is resized unless it is more than four times as large as the window.
    """
    shape = tf.shape(plane)[:2]
    area = region(shape, window)
    part = plane[area.low[0] : area.high[0], area.low[1] : area.high[1]]
    return interpolated(part, area, shape, window)


def interpolated(part: tf.Tensor, area: Region, shape: tf.Tensor, window: Window) -> tf.Tensor:
    """Return the same for the region of a plane of which the rest is not known."""
    return tf.cond(
        area.whole,
        lambda: _part(part, area, shape, window),
        lambda: _box(part, area, window),
    )


def _common(one: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    """Return the greatest common divisors of int32 [2] and int32 [2], by trying all."""
    divisors = tf.range(1, tf.reduce_max(tf.minimum(one, other)) + 1)
    left = one[:, tf.newaxis] % divisors + other[:, tf.newaxis] % divisors
    return tf.reduce_max(tf.where(left == 0, divisors, 1), 1)


def _area(size: tf.Tensor) -> tf.Tensor:
    return tf.reduce_prod(tf.cast(size, tf.int64))


def _part(part: tf.Tensor, area: Region, shape: tf.Tensor, window: Window) -> tf.Tensor:
    """Return a window of a region that is resized like the whole."""
    low, high, total, scaled = (
        tf.cast(one, tf.int64) for one in (area.low, area.high, shape, window.size)
    )
    start, size = (tf.cast(one * scaled // total, tf.int32) for one in (low, high - low))
    (top, left), (height, width) = tf.unstack(window.offset - start), tf.unstack(window.seen)
    resized = tf.image.resize(tf.cast(part, tf.float32), size)
    seen = resized[top : top + height, left : left + width]
    return tf.cond(window.flip, lambda: tf.reverse(seen, [1]), lambda: seen)


def _box(part: tf.Tensor, area: Region, window: Window) -> tf.Tensor:
    """Return a window by one `tf.image.crop_and_resize`, its box mirrored for a flip.

    That op treats everything beyond the outermost pixel centres as outside, but a resize repeats
    the edge; so the edges of its input are repeated once.
    """
    part = tf.concat([part[:1], part, part[-1:]], 0)
    part = tf.cast(tf.concat([part[:, :1], part, part[:, -1:]], 1), tf.float32)
    # A box goes from the first centre, 0, to the last one, 1.
    box = (area.ends - tf.cast(area.low, tf.float64) + 1) / tf.cast(
        area.high - area.low + 1, tf.float64
    )
    across = tf.where(window.flip, box[::-1, 1], box[:, 1])
    boxes = tf.cast(tf.reshape(tf.stack([box[:, 0], across], 1), [1, 4]), tf.float32)
    return tf.image.crop_and_resize(part[tf.newaxis], boxes, [0], window.seen)[0]


def nearest(plane: tf.Tensor, window: Window, shape: tf.Tensor | None = None) -> tf.Tensor:
    """Return a window of a plane (h, w, c) by nearest neighbour, in its dtype.

    Of a plane of a `shape`, int32 [2], the rows after the window's last need not be there.

    Equals `tf.image.resize(plane, size, "nearest")`, cropped and flipped, exactly: row and column
    numbers are computed in float32, as in its kernel.
    """
    shape = tf.shape(plane)[:2] if shape is None else shape
    scale = tf.cast(shape, tf.float32) / tf.cast(window.size, tf.float32)
    rows, columns = (
        tf.minimum(tf.cast((tf.cast(seen, tf.float32) + 0.5) * scale[i], tf.int32), shape[i] - 1)
        for i, seen in enumerate(_places(window))
    )
    columns = tf.where(window.flip, columns[::-1], columns)
    # Rows are copied whole, columns pixel by pixel: transposed to rows they take a third as long.
    turned = tf.transpose(tf.gather(plane, rows), [1, 0, 2])
    return tf.transpose(tf.gather(turned, columns), [1, 0, 2])


def _places(window: Window) -> list[tf.Tensor]:
    """Return the numbers of the visible rows and columns."""
    return [window.offset[i] + tf.range(window.seen[i]) for i in (0, 1)]


def padded(plane: tf.Tensor, crop: tuple[int, int], fill: tf.Tensor, flip: tf.Tensor) -> tf.Tensor:
    """Return a plane (h, w, c) padded at the bottom and on one side: (*crop, c).

    That side is the right, or the left if the plane is flipped. `fill` is [c] or [1].
    """
    if plane.dtype == tf.uint16:  # of which TensorFlow tiles nothing
        return tf.cast(padded(tf.cast(plane, tf.int32), crop, fill, flip), tf.uint16)
    depth, fill = plane.shape[2] or tf.shape(plane)[2], tf.cast(fill, plane.dtype)
    # Rows of numbers, not of pixels: TensorFlow copies planes in two dimensions much faster.
    height, width = tf.unstack(tf.shape(plane)[:2])
    rows = tf.reshape(plane, [height, width * depth])
    missing = crop[1] - width
    left = tf.where(flip, missing, 0)

    def filled(count: tf.Tensor, pixels: tf.Tensor | int) -> tf.Tensor:
        row = tf.tile(tf.broadcast_to(fill, [depth]), [pixels])
        return tf.broadcast_to(row, [count, pixels * depth])

    def beside() -> tf.Tensor:
        return tf.concat([filled(height, left), rows, filled(height, missing - left)], 1)

    def below() -> tf.Tensor:
        return tf.concat([wide, filled(crop[0] - height, crop[1])], 0)

    wide = tf.cond(missing > 0, beside, lambda: rows)
    whole = tf.cond(height < crop[0], below, lambda: wide)
    return tf.ensure_shape(tf.reshape(whole, [*crop, depth]), [*crop, plane.shape[2]])
