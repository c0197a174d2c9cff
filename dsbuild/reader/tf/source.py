"""Records by number in a graph of TensorFlow, with errors that say which record failed.

TensorFlow's errors name neither file nor record, and no operation catches another's error, but
a dataset can drop elements that fail. So whatever may fail is the only element of a dataset; if
that turns out empty, an assertion names the record.
"""

from typing import Any

import numpy as np
import tensorflow as tf

from dsbuild import storage
from dsbuild.reader.records import Records


class Source:
    """Where the chosen records lie: file, number in the file, and byte, as tensors."""

    def __init__(self, records: Records, picks: Any) -> None:
        picks = np.asarray(picks, np.int64)
        ends = np.cumsum(records.counts)
        files = np.searchsorted(ends, picks, "right")
        offsets = np.concatenate([records.index(i)[:, 0] for i in range(len(ends))])[picks]
        self._paths = tf.constant(records.paths)
        self._files = tf.constant(files.astype(np.int32))
        self._offsets = tf.constant(offsets)
        self._numbers = tf.constant(picks - (ends - records.counts)[files])
        self._remote = storage.is_remote(records.paths[0])
        self._read = lambda number: records[int(picks[number])].data

    def read(self, number: tf.Tensor) -> tf.Tensor:
        """Return a serialised record, its checksums checked: bytes ()."""
        if self._remote:  # TensorFlow supports few object stores
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
