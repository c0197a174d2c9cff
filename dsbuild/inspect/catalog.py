"""Records one by one, without their pixels: where they lie, key, size, classes.

Of a large folder a sample is taken, by a seed; its records are found by the indexes
where these fit their files, and else by walking frames.
"""

import contextlib
import functools
import os
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dsbuild import images, storage
from dsbuild.engines import Advance, Engine, Job, batch
from dsbuild.errors import DataError, ImageError, NoFileError, ShardError
from dsbuild.format import example, features, tfrecord
from dsbuild.format.features import Names
from dsbuild.format.folder import Folder, PathLike, split_of
from dsbuild.format.index import bounds

_SECONDS = 0.0016  # roughly what looking at a record takes
Place = tuple[int, int, int]  # of a record: its number, its first byte, the byte behind it
Task = tuple[str, Sequence[int], Sequence[Place]]  # a file, numbers of records, their places


@dataclass(frozen=True)
class Row:
    """One record.

    Attributes:
      file, number, offset: where it lies.
      split: as the file's name tells it.
      key: of the sample; empty where it has none.
      height, width: of its image; 0 where it has none that can be read.
      counts: label value -> pixels; of a label that is one class, the class -> 1.
      plane: whether the label is a plane of classes, not one.
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
        """Return the share of the label's pixels that have a value."""
        return self.counts.get(value, 0) / max(sum(self.counts.values()), 1)


@dataclass(frozen=True)
class Census:
    """Rows of a sample, or of all records, and how many there are in all."""

    rows: tuple[Row, ...]
    total: int

    @property
    def whole(self) -> bool:
        """Whether every record was asked for."""
        return len(self.rows) >= self.total


def take(
    path: PathLike, counts: Mapping[str, int], most: int | None, seed: int, engine: Engine
) -> Census:
    """Return the rows of at most `most` records, taken by a seed, or of all.

    `counts` is file name -> records. Files that are missing or damaged give what can be
    read of them.
    """
    total = sum(counts.values())
    chosen: Sequence[int] = range(total)
    if most is not None and most < total:
        chosen = sorted(random.Random(seed).sample(chosen, most))
    folder = Folder.of(path)
    tasks, start, taken = [], 0, np.array(chosen, np.int64)
    for name, count in counts.items():
        low, high = np.searchsorted(taken, (start, start + count))
        numbers = (taken[low:high] - start).tolist()
        start += count
        if not numbers:
            continue
        full = storage.join(folder.home, name)
        places = _index(full, count)
        size = batch(engine, _SECONDS) if places else len(numbers)
        for some in (numbers[i : i + size] for i in range(0, len(numbers), size)):
            tasks.append((full, some, [places[number] for number in some if places]))
    work = functools.partial(_rows, names=folder.names, labels=folder.labels)
    found = engine.map(Job(tasks, work, len(chosen), "looking", unit="records"))
    return Census(tuple(row for rows in found for row in rows), total)


def at(path: PathLike, places: Sequence[tuple[str, int, int]]) -> list[Row]:
    """Return the rows of the records at (file name, number, offset), empty if one is damaged."""
    folder = Folder.of(path)
    by_file: dict[str, list[tuple[int, int]]] = {}
    for name, number, offset in places:
        by_file.setdefault(name, []).append((number, offset))
    rows = {}
    for name, mine in by_file.items():
        full = storage.join(folder.home, name)
        records = {number: tfrecord.Record(number, offset, b"") for number, offset in mine}
        with contextlib.suppress(DataError):
            records |= {record.number: record for record in tfrecord.each(full, mine)}
        for number, record in records.items():
            rows[name, number] = _row(full, record, folder.names, folder.labels)
    return [rows[name, number] for name, number, _ in places]


def _index(path: str, count: int) -> list[Place]:
    """Return where the records of a file lie, by its index; nothing where that does not fit it."""
    try:
        found = bounds(path)
    except NoFileError:
        return []  # the inspection names what cannot be read
    return [(i, *place) for i, place in enumerate(found)] if len(found) == count else []


def _at(path: str, places: Sequence[Place]) -> Iterator[tfrecord.Record]:
    """Yield the records that fill their places, past those that do not."""
    ends = {begin: end for _, begin, end in places}
    for record in tfrecord.each(path, (place[:2] for place in places)):
        end = record.offset + len(record.data) + tfrecord.FRAMING
        if not record.problem and end == ends[record.offset]:
            yield record


def _records(
    path: str, numbers: Sequence[int], places: Sequence[Place]
) -> Iterator[tfrecord.Record]:
    """Yield the records of some numbers: those in their places, then what walking finds."""
    left = set(numbers)
    for record in _at(path, places):
        left.remove(record.number)
        yield record
    last = max(left, default=-1)
    for record in tfrecord.read(path) if left else ():
        if record.number in left:
            yield record
        if record.number == last:
            return


def _rows(task: Task, advance: Advance, *, names: Names, labels: Sequence[str]) -> list[Row]:
    path, rows = task[0], []
    try:
        for record in _records(*task):
            rows.append(_row(path, record, names, labels))
            advance(1, 0)
    except DataError:
        pass  # the inspection names the problem
    return sorted(rows, key=lambda row: row.number)


def _row(path: str, record: tfrecord.Record, names: Names, labels: Sequence[str]) -> Row:
    try:
        values = example.parse(record.data)
    except ShardError:
        values = {}  # no Example, and still a record
    height = width = 0
    image = features.value(values, names, "image")
    if isinstance(image, list):
        try:
            head = images.header(image[0])
            height, width = head.height, head.width
        except ImageError:
            pass
    counted = features.count(features.label(values, labels))
    return Row(
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
