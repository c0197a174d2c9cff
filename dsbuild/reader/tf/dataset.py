"""Read TFRecords into TensorFlow: a `tf.data.Dataset` of decoded samples.

Records are read by number, at the byte that the index gives. Only numbers are shuffled, divided,
skipped and repeated, so an order over millions of samples takes no memory for their images, and
an epoch resumes at any sample at once.
"""

from collections.abc import Iterable
from typing import Any

import tensorflow as tf

from dsbuild.errors import PlanError
from dsbuild.format.folder import Folder, PathLike
from dsbuild.reader import opening
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

    `image` is uint8 (h, w, 3); `label` uint8 (h, w, 1), or int64 () if it is one class, and
    missing in splits without labels; `height` and `width` of the image are int64 ();
    `image_name` is the key; stored extras go by their names, (h, w, 1). With `as_supervised`,
    samples are pairs: the dict without the label, and the label. A record that is damaged or does
    not decode raises an InvalidArgumentError that names its file and number.

    `path` is a folder of TFRecords, or one file. `split` is something like `train`,
    `train[:10%]` or `train+val`; without it all splits are read. With `classes`, names or
    indices, only samples that have one of them are read. `extras`, such as `laplacian` or
    `canny:low=50`, are computed from image or label if records do not have them.

    A `seed` shuffles each epoch into its own order: shards first, then samples within windows of
    `window`. Repeats the data `repeat` times, or forever if None. With a seed each epoch's order
    is fixed, except that with `repeat=1` every new iteration reshuffles, as Keras' `fit` expects.
    Of `count` shares, such as ranks, the share with number `index` is read, without its first
    `start` samples, counted over all epochs. `cache` keeps decoded samples for later epochs, in
    memory or in a folder of files; it does not change the order. `parallel` samples are decoded
    at once, by default as many as TensorFlow sees fit; they keep their order if `deterministic`.
    """
    folder = Folder.of(path)
    data = opening.open(folder, split, classes=classes, extras=extras)
    if not 0 <= index < count:
        raise PlanError(f"found share {index} of {count}, expected an index from 0 to count - 1")
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
            # Decoded once more where errors are caught, which takes a tenth longer.
            one = tf.data.Dataset.from_tensors(record)
            return source.named(number, one.map(lambda data: _decoded(data, structure, where)))

        record = tf.cond(regular(record, structure), lambda: record, whole)
        return decode(record, structure, where)

    numbers = ordered(data.blocks, seed, window, repeat, start=start, index=index, count=count)
    kept = caches.kept(load, cache, data, structure)
    samples = numbers.map(kept, parallel or tf.data.AUTOTUNE, deterministic)
    options = tf.data.Options()
    # Reading a record counts as stateful but has no state, so an iterator can be saved.
    options.experimental_external_state_policy = tf.data.experimental.ExternalStatePolicy.IGNORE
    return samples.prefetch(tf.data.AUTOTUNE).with_options(options)


def _decoded(record: tf.Tensor, structure: Structure, where: tf.Tensor) -> tf.Tensor:
    with tf.control_dependencies(tf.nest.flatten(decode(record, structure, where))):
        return tf.identity(record)
