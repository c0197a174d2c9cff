"""One TFRecord file, read once and checked as deep as asked."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from dsbuild import storage, tfrecord, wire
from dsbuild.errors import DsbuildError, ShardError
from dsbuild.example import Rejected, encode
from dsbuild.job import Advance
from dsbuild.layouts import Sample
from dsbuild.problems import Problem
from dsbuild.recipe import Recipe
from dsbuild.schema import Schema
from dsbuild.tfrecord import Record
from dsbuild.validate import pixels, records

LEVELS = ("frames", "records", "pixels", "source")
_MOST = 1000  # problems of one file that are kept; the rest is counted
_AGAIN = 50  # of so many records the extras of one are computed again


@dataclass(frozen=True)
class Task:
    """A file, and what is known of it.

    Attributes:
      path: of the file.
      samples: of its records in order, where a plan says so.
      offsets: of its records, where an index says so.
    """

    path: str
    samples: tuple[Sample, ...] | None = None
    offsets: tuple[int, ...] = ()


@dataclass(frozen=True)
class Rules:
    """What all files of a folder are held against.

    Attributes:
      level: of `LEVELS`.
      schema: of the records.
      closed: whether features that the schema does not know are wrong.
      expected: what is known of pixels.
      source: root and recipe, where records are held against their sources.
    """

    level: str
    schema: Schema
    closed: bool = False
    expected: pixels.Expected = field(default_factory=pixels.Expected)
    source: tuple[str, Recipe] | None = None


@dataclass
class Checked:
    """What reading a file showed.

    Attributes:
      path, bytes, records: which file, how large, how many whole records.
      sha256: of the whole file, empty at level `frames`.
      problems: the first `_MOST`, and how many `more`.
      index: (offset, size) of every whole record, int64 (n, 2).
      keys, images: 64-bit digests of key and image of every record, uint64 (n,).
      values: the label values that occur.
    """

    path: str
    bytes: int = 0
    records: int = 0
    sha256: str = ""
    problems: list[Problem] = field(default_factory=list)
    more: int = 0
    index: np.ndarray = field(default_factory=lambda: np.empty((0, 2), np.int64))
    keys: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint64))
    images: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint64))
    values: set[int] = field(default_factory=set)

    def add(self, kind: str, text: str, record: Record | None = None, key: str = "") -> None:
        """Note a problem of the file, or of one of its records."""
        if len(self.problems) >= _MOST:
            self.more += 1
            return
        place = (record.number, record.offset) if record else (None, None)
        self.problems.append(Problem(kind, self.path, text, *place, key))


def digest(data: bytes) -> int:
    """Return 64 bits by which equal content is found."""
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


def check(task: Task, advance: Advance, *, rules: Rules) -> Checked:
    """Read a file once and check it; no content of it raises."""
    checked = Checked(task.path)
    index, keys, hashes = [], [], []
    try:
        with storage.reading(task.path) as (file, size):
            checked.bytes = size
            for record in tfrecord.frames(file, size, task.offsets):
                if record.problem:
                    checked.add("frame", record.problem, record)
                    continue
                checked.records += 1
                index.append((record.offset, len(record.data) + tfrecord.FRAMING))
                if rules.level != "frames":
                    key, image = _record(record, task, rules, checked)
                    keys.append(digest(key.encode(errors="surrogateescape")))
                    hashes.append(digest(image))
                advance(len(record.data), len(record.data))
        if rules.level != "frames":
            checked.sha256, _ = storage.sha256(task.path)
    except DsbuildError as error:
        checked.add("missing", str(error).removeprefix(f"{task.path}: "))
    checked.index = np.array(index, np.int64).reshape(-1, 2)
    checked.keys, checked.images = np.array(keys, np.uint64), np.array(hashes, np.uint64)
    return checked


def _record(record: Record, task: Task, rules: Rules, checked: Checked) -> tuple[str, bytes]:
    """Check one record; return its key and image, empty where it has none."""
    try:
        named = wire.parse(record.data)
    except ShardError as error:
        checked.add("example", str(error), record)
        return "", b""
    values = {f.role: named[f.name] for f in rules.schema.features if f.name in named}
    key = _first(values.get("key")).decode(errors="surrogateescape")
    for text in records.problems(named, rules.schema, rules.closed):
        checked.add("feature", text, record, key)
    if task.samples is not None:
        known = record.number < len(task.samples)
        planned = task.samples[record.number] if known else None
        if planned is None or planned.key != key:
            text = "nothing" if planned is None else repr(planned.key)
            checked.add("order", f"found {key!r}, expected {text} by the plan", record, key)
        elif rules.source:
            for text in _of_source(planned, record.data, named, *rules.source):
                checked.add("source", text, record, key)
    if rules.level in ("pixels", "source"):
        again = record.number % _AGAIN == 0
        for kind, text in pixels.problems(values, rules.expected, checked.values, again):
            checked.add(kind, text, record, key)
    return key, _first(values.get("image"))


def _of_source(
    sample: Sample, record: bytes, named: Mapping[str, wire.Parsed], root: str, recipe: Recipe
) -> Iterator[str]:
    """Yield how a record differs from what its sources give now."""
    try:
        again = encode(sample, root, recipe).record
    except Rejected as error:
        yield f"its sources can no longer be built: {error}"
        return
    if again == record:
        return
    others = wire.parse(again)
    for name in sorted({*named, *others}):
        one, other = named.get(name), others.get(name)
        if not np.array_equal(one, other) if isinstance(one, np.ndarray) else one != other:
            yield f"feature {name!r} differs from what its sources in {root} give"


def _first(value: wire.Parsed) -> bytes:
    return value[0] if isinstance(value, list) and value else b""


def same(digests: Sequence[np.ndarray]) -> list[list[tuple[int, int]]]:
    """Return groups of places (file, record) whose digests are equal, in order."""
    files = np.repeat(np.arange(len(digests)), [len(one) for one in digests])
    numbers = np.concatenate([np.arange(len(one)) for one in digests]) if digests else files
    whole = np.concatenate(digests) if digests else np.empty(0, np.uint64)
    order = np.argsort(whole, kind="stable")
    ranked = whole[order]
    again = np.flatnonzero(ranked[1:] == ranked[:-1])
    groups: dict[int, list[tuple[int, int]]] = {}
    for at in sorted({*again, *(again + 1)}):
        place = order[at]
        groups.setdefault(int(ranked[at]), []).append((int(files[place]), int(numbers[place])))
    return sorted(groups.values())
