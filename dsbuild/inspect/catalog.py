"""Records one by one, without their pixels: where they are, key, size, classes.

From a large folder a seeded sample is taken. Its records are found by the indexes if these match
their files, otherwise by reading all frames.
"""

import contextlib
import functools
import os
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from dsbuild import images, storage
from dsbuild.engines import Advance, Engine, Job, batch
from dsbuild.errors import DataError, ImageError, NoFileError, ShardError
from dsbuild.format import example, features, label_values, tfrecord
from dsbuild.format.features import Names
from dsbuild.format.folder import Folder, PathLike, split_of
from dsbuild.format.index import bounds
from dsbuild.format.names import values_path
from dsbuild.inspect import frame
from dsbuild.inspect.frame import Frame

_SECONDS = 0.0016  # of work per record, roughly
_LISTS = 500  # lists of label values that are read to find rare classes
_FRAMES = 500  # records from which it is counted where classes lie
Span = tuple[int, int, int]  # of a record: its number, its first byte, the byte after its last
# A file, numbers of records, their spans, and every how many-th record is counted in the frame.
Task = tuple[str, Sequence[int], Sequence[Span], int]


@dataclass(frozen=True)
class Row:
    """One record.

    Attributes:
      file, number, offset: where it is.
      split: the one in the file's name.
      key: of the sample; empty if it has none.
      height, width: of its image; 0 if it has none that can be read.
      counts: label value -> pixels; if the label is one class, that class -> 1.
      plane: whether the label is a plane of classes rather than one class.
    """

    file: str
    number: int
    offset: int
    split: str
    key: str
    height: int
    width: int
    counts: Mapping[int, int]
    plane: bool = True

    def part(self, value: int) -> float:
        """Return the share of the label's pixels with this value."""
        return self.counts.get(value, 0) / max(sum(self.counts.values()), 1)


@dataclass(frozen=True)
class Census:
    """Rows of a sample of the records or of all of them, and how many records there are.

    `frame` says where classes lie, from some of the rows.
    """

    rows: tuple[Row, ...]
    total: int
    frame: Frame = field(default_factory=Frame)

    @property
    def whole(self) -> bool:
        """Whether the rows are those of all records."""
        return len(self.rows) >= self.total


