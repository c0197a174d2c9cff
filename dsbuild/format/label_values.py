"""Lists of the label values in each record of a shard, so that no label has to be decoded.

    index/<shard>.values      one line per record: its values, ascending, such as `0 15 255`

A record without a label has an empty line.
"""

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from dsbuild.errors import ShardError
from dsbuild.format import example, index, tfrecord
from dsbuild.format.features import label_values

_CHUNK = 64  # records whose labels a thread decodes in a row


@dataclass(frozen=True)
class Presence:
    """Which label values occur in some records, in order.

    Attributes:
      starts: int64 (records + 1,), where the values of each record begin.
      values: of all records, one after another.
    """

    starts: np.ndarray
    values: np.ndarray

    def __len__(self) -> int:
        return len(self.starts) - 1

    def having(self, classes: Sequence[int]) -> np.ndarray:
        """Return which records have at least one of some classes: bool (records,)."""
        found = np.cumsum(np.isin(self.values, classes))
        before = np.concatenate(([0], found))[self.starts]
        there: np.ndarray = before[1:] > before[:-1]
        return there

    def matrix(self, classes: int) -> np.ndarray:
        """Return which of the first `classes` classes each record has: bool (records, classes)."""
        made = np.zeros((len(self), classes), bool)
        rows = np.repeat(np.arange(len(self)), np.diff(self.starts))
        known = (self.values >= 0) & (self.values < classes)
        made[rows[known], self.values[known]] = True
        return made


def line(values: Iterable[int]) -> str:
    """Return the line of a record in its shard's list.

    >>> line({15, 255, 0})
    '0 15 255\\n'
    """
    return " ".join(map(str, sorted(values))) + "\n"


def parse(text: bytes) -> Presence:
    """Return what a list of such lines says; raise ShardError for anything else."""
    data = np.frombuffer(text, np.uint8)
    inside = data > ord(" ")
    begun = np.cumsum(inside & np.diff(inside, prepend=False))
    starts = np.concatenate(([0], begun[data == ord("\n")]))
    # np.fromstring reads whitespace alone as [0].
    try:
        values = np.fromstring(text, np.int64, sep=" ") if inside.any() else np.empty(0, np.int64)
    except ValueError:
        values = None
    if values is None or len(values) != starts[-1] or text[-1:] not in (b"", b"\n"):
        raise ShardError("found no list of label values, one line of numbers per record")
    signed = values.min(initial=0) < 0  # a class that others wrote
    kind = np.int64 if signed else np.min_scalar_type(values.max(initial=0))
    return Presence(starts, values.astype(kind))


def lines(path: str, labels: Sequence[str], threads: int) -> bytes:
    """Return the list of a file, from its labels themselves, which threads decode.

    `labels` are the features that may hold one. Raises ShardError if one cannot be decoded.
    """
    from concurrent.futures import ThreadPoolExecutor  # here, since builds need no threads

    known = index.bounds(path)
    places = [(i, begin) for i, (begin, _) in enumerate(known or tfrecord.walk(path))]
    # A compressed file can only be read from its beginning.
    size = _CHUNK if known or not tfrecord.compressed(path) else max(len(places), 1)
    chunks = [places[i : i + size] for i in range(0, len(places), size)]
    with ThreadPoolExecutor(threads) as pool:
        return "".join(pool.map(functools.partial(_lines, path, labels), chunks)).encode()


def _lines(path: str, labels: Sequence[str], places: Sequence[tuple[int, int]]) -> str:
    lines = []
    for record in tfrecord.at(path, places):
        with tfrecord.located(path, record):
            lines.append(line(label_values(example.parse(record.data), labels)))
    return "".join(lines)
