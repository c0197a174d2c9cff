"""Copy-paste of objects between the samples of a batch, after augmentation.

Source: Ghiasi et al., Simple Copy-Paste is a Strong Data Augmentation Method for Instance
Segmentation, 2021; for labels without instances the objects are classes, half of which are pasted,
as in Olsson et al., ClassMix, 2021.
"""

from collections.abc import Sequence

import tensorflow as tf

Batch = dict[str, tf.Tensor]

_SEED = 3  # beside those of augmentation
_MIX = 0x9E3779B97F4A7C15 - (1 << 64)  # an odd number with many bits: SplitMix64


def pasted(
    batches: tf.data.Dataset,
    share: float,
    seed: int,
    *,
    classes: int,
    ignore: int | None = 255,
    skip: Sequence[int] = (),
    start: int = 0,
) -> tf.data.Dataset:
    """Return batches in which samples have objects of the sample before them in the batch.

    Image, label and every other plane (b, h, w, c) change in the same pixels. An object is an
    instance if there is a `panoptic` map, and else all pixels of a class. Each is pasted with a
    chance of one half, from the samples as they were. What is done depends on seed and number of
    the batch alone.

    Args:
      batches: of samples of one size, as dicts; of one sample each, nothing changes.
      share: the chance that a sample gets objects.
      seed: seed for the random numbers.
      classes: how many there are.
      ignore: the label value that is not pasted, or None.
      skip: classes that are not pasted, such as background.
      start: the number of the first batch.
    """

    def numbered(number: tf.Tensor, batch: Batch) -> Batch:
        both = tf.stack([tf.constant(seed, tf.int64), number])
        return _pasted(batch, both, share, classes, ignore, skip)

    return batches.enumerate(start).map(numbered, tf.data.AUTOTUNE, deterministic=True)


def _pasted(
    batch: Batch,
    seed: tf.Tensor,
    share: float,
    classes: int,
    ignore: int | None,
    skip: Sequence[int],
) -> Batch:
    seed = tf.random.experimental.stateless_fold_in(seed, _SEED)
    count = tf.shape(batch["label"])[0]
    chance = tf.random.stateless_uniform([count, classes + 1], seed)
    before = {name: tf.roll(plane, 1, 0) for name, plane in batch.items() if plane.shape.rank == 4}
    label = tf.cast(before["label"], tf.int32)
    fixed = tf.reduce_any(label == tf.constant([*skip, -1]), -1, keepdims=True)
    fixed |= label >= classes if ignore is None else (label >= classes) | (label == ignore)
    if "panoptic" in before:
        chosen = _instances(before["panoptic"], batch["label_divisor"], seed)
    else:
        index = tf.where(fixed, 0, label)
        chosen = tf.gather(chance[:, 1:] < 0.5, index[..., 0], batch_dims=1)[..., tf.newaxis]
    mask = chosen & ~fixed & (chance[:, :1] < share)[:, tf.newaxis, tf.newaxis]
    planes = {name: tf.where(mask, plane, batch[name]) for name, plane in before.items()}
    return {**batch, **planes}


def _instances(panoptic: tf.Tensor, divisor: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Return the pixels of about half of the instances: bool (b, h, w, 1)."""
    ids = tf.cast(panoptic, tf.int64)
    things = ids % divisor[:, tf.newaxis, tf.newaxis, tf.newaxis] > 0
    # One bit of a hash, since there is no table of all that could be.
    seed = tf.cast(seed, tf.int64)
    mixed = (ids + seed[0]) * _MIX
    mixed = tf.bitwise.bitwise_xor(mixed, tf.bitwise.right_shift(mixed, tf.constant(29, tf.int64)))
    mixed = (mixed + seed[1]) * _MIX
    bit = tf.bitwise.right_shift(mixed, tf.constant(40, tf.int64))
    return things & (bit % 2 == 1)
