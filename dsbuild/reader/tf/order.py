"""The order of epochs as a function of a place, for tf.data: no counters.

A place is the number of a sample over all epochs. Places are what is divided, skipped and
repeated, so shares, a start and tf.data's own sharding among workers are exact and free. What is
kept from one place to the next only saves time.
"""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

Shuffled = tuple[tf.Tensor, tf.Tensor, tf.Tensor]
"""An epoch, its blocks in their order, and the place after each: int64 (), (b,), (b,)."""


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
    reshuffled = repeat == 1
    if reshuffled:
        drawn = tf.data.Dataset.random(seed, rerandomize_each_iteration=True)
        at = tf.data.Dataset.zip(drawn, places)
    else:
        at = places.map(lambda place: (place // total, place % total))

    def number(last: Shuffled, at: tuple[tf.Tensor, tf.Tensor]) -> tuple[Shuffled, tf.Tensor]:
        epoch, place = at
        if reshuffled:
            # The first draw of an iteration is its epoch; also in each worker of the data service.
            epoch = tf.where(last[0] < 0, epoch, last[0])
        # Shuffling takes long even for few blocks, so it is done once per epoch.
        now = tf.cond(epoch == last[0], lambda: last, lambda: _shuffled(blocks, seed, epoch))
        return now, _number(blocks, seed, now, place, window)

    none = tf.zeros(len(blocks), tf.int64)
    # Rewriting this source by AutoGraph would take long.
    plain = tf.autograph.experimental.do_not_convert(number)
    return at.scan((tf.constant(-1, tf.int64), none, none), plain)


def _shuffled(blocks: Sequence[int], seed: int, epoch: tf.Tensor) -> Shuffled:
    numbers = tf.range(len(blocks), dtype=tf.int64)
    last = tf.constant(len(blocks) - 1, tf.int64)
    shuffled = tf.random.experimental.index_shuffle(numbers, _chance(seed, epoch), last)
    return epoch, shuffled, tf.cumsum(tf.gather(tf.constant(blocks, tf.int64), shuffled))


def _number(
    blocks: Sequence[int], seed: int, shuffled: Shuffled, place: tf.Tensor, window: int
) -> tf.Tensor:
    """Return the number of the sample at a place of an epoch."""
    epoch, order, stops = shuffled
    total = sum(blocks)
    window = min(window, total)
    first = place // window * window
    size = tf.minimum(total - first, window)
    mixed = tf.random.experimental.stateless_fold_in(_chance(seed, epoch), first + 1)
    place = first + tf.random.experimental.index_shuffle(place - first, mixed, size - 1)
    if len(blocks) == 1:
        return place
    at = tf.searchsorted(stops, place[None], "right")[0]
    ends = tf.constant(np.cumsum(blocks), tf.int64)
    return ends[order[at]] - (stops[at] - place)


def _chance(seed: int, epoch: tf.Tensor) -> tf.Tensor:
    return tf.stack([tf.constant(seed % 2**63, tf.int64), epoch])
