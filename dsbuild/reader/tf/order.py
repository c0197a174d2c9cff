"""The order of epochs as a function of a place, for tf.data: no counters.

A place is the number of a sample over all epochs. Places are what is divided, skipped and
repeated, so shares, a start and tf.data's own sharding among workers are exact and free. What is
kept from some places to the next only saves time.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from dsbuild.reader.tf.python import call, plain

_CHUNK = 16  # numbers that are computed at a time if nothing else is done with them
_PART = 1024  # of a share, numbers that Python computes at a time
_WINDOWS = 16  # as long as these
Shuffled = tuple[tf.Tensor, tf.Tensor, tf.Tensor]
"""An epoch, its blocks in their order, and the place after each: int64 (), (b,), (b,)."""


@dataclass(frozen=True)
class Run:
    """The numbers of samples in the order of some epochs.

    Whatever its seed, `index_shuffle` has 256 orders for each length. More turns of it would have
    more, but runs that an earlier version began continue in its order.

    With a seed, blocks are shuffled, then numbers within windows, as in `reader.order` but with
    other random numbers: a function of seed and epoch alone, whatever the seed of the process. A
    single epoch is reshuffled in each iteration.

    Attributes:
      blocks: how many samples each has.
      seed: None for the stored order.
      window: how many samples are shuffled together.
      repeat: how many epochs; None for ever.
      start: how many places of the share are left out at its beginning.
      index, count: every `count`-th place from `index` on is taken.
    """

    blocks: Sequence[int]
    seed: int | None
    window: int
    repeat: int | None
    start: int = 0
    index: int = 0
    count: int = 1

    def numbers(self, portable: bool) -> tf.data.Dataset:
        """Return the numbers one by one, int64 (); without functions of Python if `portable`."""
        if portable:
            return self.singly(self._chunks(_CHUNK))
        known, spec = self.known(), [tf.TensorSpec((None,), tf.int64)]
        found = plain(lambda *at: call(known, at, spec)[0])
        return self.singly(self.places(_CHUNK).map(found))

    def places(self, size: int) -> tf.data.Dataset:
        """Return epochs and places within them, `size` at a time: int64 (n,), (n,)."""
        places = tf.data.Dataset.range(*self._range)
        if self.repeat is None:
            endless = tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)
            places = places.apply(endless)
        if self.seed is None or self.repeat != 1:
            divided = plain(lambda places: (places // self._total, places % self._total))
            return places.batch(size).map(divided)

        def drawn(last: tf.Tensor, at: tuple[tf.Tensor, tf.Tensor]) -> Any:
            # The first draw of an iteration is its epoch; also in each worker of the data service.
            epoch = tf.where(last < 0, at[0][0], last)
            return epoch, (tf.fill(tf.shape(at[1]), epoch), at[1])

        draws = tf.data.Dataset.random(self.seed, rerandomize_each_iteration=True)
        both = tf.data.Dataset.zip(draws, places).batch(size)
        return both.scan(tf.constant(-1, tf.int64), plain(drawn))

    def known(self) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        """Return a function from what `places` has to numbers, int64 (n,), for Python.

        It remembers the blocks of the last epochs, since shuffling takes long even for few, and
        the numbers of the last parts, since a call of TensorFlow takes as long for 1 as for 1,000.
        """
        if self.seed is None:
            return lambda _, places: places
        ends, total, size = np.cumsum(self.blocks), self._total, self._window
        # Of short windows, each of which takes a call, a part has only some.
        step = min(_PART, _WINDOWS * size) * self.count

        @functools.lru_cache(4)
        def blocks(epoch: int) -> tuple[np.ndarray, np.ndarray]:
            _, order, stops = self._blocks(tf.constant(epoch, tf.int64))
            return order.numpy(), stops.numpy()

        def shuffled(epoch: int, first: int, places: np.ndarray) -> np.ndarray:
            last = tf.constant(min(total - first, size) - 1, tf.int64)
            mixed = self._mixed(tf.constant(epoch, tf.int64), tf.constant(first, tf.int64))
            found = tf.random.experimental.index_shuffle(places - first, mixed, last)
            inside: np.ndarray = found.numpy()
            return first + inside

        @functools.lru_cache(16)
        def part(epoch: int, number: int, rest: int) -> np.ndarray:
            places = np.arange(number * step + rest, min((number + 1) * step, total), self.count)
            with tf.device("CPU:0"):
                windows = np.split(places, np.flatnonzero(np.diff(places // size)) + 1)
                each = [shuffled(epoch, int(one[0]) // size * size, one) for one in windows]
                order, stops = blocks(epoch)
            at = np.concatenate(each)
            block = np.searchsorted(stops, at, "right")
            found: np.ndarray = ends[order[block]] - (stops[block] - at)
            return found

        def numbers(epochs: np.ndarray, places: np.ndarray) -> np.ndarray:
            asked = np.stack((epochs, places // step, places % self.count), 1)
            found = np.empty_like(places)
            for one in set(map(tuple, asked.tolist())):
                here = (asked == one).all(1)
                found[here] = part(*one)[places[here] % step // self.count]
            return found

        return numbers

    def singly(self, chunks: tf.data.Dataset) -> tf.data.Dataset:
        """Return the parts of chunks one by one, as many as there are numbers.

        `chunks` is what was made of each element of `places`: tensors of n parts.
        """
        parts = chunks.unbatch()
        if self.repeat is None:
            return parts
        # TensorFlow does not know the number of parts, and raises an error for a promised one where
        # workers of its data service divide an epoch. So nothing is appended that counts as
        # endless, and of the sum this many are taken.
        zeros = tf.nest.map_structure(lambda x: tf.zeros(x.shape, x.dtype), parts.element_spec)
        endless = tf.data.Dataset.from_tensors(zeros).repeat()
        nothing = tf.data.Dataset.choose_from_datasets([endless], tf.data.Dataset.range(0))
        return parts.concatenate(nothing).take(len(range(*self._range)))

    @property
    def _total(self) -> int:
        return sum(self.blocks)

    @property
    def _range(self) -> tuple[int, int, int]:
        """The places: start, stop, step."""
        stop = tf.int64.max if self.repeat is None else self._total * self.repeat
        return min(self.start * self.count + self.index, stop), stop, self.count

    def _chunks(self, size: int) -> tf.data.Dataset:
        """Return the numbers, `size` at a time, as TensorFlow computes them: int64 (n,)."""
        places = self.places(size)
        if self.seed is None:
            return places.map(plain(lambda _, places: places))
        none = tf.zeros(len(self.blocks), tf.int64)
        return places.scan((tf.constant(-1, tf.int64), none, none), plain(self._shuffled))

    def _shuffled(
        self, last: Shuffled, at: tuple[tf.Tensor, tf.Tensor]
    ) -> tuple[Shuffled, tf.Tensor]:
        """Return the last epoch's shuffled blocks, and the numbers at some places."""
        epochs, places = at
        firsts = places // self._window * self._window

        def unknown(numbers: tf.Tensor, *_: tf.Tensor) -> tf.Tensor:
            return tf.reduce_any(numbers < 0)

        def window(numbers: tf.Tensor, *last: tf.Tensor) -> tuple[tf.Tensor, ...]:
            one = tf.argmax(numbers < 0)
            epoch, first = epochs[one], firsts[one]
            # Shuffling takes long even for few blocks, so it is done once per epoch.
            now = tf.cond(epoch == last[0], lambda: last, lambda: self._blocks(epoch))
            here = (epochs == epoch) & (firsts == first)
            found = self._numbers(now, tf.where(here, places, first), first)
            return tf.where(here, found, numbers), *now

        # Most chunks lie in one window.
        numbers, *now = tf.while_loop(unknown, window, (-tf.ones_like(places), *last))
        return tuple(now), numbers

    @property
    def _window(self) -> int:
        return min(self.window, self._total)

    def _blocks(self, epoch: tf.Tensor) -> Shuffled:
        count = len(self.blocks)
        numbers, last = tf.range(count, dtype=tf.int64), tf.constant(count - 1, tf.int64)
        shuffled = tf.random.experimental.index_shuffle(numbers, self._chance(epoch), last)
        return epoch, shuffled, tf.cumsum(tf.gather(tf.constant(self.blocks, tf.int64), shuffled))

    def _numbers(self, shuffled: Shuffled, places: tf.Tensor, first: tf.Tensor) -> tf.Tensor:
        """Return the numbers of the samples at places of the window that begins at `first`."""
        epoch, order, stops = shuffled
        last = tf.minimum(self._total - first, self._window) - 1
        mixed = self._mixed(epoch, first)
        places = first + tf.random.experimental.index_shuffle(places - first, mixed, last)
        if len(self.blocks) == 1:
            return places
        at = tf.searchsorted(stops, places, "right")
        ends = tf.constant(np.cumsum(self.blocks), tf.int64)
        return tf.gather(ends, tf.gather(order, at)) - (tf.gather(stops, at) - places)

    def _mixed(self, epoch: tf.Tensor, first: tf.Tensor) -> tf.Tensor:
        return tf.random.experimental.stateless_fold_in(self._chance(epoch), first + 1)

    def _chance(self, epoch: tf.Tensor) -> tf.Tensor:
        assert self.seed is not None
        return tf.stack([tf.constant(self.seed % 2**63, tf.int64), epoch])
