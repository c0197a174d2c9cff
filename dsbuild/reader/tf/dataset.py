"""Read TFRecords into TensorFlow: a `tf.data.Dataset` of decoded samples.

Records are read by number, at the byte that the index tells. What is shuffled, divided,
skipped and repeated are numbers, so an order over millions of samples takes no memory for
their pictures, and an epoch goes on at any sample at once.
"""

from collections.abc import Iterable
from typing import Any

import tensorflow as tf

from dsbuild.errors import PlanError
from dsbuild.format.folder import Folder, PathLike
from dsbuild.reader import reader
from dsbuild.reader.order import WINDOW
from dsbuild.reader.tf import cache as caches
from dsbuild.reader.tf.features import Structure, decode, regular
from dsbuild.reader.tf.order import ordered
from dsbuild.reader.tf.source import Source


def tf_dataset(
    path: PathLike,
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
    memory, or in a folder of files; orders are the same with it. `parallel` samples are decoded
    at once, as many as TensorFlow finds good without it, and come in order where `deterministic`.
    """
    folder = Folder.of(path)
    data = reader.open(folder, split, classes=classes, extras=extras)
    if not 0 <= index < count:
        raise PlanError(f"found share {index} of {count}, expected 0 and up")
    if not len(data):
        raise PlanError(f"{folder.path}: found no sample in {split!r}; name a part that has some")
    structure = Structure.of(data, as_supervised)
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

    numbers = ordered(data.blocks, seed, window, repeat, start=start, index=index, count=count)
    kept = caches.kept(load, cache, data, structure)
    samples = numbers.map(kept, parallel or tf.data.AUTOTUNE, deterministic)
    options = tf.data.Options()
    # To read a record counts as stateful, but has no state, so an iterator can be saved.
    options.experimental_external_state_policy = tf.data.experimental.ExternalStatePolicy.IGNORE
    return samples.prefetch(tf.data.AUTOTUNE).with_options(options)


def _decoded(record: tf.Tensor, structure: Structure, where: tf.Tensor) -> tf.Tensor:
    with tf.control_dependencies(tf.nest.flatten(decode(record, structure, where))):
        return tf.identity(record)
