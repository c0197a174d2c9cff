"""TFRecord files in chunks, the tasks of any engine."""

import os
from dataclasses import dataclass

from dsbuild import storage
from dsbuild.engines import Advance
from dsbuild.errors import DataError
from dsbuild.format import tfrecord
from dsbuild.format.folder import split_of
from dsbuild.format.index import offsets
from dsbuild.inspect.counts import Accumulated, Counts, Names, of_record, total

_FAR = 1 << 63  # an offset that no system can seek to


@dataclass(frozen=True)
class Chunk:
    """Some consecutive records of a file.

    Attributes:
      path: of the file.
      first, start: number of the first record, and the byte at which it begins.
      stop: the byte at which the next chunk begins; None for the end of the file.
      offsets: of the records; empty without an index.
    """

    path: str
    first: int = 0
    start: int = 0
    stop: int | None = None
    offsets: tuple[int, ...] = ()


def divide(path: str, records: int = 64) -> list[Chunk]:
    """Return chunks of so many records that together are a file; one chunk without an index."""
    begins = offsets(*os.path.split(path))
    if begins[:1] != (0,) or sorted(set(begins)) != list(begins) or begins[-1] >= _FAR:
        return [Chunk(path)]
    starts = range(0, len(begins), records)
    parts = [begins[at : at + records] for at in starts]
    stops = [*(part[0] for part in parts[1:]), None]
    return [
        Chunk(path, at, part[0], stop, part)
        for at, part, stop in zip(starts, parts, stops, strict=True)
    ]


def of_chunk(chunk: Chunk, advance: Advance, *, names: Names) -> Accumulated:
    """Return what the records of a chunk add; no content of a file raises."""
    file = os.path.basename(chunk.path)
    parts = [Accumulated({split_of(file): Counts()})]
    left = set(range(chunk.first, chunk.first + len(chunk.offsets)))
    try:
        with storage.reading(chunk.path) as (opened, size):
            opened.seek(chunk.start)
            start = chunk.first, chunk.start
            for frame in tfrecord.frames(opened, size, chunk.offsets, start, chunk.stop):
                left.discard(frame.number)
                if frame.problem:
                    fault = f"at byte {frame.offset}: {frame.problem}"
                    parts.append(Accumulated(faults={(file, frame.number): fault}))
                else:
                    parts.append(of_record(file, frame.number, frame.data, names))
                    advance(len(frame.data), len(frame.data))
        gone = "the index lists this record, but the file ends before it"
        parts.append(Accumulated(faults={(file, number): gone for number in left}))
    except DataError as error:
        parts.append(Accumulated(faults={(file, -1): str(error)}))
    return total(parts)
