"""The order of epochs as a function of a place, for tf.data: no state, no counters.

A place is the number of a sample over all epochs. Places are what is divided, skipped and
repeated, so shares, a start and tf.data's own sharding among workers are exact and free.
"""

from collections.abc import Sequence

import tensorflow as tf


def ordered(
    blocks: Sequence[int],
    seed: int | None,
    window: int,
    repeat: int | None,
    *,
    start: int = 0,
    index: int = 0,
    count: int = 1,
) -> tf.data.Dataset:
    """Return the numbers of samples, int64 (), in the order of `repeat` epochs; endless if None.

    With a seed, blocks are shuffled, then numbers within windows, as in `reader.order` but with
    other random numbers: a function of seed and epoch alone, whatever the seed of the process. A
    single epoch is reshuffled in each iteration. Every `count`-th place from `index` on is
    taken, except the first `start` of them.
    """
    total, endless = sum(blocks), repeat is None
    stop = tf.int64.max if repeat is None else total * repeat
    places = tf.data.Dataset.range(min(start * count + index, stop), stop, count)
    if endless:
        places = places.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))
    if seed is None:
        return places.map(lambda place: place % total)
    if repeat == 1:
        drawn = tf.data.Dataset.random(seed, rerandomize_each_iteration=True)
        # The first draw of an iteration is its epoch; also in each worker of the data service.
        nothing = tf.constant(-1, tf.int64)
        epoch = drawn.scan(nothing, lambda first, one: (tf.where(first < 0, one, first),) * 2)
        both = tf.data.Dataset.zip(places, epoch)
        return both.map(lambda place, epoch: _number(blocks, seed, epoch, place, window))
    return places.map(lambda at: _number(blocks, seed, at // total, at % total, window))


def _number(
    blocks: Sequence[int], seed: int, epoch: tf.Tensor, place: tf.Tensor, window: int
) -> tf.Tensor:
    """Return the number of the sample at a place of an epoch."""
    chance = tf.stack([tf.constant(seed % 2**63, tf.int64), epoch])
    total = sum(blocks)
    window = min(window, total)
    first = place // window * window
    size = tf.minimum(total - first, window)
    mixed = tf.random.experimental.stateless_fold_in(chance, first + 1)
    place = first + tf.random.experimental.index_shuffle(place - first, mixed, size - 1)
    if len(blocks) == 1:
        return place
    lengths = tf.constant(blocks, tf.int64)
    numbers = tf.range(len(blocks), dtype=tf.int64)
    last = tf.constant(len(blocks) - 1, tf.int64)
    shuffled = tf.random.experimental.index_shuffle(numbers, chance, last)
    stops = tf.cumsum(tf.gather(lengths, shuffled))
    at = tf.searchsorted(stops, place[None], "right")[0]
    block = shuffled[at]
    return tf.cumsum(lengths)[block] - (stops[at] - place)
