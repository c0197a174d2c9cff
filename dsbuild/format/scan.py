"""What TFRecord files hold, read without any knowledge of who wrote them."""

import functools
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from dsbuild import storage
from dsbuild.engines import Advance, Engine, Job
from dsbuild.errors import DataError, ImageError, ShardError
from dsbuild.format import manifest, schema, split_names, tfrecord
from dsbuild.format.manifest import Statistics

if TYPE_CHECKING:
    import numpy as np

    from dsbuild.format.example import Parsed

# The endings that people give to single files; shards are known by their names.
_ENDINGS = (".tfrecord", ".tfrecords", ".tfrec", ".record")
# Compressed ones are taken, so that reading names them and they are not passed over.
_PACKED = tuple(f"{ending}.{packed}" for ending in _ENDINGS for packed in ("gz", "gzip", "zlib"))
_FEW = 8  # values of a feature that are shown


@dataclass(frozen=True)
class FeatureScan:
    """One feature over many records: its kind, in how many it is, and its extent.

    Attributes:
      kind: `bytes`, `int64`, `float32`; several joined by `|`; `none` for an empty one.
      records: in how many it occurs.
      values: smallest and largest number of values a record.
      bytes: smallest and largest length of a value, for bytes.
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


def _span(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    return min(one[0], other[0]), max(one[1], other[1])


@dataclass(frozen=True)
class FileScan:
    """One file: records, size in bytes, features by name, label counts, first problem."""

    name: str
    split: str
    records: int
    bytes: int
    features: Mapping[str, FeatureScan] = field(default_factory=dict)
    statistics: Statistics = field(default_factory=Statistics)
    problem: str | None = None


def files(path: str) -> list[str]:
    """Return the TFRecord files that path is or holds; raise ShardError where there is none."""
    if not storage.is_folder(path):
        if storage.stamp(path) is None:
            raise ShardError(f"{path}: there is no such file or folder; name what a build wrote")
        return [path]
    found = [
        storage.join(path, name)
        for name in storage.names(path)
        if not name.startswith(".")
        and (manifest.SHARD.fullmatch(name) or name.endswith(_ENDINGS + _PACKED))
    ]
    if not found:
        raise ShardError(
            f"{path}: found no TFRecord file, expected names such as train-00000-of-00004.tfrecord"
        )
    return found


def split_of(path: str) -> str:
    """Return the split that a file's name tells, or `-`.

    Of `animals-train.tfrecord-00000-of-00001`, as TFDS has it, and of `train.tfrecord`, too.

    >>> [split_of(f"{name}.tfrecord") for name in ("train-00000-of-00001", "train", "x")]
    ['train', 'train', '-']
    """
    name = os.path.basename(path)
    known = manifest.split_of(name)
    whole = known or name
    ending = next((one for one in _ENDINGS if whole.endswith(one)), "")
    if known and not ending:
        return known
    stem = whole.removesuffix(ending)
    last = next((one for one in (stem, *_lasts(stem)) if split_names.role(one)), None)
    return last or known or "-"


def _lasts(name: str) -> list[str]:
    """Return what stands behind a dash, a dot or an underscore, the longest first.

    >>> _lasts("my-animals_train")
    ['animals_train', 'train']
    """
    return [name[match.end() :] for match in re.finditer("[-_.]", name)]


def home(path: str) -> str:
    """Return the folder that a path is, or that its file lies in."""
    return path if storage.is_folder(path) else os.path.dirname(path)


def bounds(path: str) -> list[tuple[int, int]]:
    """Return where each record of a file begins and ends, by its index.

    Nothing where the file or the index is missing, or the index does not fit the file.
    """
    offsets, stamp = manifest.offsets(*os.path.split(path)), storage.stamp(path)
    if stamp is None or offsets[:1] != (0,):
        return []
    found = list(zip(offsets, (*offsets[1:], stamp.size), strict=True))
    begin, end = found[-1]
    # An index of other records is most unlikely to lead to the last one.
    fits = all(a < b for a, b in found) and tfrecord.length(path, begin) == end - begin
    return found if fits else []


def schema_of(folder: str) -> schema.Schema:
    """Return the schema that travels with the data, else DeepLab's keys."""
    path = storage.join(folder, manifest.SCHEMA)
    if storage.stamp(path) is None:
        return schema.load("segmentation")
    return schema.parse(manifest.parse(storage.read(path)[0], path), path)


