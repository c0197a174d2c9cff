"""Records by number in a graph of TensorFlow, with errors that say which record failed.

Python reads some records at a time, unless the graph is to work in other processes; then
TensorFlow reads each alone. Its errors name neither file nor record, and no operation catches
another's error, but a dataset can drop elements that fail. So a record that fails is empty, beside
a text that says which it is.
"""

import functools
import os
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import tensorflow as tf

from dsbuild import engines
from dsbuild.errors import DsbuildError
from dsbuild.reader.ahead import requesting
from dsbuild.reader.records import Records
from dsbuild.reader.tf.order import Run
from dsbuild.reader.tf.python import call, insist, plain

_MOST = 32  # records to read at a time
_BYTES = 1 << 22  # of them together, on average
_MORE = 2  # threads that read from a store, beside one per core
_DAMAGED = (
    ": found bytes that are damaged or do not decode; see TensorFlow's warning above; "
    "`dsbuild validate --level pixels` says more, and `dsbuild repair` fixes it"
)


class Source:
    """The chosen records of some files, by their numbers.

    Attributes:
      waiting: how many threads may wait for a store at a time.
    """

    def __init__(self, records: Records, picks: Any, portable: bool = False) -> None:
        self._records, self._picks = records, np.asarray(picks, np.int64)
        self._portable = portable
        self._indexes = records.indexes()
        size = sum(stamp.size for stamp in records.stamps if stamp) // max(len(records), 1)
        self._chunk = min(max(_BYTES // max(size, 1), 1), _MOST)
        # While they wait for a store, their threads do nothing else; on a disk nobody waits.
        self.waiting = engines.cores() + _MORE if records.remote else 0
        self._parallel = self.waiting or tf.data.AUTOTUNE

    @functools.cached_property
    def _places(self) -> tuple[tf.Tensor, ...]:
        """The paths, and file, number there and byte of each record, which Python does not need."""
        ends = np.cumsum(self._records.counts)
        files = np.searchsorted(ends, self._picks, "right")
        numbers = self._picks - (ends - self._records.counts)[files]
        offsets = np.concatenate([index[:, 0] for index in self._indexes])[self._picks]
        with tf.init_scope():  # rather than in the function that asks first
            found = (self._records.paths, files.astype(np.int32), numbers, offsets)
            return tuple(tf.constant(each) for each in found)

    def _place(self, number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Return path, number in the file and byte of a record: bytes (), int64 (), int64 ()."""
        paths, files, numbers, offsets = self._places
        return paths[files[number]], numbers[number], offsets[number]

    def ahead(self, run: Run, deterministic: bool) -> tf.data.Dataset:
        """Return the numbers of a run, each with its record and an error, as `read` does."""
        if self._portable:
            read = plain(lambda number: (number, *self.read(number)))
            return run.numbers(True).map(read, self._parallel, deterministic)
        known = run.known()
        spec = [tf.TensorSpec((None,), kind) for kind in (tf.int64, tf.string, tf.string)]

        def several(epochs: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, ...]:
            numbers = known(epochs, places)
            return numbers, *self._texts(numbers)

        calls = plain(lambda *at: call(several, at, spec))
        chunks = run.places(self._chunk).map(calls, self._parallel, deterministic)
        return run.singly(chunks)

    def read(self, number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return a serialised record, its checksums checked, and an error: bytes (), bytes ().

        The record is empty if it could not be read; then the error says which it is, and why.
        """
        if not self._portable:
            spec = [tf.TensorSpec((1,), tf.string)] * 2
            record, error = call(self._texts, [number[tf.newaxis]], spec)
            return record[0], error[0]
        path, _, offset = self._place(number)
        record = _From(path, offset).take(1)
        return caught(record), self.where(number) + _DAMAGED

    def _texts(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return records and errors, in Python: bytes (n,), bytes (n,)."""
        records, errors = zip(*self._pairs(self._picks[numbers].tolist()), strict=True)
        return np.array(records, object), np.array(errors, object)

    def _pairs(self, picks: Iterable[int]) -> Iterator[tuple[bytes, bytes]]:
        pool = _requesting(os.getpid())
        for pick, wait in zip(picks, self._records.ahead(picks, pool), strict=True):
            try:
                yield wait().data, b""
            except DsbuildError as error:
                yield b"", self._said(pick, str(error)).encode(errors="surrogateescape")

    def _said(self, pick: int, error: str) -> str:
        """Return an error that names its record; that of a file that is missing names the file."""
        path, inner = self._records.place(pick)
        name = f"{path}: record {inner} at byte "
        offset = self._indexes[self._records.file(pick)][inner, 0]
        return error if error.startswith(name) else f"{name}{offset}: {error}"

    @staticmethod
    def checked(record: tf.Tensor, error: tf.Tensor) -> tf.Tensor:
        """Return a record, bytes (), or fail with its error."""
        with tf.control_dependencies([insist(tf.strings.length(record) > 0, error)]):
            return tf.identity(record)

    def named(self, number: tf.Tensor, one: tf.data.Dataset) -> tf.Tensor:
        """Return the only text of a dataset, bytes (), or fail with the record's name."""
        return self.checked(caught(one), self.where(number) + _DAMAGED)

    def where(self, number: tf.Tensor) -> tf.Tensor:
        """Return the file of a record, and which it is there: bytes ()."""
        path, *at = self._place(number)
        inner, offset = map(tf.strings.as_string, at)
        return tf.strings.join([path, ": record ", inner, " at byte ", offset])


@functools.lru_cache(1)
def _requesting(_process: int) -> ThreadPoolExecutor:
    """Return a process's threads for requests, which all datasets share: TensorFlow frees none."""
    return requesting(threading.Event())


def caught(one: tf.data.Dataset) -> tf.Tensor:
    """Return the only text of a dataset, bytes (), or an empty one if it fails."""
    # A file that cannot be opened fails for ever; on the second attempt the zip has ended.
    once = tf.data.Dataset.zip((tf.data.Dataset.range(1), one))
    nothing = tf.data.Dataset.from_tensors((tf.constant(0, tf.int64), ""))
    found = once.ignore_errors(log_warning=True).concatenate(nothing).take(1)
    return found.get_single_element()[1]


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
