"""Decoded samples by their number, in memory or in files, for later epochs.

Samples are kept by number, so a cache changes only the speed: orders, shares and a start stay
the same, and only numbers are shuffled. Files are

    <folder>/<digest of the data>/<number>      a checksum, then the tensors

A file that is truncated or holds other data is written again, never used.
"""

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from dsbuild import storage
from dsbuild.errors import DsbuildError, PlanError
from dsbuild.reader.reader import Reader
from dsbuild.reader.tf.features import Structure
from dsbuild.reader.tf.python import call

Load = Callable[[tf.Tensor], Any]
Keep = Callable[[tf.Tensor, tf.Tensor], tf.Operation]
_DIGITS = 19  # of a checksum


def kept(load: Load, where: bool | str, data: Reader, structure: Structure) -> Load:
    """Return a function that loads a sample by its number, the first time with `load`.

    `where` is True for memory, or a folder; without it `load` itself is returned. Raises PlanError
    for a folder on a store.
    """
    if not where:
        return load
    if where is not True and storage.is_remote(where):
        raise PlanError(
            f"cache: found {storage.normal(where)}, expected a local folder: TensorFlow writes the "
            "cache and supports few object stores"
        )
    parts = len(tf.nest.flatten(structure.spec))
    there, keep = _memory(parts) if where is True else _files(where, _digest(data, structure))

    def fresh(number: tf.Tensor) -> tf.Tensor:
        texts = tf.stack([tf.io.serialize_tensor(one) for one in tf.nest.flatten(load(number))])
        with tf.control_dependencies([keep(number, texts)]):
            return tf.identity(texts)

    def loaded(number: tf.Tensor) -> Any:
        texts = there(number)
        found = tf.equal(tf.size(texts), parts) & (tf.strings.length(texts[0]) > 0)
        texts = tf.ensure_shape(tf.cond(found, lambda: texts, lambda: fresh(number)), (parts,))
        specs = tf.nest.flatten(structure.spec)
        tensors = [
            tf.ensure_shape(tf.io.parse_tensor(texts[i], one.dtype), one.shape)
            for i, one in enumerate(specs)
        ]
        return tf.nest.pack_sequence_as(structure.spec, tensors)

    return loaded


def decoded(data: Reader, structure: Structure) -> Load:
    """Return a function that loads a sample by its number from a reader that keeps its samples."""
    spec: Any = structure.spec
    specs = spec if structure.order is None else dict(zip(structure.order, spec, strict=True))

    def values(number: np.ndarray) -> list[Any]:
        try:
            sample = data[int(number)]
            found = {name: getattr(sample, name) for name in specs}
        except DsbuildError as error:
            raise ValueError(str(error)) from error  # TensorFlow calls others unknown
        return [_value(found[name], one.shape.rank) for name, one in specs.items()]

    def loaded(number: tf.Tensor) -> Any:
        found = call(values, [number], list(specs.values()))
        return structure.shaped(dict(zip(specs, found, strict=True)))

    return loaded


def _value(value: Any, rank: int) -> Any:
    """Return a value of a sample as TensorFlow has it."""
    if isinstance(value, np.ndarray):
        return value[..., np.newaxis] if value.ndim < rank else value
    return value.encode(errors="surrogateescape") if isinstance(value, str) else np.int64(value)


def _memory(parts: int) -> tuple[Load, Keep]:
    """Return the functions that read and keep the texts of a number: strings (parts,)."""
    table = tf.lookup.experimental.MutableHashTable(tf.int64, tf.string, tf.constant([""] * parts))
    return table.lookup, table.insert


def _files(folder: str, digest: str) -> tuple[Load, Keep]:
    """Return the same for files; a missing or truncated one reads as one empty text."""

    def path(number: tf.Tensor) -> tf.Tensor:
        return tf.strings.join([f"{folder}/{digest}/", tf.strings.as_string(number)])

    def there(number: tf.Tensor) -> tf.Tensor:
        # Reading fails if there is no file; a dataset can drop that.
        read = tf.data.Dataset.from_tensors(path(number)).map(tf.io.read_file).ignore_errors()
        text = read.concatenate(tf.data.Dataset.from_tensors("")).take(1).get_single_element()
        # substr refuses to begin past the end.
        whole = tf.strings.length(text) > _DIGITS
        text = tf.cond(whole, lambda: text, lambda: tf.constant("0" * _DIGITS + "-"))
        data = tf.strings.substr(text, _DIGITS, -1)
        right = tf.equal(tf.strings.substr(text, 0, _DIGITS), _sum(data))
        return tf.cond(
            right, lambda: tf.io.parse_tensor(data, tf.string), lambda: tf.constant([""])
        )

    def keep(number: tf.Tensor, texts: tf.Tensor) -> tf.Operation:
        data = tf.io.serialize_tensor(texts)
        return tf.io.write_file(path(number), tf.strings.join([_sum(data), data]))

    return there, keep


def _sum(data: tf.Tensor) -> tf.Tensor:
    number = tf.strings.to_hash_bucket_fast(data, 2**63 - 1)
    return tf.strings.as_string(number, width=_DIGITS, fill="0")


def _digest(data: Reader, structure: Structure) -> str:
    """Return a digest of all that decoded samples depend on: files, records, their structure."""
    files = [(path, str(storage.stamp(path))) for path in data.records.paths]
    found = hashlib.sha256(repr((files, structure)).encode())
    found.update(np.asarray(data.picks, np.int64).tobytes())
    return found.hexdigest()[:16]
