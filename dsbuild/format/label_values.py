"""Which label values occur in which records, without decoding a label.

    index/<shard>.values      a line a record: its values, ascending, such as `0 15 255`

A record without label has an empty line. A list is believed by its sha256 in the manifest alone;
labels of files that have none are decoded.
"""

import functools
import hashlib
import operator
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dsbuild import images, storage
from dsbuild.engines import cores
from dsbuild.errors import ImageError, PlanError, ShardError
from dsbuild.format import example, manifest, scan, tfrecord
from dsbuild.storage import Stamp, safe_text

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
        """Return which records have one of some classes, or several: bool (records,)."""
        found = np.cumsum(np.isin(self.values, classes))
        before = np.concatenate(([0], found))[self.starts]
        return before[1:] > before[:-1]

    def matrix(self, classes: int) -> np.ndarray:
        """Return which of the first `classes` classes each record has: bool (records, classes)."""
        made = np.zeros((len(self), classes), bool)
        rows = np.repeat(np.arange(len(self)), np.diff(self.starts))
        known = (self.values >= 0) & (self.values < classes)
        made[rows[known], self.values[known]] = True
        return made


def line(values: Iterable[int]) -> str:
    """Return the line of a record in the list of its shard.

    >>> line({15, 255, 0})
    '0 15 255\\n'
    """
    return " ".join(map(str, sorted(values))) + "\n"


def parse(text: bytes) -> Presence:
    """Return what a list says, as `line` writes it; raise ShardError for anything else."""
    data = np.frombuffer(text, np.uint8)
    inside = data > ord(" ")
    begun = np.cumsum(inside & np.diff(inside, prepend=False))
    starts = np.concatenate(([0], begun[data == ord("\n")]))
    # Of nothing but white space NumPy reads a 0.
    try:
        values = np.fromstring(text, np.int64, sep=" ") if inside.any() else np.empty(0, np.int64)
    except ValueError:
        values = None
    if values is None or len(values) != starts[-1] or text[-1:] not in (b"", b"\n"):
        raise ShardError("found no list of label values, a line of numbers for each record")
    signed = values.min(initial=0) < 0  # a class that others wrote
    kind = np.int64 if signed else np.min_scalar_type(values.max(initial=0))
    return Presence(starts, values.astype(kind))


def of(paths: Sequence[str], counts: Sequence[int], picks: Sequence[int]) -> Presence:
    """Return which values occur in the records of some files, of `counts` records each.

    Files that have none of `picks`, numbers of records over all files, are not looked at: their
    records have no value. Warns where labels have to be decoded, which is done once a process;
    raises ShardError for one that cannot be.
    """
    files = np.searchsorted(np.cumsum(counts), np.asarray(picks, np.int64), "right")
    asked = [paths[i] for i in np.unique(files)]
    found = dict(_kept(asked))
    rest = [path for path in asked if path not in found]
    if rest:
        first = safe_text.text(rest[0])
        warnings.warn(
            f"{first}{f' and {len(rest) - 1} more' if len(rest) > 1 else ''}: found no "
            "list of label values that the manifest knows, so all labels are decoded, once in this "
            "process, which takes a while; build the folder again with this version of dsbuild "
            "(--overwrite) and without --verify header, or repair it",
            stacklevel=3,
        )
    parts = []
    for path, count in zip(paths, counts, strict=True):
        if path in found:
            part = found[path]
        elif path in rest:
            part = _decoded(path, storage.stamp(path))
        else:
            part = Presence(np.zeros(count + 1, np.int64), np.empty(0, np.uint8))
        if len(part) != count:
            raise ShardError(
                f"{path}: found {len(part):,} records, expected {count:,}; validate it"
            )
        parts.append(part)
    return _joined(parts)


def _joined(parts: Sequence[Presence]) -> Presence:
    if not parts:
        return parse(b"")
    lengths = [np.diff(part.starts) for part in parts]
    starts = np.concatenate(([0], np.cumsum(np.concatenate(lengths))))
    return Presence(starts, np.concatenate([part.values for part in parts]))


