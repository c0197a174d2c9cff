"""Read TFRecords into TensorFlow: a `tf.data.Dataset` of decoded samples.

Records are read by number, at the byte that the index gives. Only numbers are shuffled, divided,
skipped and repeated, so an order over millions of samples takes no memory for their images, and
an epoch resumes at any sample at once.
"""

import os
from collections.abc import Iterable
from typing import Any

import tensorflow as tf

from dsbuild import engines
from dsbuild.errors import PlanError
from dsbuild.format.folder import Folder, PathLike
from dsbuild.reader import caching, opening
from dsbuild.reader.decoded import DECODED
from dsbuild.reader.order import WINDOW
from dsbuild.reader.reader import Reader
from dsbuild.reader.tf import cache as caches
from dsbuild.reader.tf import crops
from dsbuild.reader.tf.features import Structure, decode, regular
from dsbuild.reader.tf.order import Run
from dsbuild.reader.tf.python import plain
from dsbuild.reader.tf.source import Source

_WAITING = 16  # samples that are read from a store at a time, each alone


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
    cache: bool | str | os.PathLike[str] = False,
    cache_folder: str | os.PathLike[str] | None = None,
    cache_size: int | None = None,
    parallel: int | None = None,
    deterministic: bool = True,
    portable: bool = False,
) -> tf.data.Dataset:
    """Read a folder of TFRecords, or one file, as a `tf.data.Dataset` of decoded samples.

    A sample is a dict of tensors:

    - `image`: RGB, uint8 (h, w, 3); with 16 bits per channel uint16 (h, w, c), with all its bands.
    - `label`: class indices, uint8 (h, w, 1), or uint16 with more than 256 classes, or int64 ()
      if it is one class; there is no such key in splits without labels.
    - `panoptic`: class * divisor + instance, int32 (h, w, 1), and `label_divisor`, int64 (), if
      labels are panoptic.
    - `key`: what the source calls the sample, bytes (); also as `image_name`, its name in earlier
      versions, until the next release.
    - `height` and `width` of the image: int64 ().
    - stored extras and those in `extras`, by their names: uint8 or int16 (h, w, 1).

    Args:
      path: the folder or file, as a text, a `pathlib.Path`, or the URL of a store.
      split: something like `train`, `train[:10%]` or `train+val`; all splits by default.
      classes: names or indices; only samples that have one of these classes are read.
      extras: such as `laplacian` or `canny:low=50`; computed from image or label if records do
        not have them.
      as_supervised: whether samples are tuples (image, label), followed by `extras`.
      seed: shuffles each epoch into its own order: shards first, then samples within windows.
        None for the stored order.
      window: how many samples are shuffled together.
      repeat: how often to repeat the data; None for ever. With a seed each epoch's order is
        fixed, except that with `repeat=1` every new iteration reshuffles, as Keras' `fit` expects.
      index: which of `count` shares to read, such as the rank of this process.
      count: how many shares there are.
      start: how many samples of the share to skip at the beginning, counted over all epochs.
      cache: keeps decoded samples for later epochs: `decoded` in the file that `dsbuild.open` and
        `torch_dataset` share, True in memory, a path in a folder of files. It does not change the
        order.
      cache_folder: for `decoded`, as in `dsbuild.open`.
      cache_size: for `decoded`, as in `dsbuild.open`.
      parallel: how many samples to decode at once; by default as many as there are cores, with a
        cache of records on a store 16.
      deterministic: whether samples keep their order if several are decoded at once.
      portable: whether the dataset works in other processes, such as workers of tf.data's
        service. TensorFlow then reads local files without Python, which takes 0.1 s more per
        iteration and 0.1 ms more per sample.

    Returns:
      The dataset; batch it yourself. A record that is damaged or does not decode raises an
      InvalidArgumentError that names its file and number.

    Raises:
      ShardError: if there is no such folder, or it is damaged or unfinished.
      PlanError: if there is no such split, class, extra or share, or options contradict the data
        or each other.

    Example:
      >>> data = dsbuild.tf_dataset("tfrecord", "train", seed=1, as_supervised=True)
      >>> image, label = next(iter(data))
      >>> image.shape[-1], label.shape[-1], label.dtype.name
      (3, 1, 'uint8')
    """
    folder = Folder.of(path)
    data = opening.open(folder, split, classes=classes, extras=extras)
    if not 0 <= index < count:
        raise PlanError(f"found share {index} of {count}, expected an index from 0 to count - 1")
    if not len(data):
        raise PlanError(f"{folder.path}: found no sample in {split!r}; name a part that has some")
    source = Source(data.records, data.picks, portable)  # first: it reads all indexes at once
    structure = Structure.of(data, as_supervised)
    if portable:
        _check_portable(data, structure, cache)

    def load(number: tf.Tensor) -> Any:
        return made(number, source.checked(*source.read(number)))

    def made(number: tf.Tensor, record: tf.Tensor) -> Any:
        if structure.trusted:
            return decode(record, structure)
        where = source.where(number)

        def whole() -> tf.Tensor:
            # Decoded once more where errors are caught, which takes a tenth longer.
            one = tf.data.Dataset.from_tensors(record)
            return source.named(number, one.map(lambda data: _decoded(data, structure, where)))

        record = tf.cond(regular(record, structure), lambda: record, whole)
        return decode(record, structure, where)

    run = Run(data.blocks, seed, window, repeat, start, index, count)
    where = cache if isinstance(cache, bool) else os.fspath(cache)
    shared = where if where == DECODED else None
    planes = (*structure.stored, *(one.name for one in structure.computed))
    data = caching.kept(data, planes, shared, cache_folder, cache_size)
    kept = caches.decoded(data, structure) if shared else caches.kept(load, where, data, structure)

    def named(number: tf.Tensor, *read: tf.Tensor) -> Any:
        sample = made(number, source.checked(*read)) if read else kept(number)
        return sample if structure.order is not None else crops.named(sample)

    numbers = run.numbers(portable) if where else source.ahead(run, deterministic)
    # A sample for a cache is read alone, so several have to wait for a store at a time.
    parallel = parallel or (_WAITING if where and source.waiting else engines.cores())
    samples = numbers.map(plain(named), parallel, deterministic)
    options = tf.data.Options()
    # At the end of an iteration, TensorFlow's tuner often sleeps on until it would tune next, and
    # the iterator waits for it: for seconds after a short epoch, up to a minute after a long one.
    options.autotune.enabled = False
    if source.waiting:  # TensorFlow has a thread per core, and needs these to decode meanwhile
        options.threading.private_threadpool_size = parallel + source.waiting
    # Reading a record counts as stateful but has no state, so an iterator can be saved.
    options.experimental_external_state_policy = tf.data.experimental.ExternalStatePolicy.IGNORE
    samples = samples.prefetch(tf.data.AUTOTUNE).with_options(options)
    if cache or structure.computed or structure.bands or not structure.trusted:
        return samples
    return crops.known(
        samples,
        crops.Origin(
            numbers,
            lambda _, *read: source.checked(*read),
            structure,
            parallel,
            options,
        ),
    )


def _check_portable(data: Reader, structure: Structure, cache: Any) -> None:
    """Raise PlanError if the dataset needs functions of Python."""
    needs = {
        f"{data.folder.path} is on a store": data.records.remote,
        f"{data.folder.path} has compressed files": data.records.compressed,
        f"cache={DECODED!r} is read by Python": cache == DECODED,
    }
    needs |= {f"extra {one.name} is computed by Python": True for one in structure.computed}
    for reason, true in needs.items():
        if true:
            raise PlanError(
                f"portable: {reason}, which other processes cannot do; read local, uncompressed "
                "records that have all extras, with another cache or none"
            )


def _decoded(record: tf.Tensor, structure: Structure, where: tf.Tensor) -> tf.Tensor:
    with tf.control_dependencies(tf.nest.flatten(decode(record, structure, where))):
        return tf.identity(record)