def schemas_of(folder: str) -> tuple[schema.Schema, ...]:
    """Return the schema that travels with the data, then DeepLab's and TF-slim's."""
    return schema_of(folder), schema.load("segmentation"), schema.load("classification")


def labels_of(folder: str) -> tuple[str, ...]:
    """Return the names of the features that may hold a label: an image of classes, or a class.

    They stand in the order of `schemas_of`.
    """
    schemas = schemas_of(folder)
    roles = [(one, role) for one in schemas for role in ("label", "class") if role in one.roles]
    return tuple(dict.fromkeys(one[role].name for one, role in roles))


def scan(path: str, limit: int | None = None, labels: Sequence[str] = ()) -> FileScan:
    """Read a file's records, all or the first `limit`; count the classes of its labels.

    `labels` are the names of features as `labels_of` gives them. A damaged file does not
    raise: what was read up to there is returned with the problem.
    """
    from dsbuild.format import example

    stamp = storage.stamp(path)  # none for a link that leads nowhere
    found = FileScan(os.path.basename(path), split_of(path), 0, stamp.size if stamp else 0)
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
                seen = _feature(value)
                features[name] = features[name] + seen if name in features else seen
            statistics += count(label(values, labels))
            number += 1
    except DataError as error:
        problem = str(error)
    return replace(found, records=number, features=features, statistics=statistics, problem=problem)


def kind(value: "Parsed") -> str:
    """Return what a parsed feature is: `bytes`, `int64`, `float32`, or `none`."""
    if value is None:
        return "none"
    return "bytes" if isinstance(value, list) else str(value.dtype)


def _feature(value: "Parsed") -> FeatureScan:
    count = 0 if value is None else len(value)
    lengths = [len(item) for item in value] if kind(value) == "bytes" and count else [0]
    return FeatureScan(kind(value), 1, (count,) * 2, (min(lengths), max(lengths)))


def label(values: Mapping[str, "Parsed"], labels: Sequence[str]) -> "int | np.ndarray | None":
    """Return a record's label, the first of its features `labels` that is one, or None.

    A class, or a plane of classes: uint8 (h, w).
    """
    for value in map(values.get, labels):
        if value is None or len(value) != 1:
            continue
        if kind(value) == "int64":
            return int(value[0])
        plane = _plane(value[0]) if kind(value) == "bytes" else None
        if plane is not None:
            return plane
    return None


def _plane(data: bytes) -> "np.ndarray | None":
    from dsbuild import images  # here as below, since no image is decoded to find a file

    try:
        return images.plane(data)
    except ImageError:
        return None


def count(label: "int | np.ndarray | None") -> Statistics:
    """Return what a record's label shows: pixels by value, or a class."""
    from dsbuild import images

    if label is None:
        return Statistics()
    if isinstance(label, int):
        return Statistics(images={label: 1}, labels=1)
    pixels = images.histogram(label)
    return Statistics(pixels, dict.fromkeys(pixels, 1), labels=1)


def _scan_task(path: str, advance: Advance, *, labels: Sequence[str]) -> FileScan:
    found = scan(path, labels=labels)
    advance(1, found.bytes)
    return found


def scan_all(paths: Sequence[str], labels: Sequence[str], engine: Engine) -> list[FileScan]:
    """Scan whole files."""
    work = functools.partial(_scan_task, labels=labels)
    return engine.map(Job(paths, work, len(paths), "reading", unit="files"))


def describe(value: "Parsed") -> Any:
    """Return a feature's value as something to show: short, and JSON."""
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
    from dsbuild import images

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