def _kept(paths: Sequence[str]) -> Iterator[tuple[str, Presence]]:
    """Yield the path of each file whose list is there and what it was, with what it says."""
    digests: dict[tuple[str, str], str] = {}  # (folder, name) -> sha256
    for home in dict.fromkeys(os.path.dirname(path) for path in paths):
        known = manifest.load(home) or {}
        shards = (one for entry in known.get("splits", {}).values() for one in entry["shards"])
        digests |= {(home, one["name"]): one.get("values", "") for one in shards}
    places = {path: os.path.split(path) for path in paths}
    lists = {manifest.values_path(*at): path for path, at in places.items() if digests.get(at)}
    stamps = zip(lists, storage.stamps(lists), strict=True)
    there = [path for path, stamp in stamps if stamp]
    with storage.ahead(there) as read:
        for path in there:
            text = read(path)[0]
            if hashlib.sha256(text).hexdigest() == digests[places[lists[path]]]:
                try:
                    yield lists[path], parse(text)
                except ShardError as error:
                    raise ShardError(f"{path}: {error}; repair the folder") from error


@functools.lru_cache(1 << 12)
def _decoded(path: str, stamp: Stamp | None) -> Presence:
    """Return what the labels of a file hold; by its stamp, since files change."""
    if stamp is None:
        raise ShardError(f"{path}: there is no such file; build or fetch it again")
    return parse(lines(path, scan.labels_of(os.path.dirname(path))))


def lines(path: str, labels: Sequence[str]) -> bytes:
    """Return the list of the label values of a file's records, from its labels themselves."""
    from concurrent.futures import ThreadPoolExecutor  # here, since builds need no threads

    places = [(i, begin) for i, (begin, _) in enumerate(scan.bounds(path) or tfrecord.walk(path))]
    chunks = [places[i : i + _CHUNK] for i in range(0, len(places), _CHUNK)]
    with ThreadPoolExecutor(cores()) as pool:
        return "".join(pool.map(functools.partial(_lines, path, labels), chunks)).encode()


def _lines(path: str, labels: Sequence[str], places: Sequence[tuple[int, int]]) -> str:
    lines = []
    for record in tfrecord.at(path, places):
        with tfrecord.located(path, record):
            lines.append(line(_values(example.parse(record.data), labels)))
    return "".join(lines)


def _values(values: Mapping[str, example.Parsed], labels: Sequence[str]) -> Iterable[int]:
    """Return the values of a record's label, the first of its features `labels` that it has."""
    for name in labels:
        value = values.get(name)
        if scan.kind(value) == "int64" and len(value) == 1:
            return [int(value[0])]
        if scan.kind(value) == "bytes" and example.first(value):
            try:
                return images.histogram(images.plane(value[0]))
            except ImageError as error:
                raise ShardError(f"label: {error}") from error
    return ()


def indices(
    wanted: Iterable[str | int], names: Sequence[str], ignore: int | None
) -> tuple[int, ...]:
    """Return the indices of classes that are given by name or by index.

    Raises PlanError for a name that is none of `names`, for an index that is none or is the
    ignore value, and for nothing at all.
    """
    wanted = (wanted,) if isinstance(wanted, str) else tuple(wanted)
    if not wanted:
        raise PlanError("classes: found none, expected names or indices of one class or several")
    return tuple(index for one in wanted for index in _indices(one, names, ignore))


def _indices(one: str | int, names: Sequence[str], ignore: int | None) -> list[int]:
    if isinstance(one, str):
        if not names:
            raise PlanError(f"class {one!r}: no manifest has names here, expected an index")
        found = [i for i, name in enumerate(names) if name == one]
        if not found:
            import difflib  # here, since it is needed where something is wrong

            close = "".join(f"; {name!r}?" for name in difflib.get_close_matches(one, names, 1))
            raise PlanError(f"class {one!r}: there is none{close}; there are {', '.join(names)}")
        return found
    try:
        index = operator.index(one)
    except TypeError:
        raise PlanError(f"class {one!r}: expected a name or an index") from None
    if index == ignore:
        raise PlanError(f"class {index}: it is the ignore value, which is no class")
    if index < 0 or (names and index >= len(names)):
        expected = f"0 to {len(names) - 1}" if names else "0 or more"
        raise PlanError(f"class {index}: there is none, expected {expected}, or a name")
    return [index]
