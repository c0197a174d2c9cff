"""Windows of crops: drawn at random, and again if one class fills them."""

import tensorflow as tf

from dsbuild.reader.tf.augmentation import Augmentation
from dsbuild.reader.tf.resample import Window, nearest

_TRIES = 10  # after the first window, as in MMSegmentation


def draw(chance: tf.Tensor, shape: tf.Tensor, settings: Augmentation) -> Window:
    """Return the window for four numbers 0 <= x < 1: scale, flip, row, column.

    `shape`: int32 [2], height and width of the image.
    """
    low, high = settings.scales
    if settings.scale_step:
        steps = round((high - low) / settings.scale_step)
        scales = [low + settings.scale_step * i for i in range(steps + 1)]
        scale = tf.gather(tf.constant(scales, tf.float32), below(chance[0], len(scales)))
    else:
        scale = low + (high - low) * chance[0]
    size = tf.cast(tf.cast(resized(shape, settings), tf.float32) * scale, tf.int32)
    size = tf.maximum(size, 1)
    seen = size if settings.crop is None else tf.minimum(size, settings.crop)
    return Window(size, below(chance[2:], size - seen + 1), seen, chance[1] < settings.flip)


def below(chance: tf.Tensor, count: tf.Tensor | int) -> tf.Tensor:
    """Return whole numbers 0 <= n < count for numbers 0 <= x < 1."""
    return tf.cast(chance * tf.cast(count, tf.float32), tf.int32)


def resized(shape: tf.Tensor, settings: Augmentation) -> tf.Tensor:
    """Return the size, int32 [2], that `resize` gives an image."""
    if settings.resize is None:
        return shape
    least, most, multiple = settings.resize
    most = (most - 1) // multiple * multiple + 1
    shape = tf.cast(shape, tf.int64)
    by_smaller = shape * least // tf.reduce_min(shape)
    by_larger = shape * most // tf.reduce_max(shape)
    size = tf.where(tf.reduce_max(by_smaller) > most, by_larger, by_smaller)
    size = tf.maximum(size, 1)
    return tf.cast(size + (1 - size) % multiple, tf.int32)


def varied(
    window: Window, label: tf.Tensor | None, seed: tf.Tensor, settings: Augmentation
) -> Window:
    """Return a window of the same size in which no class has too large a share of the label.

    The rule of MMSegmentation's `RandomCrop(cat_max_ratio)`: of the pixels that are not ignored,
    the most frequent class has less than `settings.cat_max_ratio`, and there are two classes or
    more; otherwise another place is drawn, up to ten times. The last one is used in any case.
    """
    if settings.cat_max_ratio == 1 or label is None or label.shape.rank == 0:
        return window
    plane = label[..., tf.newaxis] if label.shape.rank == 2 else label
    chance = tf.random.stateless_uniform([_TRIES, 2], seed)
    ignore = settings.padding(plane.dtype.max)

    def uniform(place: tf.Tensor) -> tf.Tensor:
        values = tf.reshape(nearest(plane, window._replace(offset=place)), [-1])
        values = tf.boolean_mask(tf.cast(values, tf.int32), tf.cast(values, tf.int32) != ignore)
        counts = tf.cast(tf.math.bincount(values), tf.float64)
        most = tf.reduce_max(tf.concat([counts, [0]], 0))
        several = tf.math.count_nonzero(counts) > 1
        return ~(several & (most < settings.cat_max_ratio * tf.reduce_sum(counts)))

    def again(number: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return number + 1, below(chance[number], window.size - window.seen + 1)

    _, place = tf.while_loop(
        lambda number, place: (number < _TRIES) & uniform(place), again, (0, window.offset)
    )
    return window._replace(offset=place)
