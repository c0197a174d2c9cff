"""Read TFRecords into TensorFlow: a `tf.data.Dataset` of decoded samples.

Records are read by number, at the byte that the index tells. What is shuffled, divided,
skipped and repeated are numbers, so an order over millions of samples takes no memory for
their pictures, and an epoch goes on at any sample at once.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import tensorflow as tf

from dsbuild import reader
from dsbuild.decode.features import Structure, decode, regular
from dsbuild.decode.source import Source
from dsbuild.errors import PlanError
from dsbuild.order import WINDOW


def tf_dataset(
    path: str,
    split: str | None = None,
    *,
    classes: Iterable[str | int] | None = None,
    extras: Iterable[str] = (),
    as_supervised: bool = False,
    seed: int | None = None,
    window: int = WINDOW,
    repeat: int | None = 1,
    index: int = 0,
    count: int = 1,
    start: int = 0,
    cache: bool | str = False,
    parallel: int | None = None,
    deterministic: bool = True,
) -> tf.data.Dataset:
    """Return the samples of a split as dicts of tensors, decoded.

    `image` uint8 (h, w, 3); `label` uint8 (h, w, 1), or int64 () where it is one class, and
    nothing in splits without labels; `height`, `width` int64 (), of the image; `image_name`,
    the key; and what is stored of extras, by name, (h, w, 1). With `as_supervised` pairs
    (those without the label, the label). A record that is damaged, or does not decode, is an
    InvalidArgumentError that names its file and number.

    `path` is a folder of TFRecords, or one file; `split` such as `train`, `train[:10%]`,
    `train+val`, without it all splits; with `classes`, names or indices, only samples that have
    one of them. Of `extras`, such as `laplacian` or `canny:low=50`, those that records have none
    of are computed from image or label.

    A `seed` shuffles: each epoch in an order of its own, shards first, then samples within
    windows of `window`. `repeat` epochs follow one another, without an end where it is None;
    their orders are the same however often they are iterated over, but of a single epoch each
    iteration has another one, as Keras' `fit` wants it. Of
    `count` shares, such as ranks, the one of number `index` is read; its first `start` samples,
    counted over all epochs, are left out. `cache` keeps decoded samples for further epochs, in
    memory, or in files of a path. `parallel` samples are decoded at once, as many as
    TensorFlow finds good without it, and come in order where `deterministic`.
    """
    data = reader.open(path, split, classes=classes, extras=extras)
    if not 0 <= index < count:
        raise PlanError(f"found share {index} of {count}, expected 0 and up")
    if not len(data):
        raise PlanError(f"{path}: found no sample in {split!r}; name a part that has some")
    structure = Structure.of(data, path, as_supervised)
    source = Source(data.records, data.picks)

    def load(number: tf.Tensor) -> Any:
        record = source.read(number)
        if structure.trusted:
            return decode(record, structure)
        where = source.where(number)

        def whole() -> tf.Tensor:
            # Decoded where an error is caught, which takes a tenth of the time more.
            one = tf.data.Dataset.from_tensors(record)
            return source.named(number, one.map(lambda data: _decoded(data, structure, where)))

        record = tf.cond(regular(record, structure), lambda: record, whole)
        return decode(record, structure, where)

    def loaded(numbers: tf.data.Dataset) -> tf.data.Dataset:
        return numbers.map(load, parallel or tf.data.AUTOTUNE, deterministic)

    left_out = start * count  # of all shares
    if cache:
        samples = loaded(tf.data.Dataset.range(len(data))).cache("" if cache is True else cache)
        if seed is not None:
            samples = samples.shuffle(window, seed)
        samples = samples.repeat(repeat)
    else:
        past, left_out = divmod(left_out, len(data))
        samples = ordered(data.blocks, seed, window, repeat, past)
    samples = samples.skip(left_out).shard(count, index)
    if not cache:
        samples = loaded(samples)
    options = tf.data.Options()
    # To read a record counts as stateful, but has no state, so an iterator can be saved.
    options.experimental_external_state_policy = tf.data.experimental.ExternalStatePolicy.IGNORE
    return samples.prefetch(tf.data.AUTOTUNE).with_options(options)


def ordered(
    blocks: Sequence[int], seed: int | None, window: int, repeat: int | None, past: int = 0
) -> tf.data.Dataset:
    """Return the numbers of samples in the order of `repeat` epochs, but for the first `past`.

    With a seed blocks are shuffled, then numbers within windows, as in `dsbuild.order`, though
    by other chance: a function of seed and epoch, whatever the seed of the process is.
    """
    total, endless = sum(blocks), repeat is None
    epochs = None if endless else max(repeat - past, 0)
    if seed is None:
        return tf.data.Dataset.range(total).repeat(epochs)
    if repeat == 1:
        numbers = tf.data.Dataset.random(seed, rerandomize_each_iteration=True).take(epochs)
    else:
        numbers = tf.data.Dataset.range(past, tf.int64.max if endless else repeat)
    numbers = numbers.flat_map(lambda epoch: _shuffled(blocks, seed, epoch, window))
    length = tf.data.INFINITE_CARDINALITY if endless else epochs * total
    return numbers.apply(tf.data.experimental.assert_cardinality(length))


def _shuffled(blocks: Sequence[int], seed: int, epoch: tf.Tensor, window: int) -> tf.data.Dataset:
    """Return the numbers of an epoch in its order."""
    chance = tf.stack([tf.constant(seed % 2**63, tf.int64), epoch])
    stops = tf.cumsum(tf.constant(blocks, tf.int64))
    ranges = tf.stack([stops - tf.constant(blocks, tf.int64), stops], 1)
    ranges = tf.random.experimental.stateless_shuffle(ranges, chance)
    numbers = tf.data.Dataset.from_tensor_slices(ranges)
    numbers = numbers.flat_map(lambda ends: tf.data.Dataset.range(ends[0], ends[1]))

    def mixed(number: tf.Tensor, some: tf.Tensor) -> tf.Tensor:
        one = tf.random.experimental.stateless_fold_in(chance, number + 1)
        return tf.random.experimental.stateless_shuffle(some, one)

    return numbers.batch(min(window, sum(blocks))).enumerate().map(mixed).unbatch()


def _decoded(record: tf.Tensor, structure: Structure, where: tf.Tensor) -> tf.Tensor:
    with tf.control_dependencies(tf.nest.flatten(decode(record, structure, where))):
        return tf.identity(record)
