"""Records by number in a graph of TensorFlow, with errors that say which record failed.

Python reads some records at a time. Whatever it does not deliver is read again alone, by
TensorFlow. Its errors name neither file nor record, and no operation catches another's error, but
a dataset can drop elements that fail. So whatever may fail is the only element of a dataset; if
that turns out empty, an assertion names the record.
"""

import uuid
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from dsbuild.errors import DsbuildError
from dsbuild.reader.records import Records
from dsbuild.reader.tf.order import Run

_MOST = 32  # records to read at a time
_BYTES = 1 << 22  # of them together, on average


class Source:
    """Where the chosen records lie: file, number in the file, and byte, as tensors."""

    def __init__(self, records: Records, picks: Any) -> None:
        picks = np.asarray(picks, np.int64)
        ends = np.cumsum(records.counts)
        files = np.searchsorted(ends, picks, "right")
        offsets = np.concatenate([index[:, 0] for index in records.indexes()])[picks]
        self._paths = tf.constant(records.paths)
        self._files = tf.constant(files.astype(np.int32))
        self._offsets = tf.constant(offsets)
        self._numbers = tf.constant(picks - (ends - records.counts)[files])
        # TensorFlow supports few object stores, and reads a compressed file from its beginning.
        self._by_python = records.remote or records.compressed
        self._records, self._picks = records, picks
        size = sum(stamp.size for stamp in records.stamps if stamp) // max(len(records), 1)
        self._chunk = min(max(_BYTES // max(size, 1), 1), _MOST)
        self._parallel = tf.data.AUTOTUNE

    def ahead(self, run: Run, deterministic: bool) -> tf.data.Dataset:
        """Return the numbers of a run, each with its record, or "" for one to `read` alone."""
        plain = tf.autograph.experimental.do_not_convert(self._several)
        chunks = run.chunks(self._chunk).map(plain, self._parallel, deterministic)
        return run.singly(chunks)

    def _several(self, numbers: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return numbers int64 (n,), and their records, bytes (n,); "" for what is not read.

        A worker of tf.data's service in another process does not know this function, or knows
        another one by its number, which its name reveals; then nothing is read here.
        """
        name = uuid.uuid4().bytes

        def read(numbers: np.ndarray) -> tuple[np.ndarray, bytes]:
            return np.array([*self._texts(numbers)], object), name

        def texts(numbers: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            found = tf.numpy_function(read, [numbers], (tf.string, tf.string), stateful=False)
            return tf.ensure_shape(found[0], (None,)), tf.ensure_shape(found[1], ())

        nothing = tf.fill(tf.shape(numbers), "")
        one = tf.data.Dataset.from_tensors(numbers).map(texts).ignore_errors()
        other = tf.data.Dataset.from_tensors((nothing, ""))
        found, said = one.concatenate(other).take(1).get_single_element()
        # Nothing shares these texts: unbatching moves them then, instead of copying each.
        return numbers, tf.cond(tf.equal(said, name), lambda: found, lambda: nothing)

    def _texts(self, numbers: np.ndarray) -> Iterator[bytes]:
        for wait in self._records.ahead(self._picks[numbers].tolist()):
            try:
                yield wait().data
            except DsbuildError:
                yield b""

    def _read(self, number: np.ndarray) -> bytes:
        return self._records[int(self._picks[number])].data

    def whole(self, number: tf.Tensor, record: tf.Tensor) -> tf.Tensor:
        """Return a record from `ahead`, read alone if it is missing: bytes ()."""

        def alone() -> tf.Tensor:
            # In a dataset, since TensorFlow prepares its functions only when it is used.
            return tf.data.Dataset.from_tensors(number).map(self.read).get_single_element()

        return tf.cond(tf.equal(tf.strings.length(record), 0), alone, lambda: record)

    def read(self, number: tf.Tensor) -> tf.Tensor:
        """Return a serialised record, its checksums checked: bytes ()."""
        if self._by_python:
            data = tf.numpy_function(self._read, [number], tf.string)
            return tf.ensure_shape(data, ())
        record = _From(self._paths[self._files[number]], self._offsets[number]).take(1)
        return self.named(number, record)

    def named(self, number: tf.Tensor, one: tf.data.Dataset) -> tf.Tensor:
        """Return the only text of a dataset, bytes (), or fail with the record's name."""
        # A file that cannot be opened fails for ever; on the second attempt the zip has ended.
        once = tf.data.Dataset.zip((tf.data.Dataset.range(1), one))
        nothing = tf.data.Dataset.from_tensors((tf.constant(0, tf.int64), ""))
        found = once.ignore_errors(log_warning=True).concatenate(nothing).take(1)
        _, text = found.get_single_element()
        good = tf.strings.length(text) > 0
        with tf.control_dependencies([tf.cond(good, tf.no_op, lambda: self.fail(number))]):
            return tf.identity(text)

    def where(self, number: tf.Tensor) -> tf.Tensor:
        """Return the file of a record, and which it is there: bytes ()."""
        at = map(tf.strings.as_string, (self._numbers[number], self._offsets[number]))
        words = zip(
            (self._paths[self._files[number]], *at), (": record ", " at byte ", ""), strict=True
        )
        return tf.strings.join([word for pair in words for word in pair])

    def fail(self, number: tf.Tensor) -> tf.Operation:
        """Fail with the name of a record."""
        text = (
            ": found bytes that are damaged or do not decode; see TensorFlow's warning above; "
            "`dsbuild validate --level pixels` says more, and `dsbuild repair` fixes it"
        )
        return tf.debugging.Assert(False, [self.where(number) + text])


class _From(tf.data.Dataset):  # type: ignore[misc]  # TensorFlow has no types
    """The records of a file from a byte on, checksums checked."""

    def __init__(self, path: tf.Tensor, offset: tf.Tensor) -> None:
        super().__init__(
            tf.raw_ops.TFRecordDatasetV2(
                filenames=[path],
                compression_type="",
                buffer_size=tf.constant(0, tf.int64),
                byte_offsets=[offset],
            )
        )

    @property
    def element_spec(self) -> tf.TensorSpec:
        return tf.TensorSpec((), tf.string)

    def _inputs(self) -> list[Any]:
        return []
