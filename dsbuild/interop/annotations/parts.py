"""What was written of each shard: the files of its records, and their pieces, one line per record.

    OUT/.dsbuild/annotations/<shard>.rows     the first line says what the others were made from
    OUT/.dsbuild/annotations/<shard>.<i>.begun files of a shard that is not complete
    OUT/.dsbuild/annotations/whole.json       the files about all records

A file of rows appears when all files of its shard are written, so a shard with one is complete.
What was written of another one is removed by the next export, whatever that is.
"""

import itertools
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from dsbuild import storage
from dsbuild.errors import DataError, ShardError
from dsbuild.format import manifest, names
from dsbuild.format.names import ANNOTATED
from dsbuild.interop.annotations.base import Row
from dsbuild.storage import spool

_WHOLE = "whole.json"
_ENDING = ".rows"
_BEGUN = ".begun"
_CHUNK = 1 << 16  # lines of a file are read in such parts


def folder(out: str) -> str:
    """Return the folder of rows in a target."""
    return names.state(out, ANNOTATED)


def path(out: str, shard: str) -> str:
    """Return the path of the rows of a shard."""
    return storage.join(folder(out), f"{shard}{_ENDING}")


def line(row: Row, files: Mapping[str, bytes], facts: Mapping[str, int]) -> bytes:
    """Return the line of a record with its files."""
    stamps = [[path, len(data), zlib.crc32(data)] for path, data in files.items()]
    head = [row.split, row.key, row.image, *row.size, row.labelled, stamps, dict(facts), row.piece]
    return json.dumps(head, separators=(",", ":")).encode() + b"\n"


@dataclass(frozen=True)
class Written:
    """A row with the files that were written for it: path, size, crc32; and facts."""

    row: Row
    files: tuple[tuple[str, int, int], ...]
    facts: Mapping[str, int]


def header(out: str, shard: str) -> dict[str, Any]:
    """Return what a shard's files were made from; nothing if they are not complete."""
    where = path(out, shard)
    if storage.stamp(where) is None:
        return {}
    try:
        found = manifest.parse(next(_lines(where)), where)
    except (DataError, StopIteration):
        return {}
    return found if isinstance(found, dict) else {}


def written(out: str, shard: str) -> Iterator[Written]:
    """Yield what was written of a shard, in order."""
    lines = _lines(path(out, shard))
    next(lines, None)
    for text in lines:
        split, key, image, height, width, labelled, files, facts, piece = json.loads(text)
        row = Row(split, key, image, (height, width), labelled, piece)
        yield Written(row, tuple(map(tuple, files)), facts)


@dataclass(frozen=True)
class Parts:
    """The rows of all shards of a target: split and name of each, in order."""

    out: str
    shards: tuple[tuple[str, str], ...]

    def __call__(self, split: str | None = None) -> Iterator[Row]:
        """Yield the rows of a split, or of all."""
        for of_split, shard in self.shards:
            if split in (None, of_split):
                yield from (one.row for one in written(self.out, shard))


def splits(out: str) -> set[str]:
    """Return the splits that a target holds records of."""
    names = [name for name in storage.names(folder(out)) if name.endswith(_ENDING)]
    firsts = (next(written(out, name.removesuffix(_ENDING)), None) for name in names)
    return {first.row.split for first in firsts if first}


def clash(parts: Parts) -> None:
    """Raise ShardError if records of several splits are one file, but with other bytes."""
    files = (
        (path, size, crc, one.row.split, one.row.key)
        for _, shard in parts.shards
        for one in written(parts.out, shard)
        for path, size, crc in one.files
    )
    for one, other in itertools.pairwise(spool.ordered(files, key=itemgetter(0))):
        if one[0] == other[0] and one[1:3] != other[1:3]:
            raise ShardError(
                f"{one[4]!r} of {one[3]} and {other[4]!r} of {other[3]} differ, and both would be "
                f"{one[0]}, which has no folders of splits; export the splits to folders of their "
                "own, or choose another target"
            )


def stale(out: str, keep: Iterable[str]) -> None:
    """Remove shards that are not among those to keep, and the files about all records.

    Files of shards that were not completed are removed, too.
    """
    for name in storage.names(folder(out)):
        if name.endswith(_BEGUN):
            _remove_listed(out, storage.join(folder(out), name))
    there = {name.removesuffix(_ENDING) for name in storage.names(folder(out))}
    for shard in sorted(there - {*keep, _WHOLE}):
        remove(out, shard)
    where = storage.join(folder(out), _WHOLE)
    if storage.stamp(where):
        _remove_listed(out, where)
    announce(out, ())


def _remove_listed(out: str, where: str) -> None:
    """Remove the files that a list names, then the list."""
    found = manifest.parse(storage.read(where)[0], where)
    storage.remove(*(storage.join(out, name) for name in found))
    storage.remove(where)


def announce_batch(out: str, shard: str, number: int, names: Iterable[str]) -> None:
    """Note files of a shard before they are written."""
    storage.write(_batch(out, shard, number), manifest.dump([*names]).encode())


def complete(out: str, shard: str, batches: int) -> None:
    """Remove the notes on files of a shard that is complete."""
    storage.remove(*(_batch(out, shard, number) for number in range(batches)))


def _batch(out: str, shard: str, number: int) -> str:
    return storage.join(folder(out), f"{shard}.{number}{_BEGUN}")


def remove(out: str, shard: str) -> None:
    """Remove the files of a shard, then its rows."""
    for one in written(out, shard) if storage.stamp(path(out, shard)) else ():
        storage.remove(*(storage.join(out, name) for name, *_ in one.files))
    storage.remove(path(out, shard))


def begin(out: str) -> None:
    """Make the folder of rows, by which a later export knows that OUT is one."""
    if not storage.is_folder(folder(out)):
        announce(out, ())


def announce(out: str, names: Iterable[str]) -> None:
    """Note the files about all records before they are written."""
    storage.write(storage.join(folder(out), _WHOLE), manifest.dump([*names]).encode())


def intact(out: str, shard: str) -> bool:
    """Tell whether all files of a shard are as they were written."""
    for one in written(out, shard):
        for name, size, crc in one.files:
            where = storage.join(out, name)
            stamp = storage.stamp(where)
            if stamp is None or stamp.size != size or zlib.crc32(storage.read(where)[0]) != crc:
                return False
    return True


def _lines(where: str) -> Iterator[bytes]:
    with storage.reading(where) as (file, _):
        rest = b""
        while data := file.read(_CHUNK):
            *lines, rest = (rest + data).split(b"\n")
            yield from lines
        if rest:
            yield rest
