"""The order of epochs as a function of a place, for tf.data: no counters, resumed anywhere.

A place is the number of a sample over all epochs. Places are what is divided, skipped and
repeated, so shares, a start and tf.data's own sharding among workers are exact and free. Some at
a time become numbers of samples, since a call of TensorFlow takes longer than what it computes.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

State = tuple[tf.Tensor, ...]  # what `_shuffled` returns
_TOGETHER = 16  # places that become numbers at a time


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
    asked: dict[str, int] = {"start": start, "index": index, "count": count}
    places = _places(sum(blocks), repeat, **asked)
    return single(chunked(blocks, seed, window, repeat, _TOGETHER, **asked), places.cardinality())


def single(chunks: tf.data.Dataset, cardinality: int | tf.Tensor) -> tf.data.Dataset:
    """Return the elements of chunks one by one, known to be so many."""
    # Unbatching forgets how many there are. After it comes nothing, of endless cardinality;
    # `assert_cardinality` would fail in workers of the data service, which read parts.
    spec = chunks.unbatch().element_spec
    zeros = tf.nest.map_structure(lambda one: tf.zeros(one.shape, one.dtype), spec)
    endless = tf.data.Dataset.from_tensors(zeros).filter(lambda *_: False).repeat()
    return chunks.unbatch().concatenate(endless).take(cardinality)


def _places(
    total: int, repeat: int | None, *, start: int, index: int, count: int
) -> tf.data.Dataset:
    stop = tf.int64.max if repeat is None else total * repeat
    places = tf.data.Dataset.range(min(start * count + index, stop), stop, count)
    if repeat is None:
        return places.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))
    return places


def chunked(
    blocks: Sequence[int],
    seed: int | None,
    window: int,
    repeat: int | None,
    together: int,
    **asked: int,
) -> tf.data.Dataset:
    """Return the numbers that `ordered` returns, `together` at a time: int64 (n,)."""
    total = sum(blocks)
    places = _places(total, repeat, **asked).batch(together)
    if seed is None:
        return places.map(lambda place: place % total)
    if repeat == 1:
        drawn = tf.data.Dataset.random(seed, rerandomize_each_iteration=True)
        at = tf.data.Dataset.zip(drawn, places)
    else:
        at = places.map(lambda place: (place // total, place % total))

    def numbers(state: State, at: tuple[tf.Tensor, tf.Tensor]) -> tuple[State, tf.Tensor]:
        known, (epochs, places) = state[0], at
        if repeat == 1:
            # The first draw of an iteration is its epoch; also in each worker of the data service.
            epochs = tf.fill(tf.shape(places), tf.where(known[0] < 0, epochs, known[0]))
        found, rows = tf.unique(epochs)
        same = tf.equal(tf.size(found), tf.size(known)) & tf.equal(found[0], known[0])
        state = tf.cond(same, lambda: state, lambda: _shuffled(blocks, seed, found))
        return state, _numbers(blocks, state, rows, places, window)

    # Blocks are shuffled once per epoch: TensorFlow takes 0.4 ms to draw a few numbers.
    zeros = tf.zeros((1, len(blocks)), tf.int64)
    unknown = tf.constant([-1], tf.int64)
    return at.scan((unknown, unknown, zeros, zeros), numbers)


def _shuffled(blocks: Sequence[int], seed: int, epochs: tf.Tensor) -> State:
    """Return epochs (n,), the seeds of their windows, their blocks in order, the places after each.

    The last two are int64 (n, blocks), a row per epoch.
    """
    zero, last = tf.constant(0, tf.int64), tf.constant(len(blocks) - 1, tf.int64)
    numbers = tf.range(len(blocks), dtype=tf.int64)

    def one(epoch: tf.Tensor) -> tf.Tensor:
        chance = tf.stack([tf.constant(seed % 2**63, tf.int64), epoch])
        mixed = tf.random.experimental.stateless_fold_in(chance, zero)[:1]
        return tf.concat([mixed, tf.random.experimental.index_shuffle(numbers, chance, last)], 0)

    found = tf.map_fn(one, epochs)
    shuffled = found[:, 1:]
    return epochs, found[:, 0], shuffled, tf.cumsum(tf.gather(_tensor(blocks), shuffled), 1)


def _numbers(
    blocks: Sequence[int], state: State, rows: tf.Tensor, place: tf.Tensor, window: int
) -> tf.Tensor:
    """Return the numbers of the samples at some places (n,) of the epochs at some rows."""
    _, mixed, shuffled, stops = state
    total = sum(blocks)
    window = min(window, total)
    first = place // window * window
    size = tf.minimum(total - first, window)
    # As `stateless_fold_in(seed, first + 1)`, which takes one seed only.
    seeds = tf.stack([tf.gather(mixed, rows), first + 1], 1)
    place = first + _shuffle(place - first, seeds, size - 1)
    if len(blocks) == 1:
        return place
    stops, shuffled = tf.gather(stops, rows), tf.gather(shuffled, rows)
    at = tf.searchsorted(stops, place[:, None], "right")
    left = tf.gather(stops, at, batch_dims=1)[:, 0] - place
    return tf.gather(_tensor(np.cumsum(blocks)), tf.gather(shuffled, at, batch_dims=1)[:, 0]) - left


def _shuffle(numbers: tf.Tensor, seeds: tf.Tensor, last: tf.Tensor) -> tf.Tensor:
    """Shuffle each number (n,) by its seed (n, 2) within 0 to its last (n,)."""
    shuffle = tf.random.experimental.index_shuffle
    rest = (numbers, seeds, last)
    return tf.cond(
        tf.reduce_all(tf.equal(seeds, seeds[:1])),  # as most are: within one window
        lambda: shuffle(numbers, seeds[0], last[0]),
        lambda: tf.map_fn(lambda one: shuffle(*one), rest, fn_output_signature=tf.int64),
    )


def _tensor(numbers: Any) -> tf.Tensor:
    return tf.constant(numbers, tf.int64)
