"""Indexes: where each record of a shard lies.

    index/<shard>.idx      one line per record: `offset size`, the frame's 16 bytes included

The format of DALI's `tfrecord2idx` and of the `tfrecord` package on PyPI.
"""

import os
from collections.abc import Iterable

from dsbuild import storage
from dsbuild.errors import NoFileError
from dsbuild.format import tfrecord
from dsbuild.format.names import index_path


def index_text(places: Iterable[tuple[int, int]]) -> str:
    """Return the index file of a shard from the offset and size of each record."""
    return "".join(f"{offset} {size}\n" for offset, size in places)


def offsets(home: str, name: str) -> tuple[int, ...]:
    """Return where a shard's records begin by its index; nothing if that is missing or damaged."""
    try:
        lines = storage.read(index_path(home, name))[0].decode("ascii").splitlines()
        return tuple(int(offset) for offset, _ in map(str.split, lines))
    except (ValueError, NoFileError):
        return ()


def bounds(path: str, stamp: "storage.Stamp | None" = None) -> list[tuple[int, int]]:
    """Return where each record of a file begins and ends, by its index.

    `stamp` is the file's, if it is known. Returns nothing if the file or the index is missing, or
    the index does not fit the file.
    """
    starts = offsets(*os.path.split(path))
    stamp = stamp or storage.stamp(path)
    if stamp is None or starts[:1] != (0,):
        return []
    places = list(zip(starts, (*starts[1:], stamp.size), strict=True))
    begin, end = places[-1]
    # An index of other records is most unlikely to lead to the last one.
    fits = all(a < b for a, b in places) and tfrecord.length(path, begin) == end - begin
    return places if fits else []