def take(
    path: PathLike, counts: Mapping[str, int], most: int | None, seed: int, engine: Engine
) -> Census:
    """Return the rows of a seeded sample of at most `most` records; None means all.

    `counts` is file name -> records. Records that cannot be read are left out.
    """
    total = sum(counts.values())
    chosen: Sequence[int] = range(total)
    if most is not None and most < total:
        chosen = sorted(random.Random(seed).sample(chosen, most))
    folder = Folder.of(path)
    tasks, start, ranked = [], 0, np.array(chosen, np.int64)
    every = -(-len(chosen) // _FRAMES)
    for name, count in counts.items():
        low, high = np.searchsorted(ranked, (start, start + count))
        numbers = (ranked[low:high] - start).tolist()
        start += count
        if not numbers:
            continue
        full = storage.join(folder.home, name)
        spans = _index(full, count)
        size = batch(engine, _SECONDS) if spans else len(numbers)
        for some in (numbers[i : i + size] for i in range(0, len(numbers), size)):
            tasks.append((full, some, [spans[number] for number in some if spans], every))
    work = functools.partial(_rows, names=folder.names, labels=folder.labels)
    parts = engine.map(Job(tasks, work, len(chosen), "reading", unit="records"))
    rows = tuple(row for some, _ in parts for row in some)
    return Census(rows, total, frame.total(part for _, part in parts))


def at(path: PathLike, places: Sequence[tuple[str, int, int]]) -> list[Row]:
    """Return the rows of the records at (file name, number, offset); empty ones if damaged."""
    folder = Folder.of(path)
    by_file: dict[str, list[tuple[int, int]]] = {}
    for name, number, offset in places:
        by_file.setdefault(name, []).append((number, offset))
    rows = {}
    for name, wanted in by_file.items():
        full = storage.join(folder.home, name)
        records = {number: tfrecord.Record(number, offset, b"") for number, offset in wanted}
        with contextlib.suppress(DataError):
            records |= {record.number: record for record in tfrecord.each(full, wanted)}
        for number, record in records.items():
            rows[name, number] = _row(full, record, folder.names, folder.labels)[0]
    return [rows[name, number] for name, number, _ in places]


def holders(path: PathLike, counts: Mapping[str, int], values: Iterable[int]) -> list[Row]:
    """Return rows that have rare label values, by the lists of values beside the shards.

    A value that no list has gives no row. At most `_LISTS` lists are read.
    """
    folder, left = Folder.of(path), set(values)
    places: dict[tuple[str, int, int], None] = {}
    for name, count in list(counts.items())[:_LISTS]:
        if not left:
            break
        try:
            listed = label_values.parse(storage.read(values_path(folder.home, name))[0])
        except DataError:
            continue  # validate names what is wrong with it
        there = left & set(np.unique(listed.values).tolist())
        spans = _index(storage.join(folder.home, name), count) if there else []
        if len(listed) != count or not spans:
            continue
        for value in sorted(there):
            number = int(np.flatnonzero(listed.having([value]))[0])
            places[name, number, spans[number][1]] = None
        left -= there
    return at(folder, list(places))


def _index(path: str, count: int) -> list[Span]:
    """Return where a file's records are, by its index; nothing if that does not match the file."""
    try:
        places = bounds(path)
    except NoFileError:
        return []  # the inspection names what cannot be read
    return [(i, *place) for i, place in enumerate(places)] if len(places) == count else []


def _at(path: str, spans: Sequence[Span]) -> Iterator[tfrecord.Record]:
    """Yield the records that fill their spans; skip those that do not."""
    ends = {begin: end for _, begin, end in spans}
    for record in tfrecord.each(path, (span[:2] for span in spans)):
        end = record.offset + len(record.data) + tfrecord.FRAMING
        if not record.problem and end == ends[record.offset]:
            yield record


def _records(path: str, numbers: Sequence[int], spans: Sequence[Span]) -> Iterator[tfrecord.Record]:
    """Yield the records with these numbers: by their spans, then by reading all frames."""
    left = set(numbers)
    for record in _at(path, spans):
        left.remove(record.number)
        yield record
    last = max(left, default=-1)
    for record in tfrecord.read(path) if left else ():
        if record.number in left:
            yield record
        if record.number == last:
            return


def _rows(
    task: Task, advance: Advance, *, names: Names, labels: Sequence[str]
) -> tuple[list[Row], Frame]:
    path, numbers, spans, every = task
    rows, frames = [], []
    try:
        for record in _records(path, numbers, spans):
            row, label = _row(path, record, names, labels)
            if isinstance(label, np.ndarray) and record.number % every == 0:
                frames.append(frame.of(label))
            rows.append(row)
            advance(1, 0)
    except DataError:
        pass  # the inspection names the problem
    return sorted(rows, key=lambda row: row.number), frame.total(frames)


def _row(
    path: str, record: tfrecord.Record, names: Names, labels: Sequence[str]
) -> tuple[Row, int | np.ndarray | None]:
    """Return a record's row and its label."""
    try:
        values = example.parse(record.data)
    except ShardError:
        values = {}  # not an Example, but still a record
    height = width = 0
    image = features.value(values, names, "image")
    if isinstance(image, list):
        try:
            head = images.header(image[0])
            height, width = head.height, head.width
        except ImageError:
            pass
    label = features.label(values, labels)
    counted = features.count(label)
    row = Row(
        file=os.path.basename(path),
        number=record.number,
        offset=record.offset,
        split=split_of(path),
        key=features.key(values, names),
        height=height,
        width=width,
        counts=dict(counted.pixels or counted.images),
        plane=bool(counted.pixels),
    )
    return row, label
