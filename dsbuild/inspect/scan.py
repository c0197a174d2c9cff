"""What TFRecord files hold, whoever wrote them."""

import functools
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from dsbuild import storage
from dsbuild.engines import Advance, Engine, Job
from dsbuild.errors import DataError, ImageError
from dsbuild.format import example, tfrecord
from dsbuild.format.counts import Statistics
from dsbuild.format.example import Parsed
from dsbuild.format.features import count, kind, label
from dsbuild.format.folder import split_of

_FEW = 8  # values of a feature that are shown


@dataclass(frozen=True)
class FeatureScan:
    """One feature over many records: its kind, how many have it, and its extent.

    Attributes:
      kind: `bytes`, `int64` or `float32`, several joined by `|`; `none` if it is always empty.
      records: how many have it.
      values: smallest and largest number of values per record.
      bytes: smallest and largest length of a value if values are bytes.
    """

    kind: str
    records: int
    values: tuple[int, int]
    bytes: tuple[int, int]

    def __add__(self, other: "FeatureScan") -> "FeatureScan":
        kinds = dict.fromkeys([*self.kind.split("|"), *other.kind.split("|")])
        return FeatureScan(
            "|".join(kinds),
            self.records + other.records,
            _span(self.values, other.values),
            _span(self.bytes, other.bytes),
        )


def _span(a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
    return min(a[0], b[0]), max(a[1], b[1])


@dataclass(frozen=True)
class FileScan:
    """One file: records, size in bytes, features by name, label counts, its first problem."""

    name: str
    split: str
    records: int
    bytes: int
    features: Mapping[str, FeatureScan] = field(default_factory=dict)
    statistics: Statistics = field(default_factory=Statistics)
    problem: str | None = None


def scan(path: str, limit: int | None = None, labels: Sequence[str] = ()) -> FileScan:
    """Read a file's records, all or the first `limit`; count the classes of its labels.

    `labels` are the features that may hold a label, as a `Folder` gives them. A damaged file does
    not raise: the result covers the records before the damage and names the problem.
    """
    stamp = storage.stamp(path)  # None for a broken link
    empty = FileScan(os.path.basename(path), split_of(path), 0, stamp.size if stamp else 0)
    features: dict[str, FeatureScan] = {}
    statistics = Statistics()
    number, problem = 0, None
    try:
        for record in tfrecord.read(path):
            if number == limit:
                break
            with tfrecord.located(path, record):
                values = example.parse(record.data)
            for name, value in values.items():
                feature = _feature(value)
                features[name] = features[name] + feature if name in features else feature
            statistics += count(label(values, labels))
            number += 1
    except DataError as error:
        problem = str(error)
    return replace(empty, records=number, features=features, statistics=statistics, problem=problem)


def _feature(value: Parsed) -> FeatureScan:
    size = 0 if value is None else len(value)
    lengths = [len(item) for item in value] if isinstance(value, list) and value else [0]
    return FeatureScan(kind(value), 1, (size, size), (min(lengths), max(lengths)))


def _scan_task(path: str, advance: Advance, *, labels: Sequence[str]) -> FileScan:
    scanned = scan(path, labels=labels)
    advance(1, scanned.bytes)
    return scanned


def scan_all(paths: Sequence[str], labels: Sequence[str], engine: Engine) -> list[FileScan]:
    """Scan whole files."""
    work = functools.partial(_scan_task, labels=labels)
    return engine.map(Job(paths, work, len(paths), "reading", unit="files"))


def describe(value: Parsed) -> Any:
    """Return a feature's value as short JSON to show."""
    if value is None:
        return None
    if not isinstance(value, list):
        # JSON has neither NaN nor infinity.
        numbers = value.tolist() if len(value) <= _FEW else [value.min().item(), value.max().item()]
        numbers = [number if math.isfinite(number) else str(number) for number in numbers]
        if len(value) > _FEW:
            return {"values": len(value), "min": numbers[0], "max": numbers[1]}
        return numbers[0] if len(numbers) == 1 else numbers
    shown = [_describe_bytes(item) for item in value[:_FEW]]
    if len(value) > _FEW:
        return {"values": len(value), "first": shown}
    return shown[0] if len(shown) == 1 else shown


def _describe_bytes(item: bytes) -> Any:
    from dsbuild import images  # here: a finished folder is shown without it

    try:
        head = images.header(item)
    except ImageError:
        head = None
    if head is not None:
        return {
            "format": head.format,
            "width": head.width,
            "height": head.height,
            "model": head.model,
            "bits": head.bits,
            "bytes": len(item),
        }
    try:
        text = item.decode()
    except UnicodeDecodeError:
        text = None
    if text is not None and text.isprintable() and len(text) <= 200:
        return text
    return {"bytes": len(item), "starts": item[:16].hex(" ")}
