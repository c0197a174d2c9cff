"""Records one by one, without their pixels: where they lie, key, size, classes.

Of a large folder a sample is taken, by a seed; its records are found by the indexes
where these fit their files, and else by walking frames.
"""

import functools
import os
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dsbuild import images, storage
from dsbuild.engines import Advance, Engine, Job, batch
from dsbuild.errors import DataError, ImageError, NoFileError, ShardError
from dsbuild.format import example, scan, tfrecord

_SECONDS = 0.0016  # roughly what looking at a record takes
Place = tuple[int, int, int]  # of a record: its number, its first byte, the byte behind it


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


def names_of(path: str) -> dict[str, tuple[str, ...]]:
    """Return role -> names of the features that may play it, the folder's own first."""
    names: dict[str, tuple[str, ...]] = {}
    for feature in (f for one in scan.schemas_of(scan.home(path)) for f in one.features):
        known = names.get(feature.role, ())
        names[feature.role] = tuple(dict.fromkeys((*known, feature.name)))
    return names


def value(
    values: Mapping[str, example.Parsed], names: Mapping[str, tuple[str, ...]], role: str
) -> example.Parsed:
    """Return what a parsed record holds for a role, or None."""
    return next(filter(given, map(values.get, names.get(role, ()))), None)


def given(value: example.Parsed) -> bool:
    """Tell whether a parsed feature holds anything."""
    return value is not None and len(value) > 0


def key(values: Mapping[str, example.Parsed], names: Mapping[str, tuple[str, ...]]) -> str:
    """Return a record's key, or an empty text."""
    found = value(values, names, "key")
    return found[0].decode(errors="surrogateescape") if isinstance(found, list) else ""


def take(
    path: str, counts: Mapping[str, int], most: int | None, seed: int, engine: Engine
) -> Census:
    """Return the rows of at most `most` records, taken by a seed, or of all.

    `counts` is file name -> records. Files that are missing or damaged give what can be
    read of them.
    """
    total = sum(counts.values())
    chosen = range(total)
    if most is not None and most < total:
        chosen = sorted(random.Random(seed).sample(chosen, most))
    folder = scan.home(path)
    tasks, start, taken = [], 0, np.array(chosen, np.int64)
    for name, count in counts.items():
        low, high = np.searchsorted(taken, (start, start + count))
        numbers = (taken[low:high] - start).tolist()
        start += count
        if not numbers:
            continue
        full = storage.join(folder, name)
        places = _index(folder, name, count)
        size = batch(engine, _SECONDS) if places else len(numbers)
        for some in (numbers[i : i + size] for i in range(0, len(numbers), size)):
            tasks.append((full, some, [places[number] for number in some if places]))
    work = functools.partial(_rows, names=names_of(path), labels=scan.labels_of(folder))
    found = engine.map(Job(tasks, work, len(chosen), "looking", unit="records"))
    return Census(tuple(row for rows in found for row in rows), total)


def at(path: str, places: Sequence[tuple[str, int, int]]) -> list[Row]:
    """Return the rows of the records at (file name, number, offset), empty ones of damaged ones."""
    folder, names = scan.home(path), names_of(path)
    labels, rows = scan.labels_of(folder), []
    for name, *place in places:
        full = storage.join(folder, name)
        try:
            (record,) = tfrecord.at(full, [tuple(place)])
        except DataError:
            record = tfrecord.Record(*place, b"")
        rows.append(_row(full, record, names, labels))
    return rows


def _index(folder: str, name: str, count: int) -> list[Place]:
    """Return where the records of a file lie, by its index; nothing where that does not fit it."""
    try:
        found = scan.bounds(storage.join(folder, name))
    except NoFileError:
        return []  # the inspection names what cannot be read
    return [(i, *place) for i, place in enumerate(found)] if len(found) == count else []


def _at(path: str, places: Sequence[Place]) -> Iterator[tfrecord.Record]:
    """Yield the records that fill their places, past those that do not."""
    ends = {begin: end for _, begin, end in places}
    left = iter([place[:2] for place in places])
    more = True
    while more:
        try:
            for record in tfrecord.at(path, left):
                if record.offset + len(record.data) + tfrecord.FRAMING == ends[record.offset]:
                    yield record
            more = False
        except ShardError:
            pass  # `left` stands behind it


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


def _rows(task: tuple, advance: Advance, *, names: Mapping, labels: Sequence[str]) -> list[Row]:
    path, rows = task[0], []
    try:
        for record in _records(*task):
            rows.append(_row(path, record, names, labels))
            advance(1, 0)
    except DataError:
        pass  # the inspection names the problem
    return sorted(rows, key=lambda row: row.number)


def _row(path: str, record: tfrecord.Record, names: Mapping, labels: Sequence[str]) -> Row:
    try:
        values = example.parse(record.data)
    except ShardError:
        values = {}  # no Example, and still a record
    height = width = 0
    image = value(values, names, "image")
    if isinstance(image, list):
        try:
            head = images.header(image[0])
            height, width = head.height, head.width
        except ImageError:
            pass
    counted = scan.count(scan.label(values, labels))
    return Row(
        file=os.path.basename(path),
        number=record.number,
        offset=record.offset,
        split=scan.split_of(path),
        key=key(values, names),
        height=height,
        width=width,
        counts=dict(counted.pixels or counted.images),
        plane=bool(counted.pixels),
    )
