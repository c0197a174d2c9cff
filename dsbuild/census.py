"""Records one by one, without their pixels: where they lie, key, size, classes.

Of a large folder a sample is taken, by a seed; its records are found by the indexes
where the folder has them.
"""

import functools
import os
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dsbuild import images, manifest, scan, storage, tfrecord, wire
from dsbuild.errors import DsbuildError
from dsbuild.job import Advance, Job

_CHUNK = 200  # records a task, where each can be found at once


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
    values: Mapping[str, wire.Parsed], names: Mapping[str, tuple[str, ...]], role: str
) -> wire.Parsed:
    """Return what a parsed record holds for a role, or None."""
    found = (values.get(name) for name in names.get(role, ()))
    return next((one for one in found if one is not None and len(one)), None)


def key(values: Mapping[str, wire.Parsed], names: Mapping[str, tuple[str, ...]]) -> str:
    """Return a record's key, or an empty text."""
    found = value(values, names, "key")
    return found[0].decode(errors="replace") if isinstance(found, list) else ""


def take(
    path: str, counts: Mapping[str, int], most: int | None, seed: int, workers: int, quiet: bool
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
        offsets = manifest.offsets(folder, name)
        if len(offsets) != count:
            tasks.append((storage.join(folder, name), tuple((n, None) for n in numbers)))
            continue
        places = tuple((number, offsets[number]) for number in numbers)
        tasks += [
            (storage.join(folder, name), places[i : i + _CHUNK])
            for i in range(0, len(places), _CHUNK)
        ]
    work = functools.partial(_rows, names=names_of(path), labels=scan.labels_of(folder))
    found = Job(tasks, work, len(chosen), "looking", unit="records").run(workers, quiet)
    return Census(tuple(row for rows in found for row in rows), total)


def _rows(
    task: tuple[str, tuple], advance: Advance, *, names: Mapping, labels: Sequence[str]
) -> list[Row]:
    path, places = task
    rows = []
    numbers = {number for number, _ in places}
    last = places[-1][0]
    try:
        found = tfrecord.read(path) if places[0][1] is None else tfrecord.at(path, places)
        for record in found:
            if record.number in numbers:
                rows.append(_row(path, record, names, labels))
                advance(1, 0)
            if record.number == last:
                break
    except DsbuildError:
        pass  # the inspection names the problem
    return rows


def _row(path: str, record: tfrecord.Record, names: Mapping, labels: Sequence[str]) -> Row:
    values = wire.parse(record.data)
    height = width = 0
    image = value(values, names, "image")
    if isinstance(image, list):
        try:
            head = images.header(image[0])
            height, width = head.height, head.width
        except DsbuildError:
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
