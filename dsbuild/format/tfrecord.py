"""TFRecord files: frames with checksums, written and read without TensorFlow.

A file is a sequence of frames: `<Q length`, `<I masked crc32c of the length`, the
data, `<I masked crc32c of the data`, all little-endian.

Source: tensorflow/core/lib/io/record_writer.cc.
"""

import contextlib
import io
import itertools
import os
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO, NamedTuple

import google_crc32c

from dsbuild import storage
from dsbuild.errors import ShardError

FRAMING = 16  # bytes that a frame adds to its data
_HEAD = struct.Struct("<QI")
_UNPACK = {
    "gzip": "gunzip -c FILE > OTHER",
    "zlib": 'python -c "import sys, zlib; '
    'sys.stdout.buffer.write(zlib.decompress(sys.stdin.buffer.read()))" < FILE > OTHER',
}
# protobuf reads no message of 2 GiB or more; nothing larger is taken into memory.
_LARGEST = (1 << 31) - 1


class Record(NamedTuple):
    """One record of a file: its number, its frame's byte offset, its data.

    Where its frame is damaged it has no data, but the problem.
    """

    number: int
    offset: int
    data: bytes
    problem: str = ""


def masked_crc(data: bytes) -> int:
    """Return TFRecord's masked crc32c (Castagnoli) of data."""
    crc = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


class Writer:
    """Frame records into a binary file, and keep what is to be said of it.

    Attributes: `size` in bytes, `sha256` a running hash, `index` a list of (offset,
    size) with the frame's 16 bytes included.
    """

    def __init__(self, file: BinaryIO):
        import hashlib

        self._file = file
        self.size = 0
        self.sha256 = hashlib.sha256()
        self.index: list[tuple[int, int]] = []

    def write(self, data: bytes) -> None:
        """Append one record."""
        length = struct.pack("<Q", len(data))
        head = length + struct.pack("<I", masked_crc(length))
        tail = struct.pack("<I", masked_crc(data))
        for part in (head, data, tail):
            self._file.write(part)
            self.sha256.update(part)
        self.index.append((self.size, len(data) + FRAMING))
        self.size += len(data) + FRAMING

    def append(self, frames: BinaryIO, offsets: Iterable[int]) -> None:
        """Append a whole file of frames, which begin at offsets: TFRecords concatenate."""
        begin = self.size
        while part := frames.read(1 << 20):
            self._file.write(part)
            self.sha256.update(part)
            self.size += len(part)
        places = [*(begin + offset for offset in offsets), self.size]
        self.index += [(one, other - one) for one, other in itertools.pairwise(places)]


def read(path: str) -> Iterator[Record]:
    """Yield the records of a TFRecord file, both checksums of each checked.

    Raises ShardError with file, record number and byte offset at the first frame that is
    cut or damaged. An empty file is valid and has no records.
    """
    with storage.reading(path) as (file, size):
        for record in frames(file, size):
            yield whole(record, path)


def at(path: str, places: Iterable[tuple[int, int]]) -> Iterator[Record]:
    """Yield the records at (number, byte offset) of a file, both checksums of each checked.

    Raises ShardError as `read` does.
    """
    for record in each(path, places):
        yield whole(record, path)


def each(path: str, places: Iterable[tuple[int, int]]) -> Iterator[Record]:
    """Yield the records at (number, byte offset) of a file; damaged ones have a problem."""
    with storage.reading(path) as (file, size):
        for number, offset in places:
            file.seek(offset)
            data, problem, _ = _frame(file, size - offset, offset)
            yield Record(number, offset, data, problem)


def one(path: str, number: int, offset: int, size: int, check: bool = True) -> Record:
    """Return a record of which an index tells the offset and the size, its frame included.

    Raises ShardError as `read` does; without `check` only where the file ends too soon.
    """
    frame = storage.read_part(path, offset, size)
    if not check and len(frame) == size:
        return Record(number, offset, frame[12:-4])
    data, problem, length = _frame(io.BytesIO(frame), size, offset)
    if not problem and length != size:
        problem = f"found a record of {length:,} bytes, expected {size:,} by the index; repair it"
    return whole(Record(number, offset, data, problem), path)


def length(path: str, offset: int) -> int | None:
    """Return how long the frame at an offset says that it is, or None where there is none."""
    return _length(storage.read_part(path, offset, 12))


def _length(head: bytes) -> int | None:
    """Return how long a frame is by its header, or None where that is cut or damaged."""
    if len(head) < 12 or masked_crc(head[:8]) != _HEAD.unpack(head)[1]:
        return None
    return _HEAD.unpack(head)[0] + FRAMING


def walk(path: str) -> list[tuple[int, int]]:
    """Return offset and size of every frame of a file, by their lengths alone.

    Raises ShardError where a length is damaged, or the file ends within a frame.
    """
    found, offset = [], 0
    with storage.reading(path) as (file, size):
        while offset < size:
            head = file.read(12)
            frame = _length(head)
            if frame is None or frame > size - offset:
                _, problem, _ = _frame(io.BytesIO(head), size - offset, offset)
                whole(Record(len(found), offset, b"", problem), path)
            found.append((offset, frame))
            offset += frame
            file.seek(offset)
    return found


@contextlib.contextmanager
def located(path: str, record: Record) -> Iterator[None]:
    """Say file, record number and byte offset before what a ShardError says of a record's data."""
    try:
        yield
    except ShardError as error:
        raise ShardError(f"{_place(path, record)}: {error}") from error


def _place(path: str, record: Record) -> str:
    return f"{path}: record {record.number} at byte {record.offset}"


def whole(record: Record, path: str) -> Record:
    """Return a record; raise ShardError with file, record number and offset if it is damaged."""
    if record.problem:
        raise ShardError(f"{_place(path, record)}: {record.problem}")
    return record


def frames(
    file: BinaryIO, size: int, offsets: Sequence[int] = (), start: tuple[int, int] = (0, 0)
) -> Iterator[Record]:
    """Yield the records of an open file up to a size, past damaged ones, which have a problem.

    No length is trusted before it was checked against what is left of the file. After a
    frame whose length is damaged reading goes on at the next of `offsets`, which an index
    gives; without one it ends there. `start` is the number of the first record and its first
    byte, where the file stands and `offsets` begin.
    """
    number, offset = start
    while offset < size:
        data, problem, length = _frame(file, size - offset, offset)
        yield Record(number, offset, data, problem)
        number += 1
        if length is not None:
            offset += length
            continue
        later = [(n, at) for n, at in enumerate(offsets, start[0]) if offset < at < size]
        if not later:
            return
        number, offset = later[0]
        file.seek(offset)


def _packed(head: bytes) -> str | None:
    """Return as what a file was compressed, by its first bytes (RFC 1950, RFC 1952), or None."""
    if head.startswith(b"\x1f\x8b\x08"):
        return "gzip"
    # The upper half of a length is zero in every TFRecord that fits into memory.
    zlib = head[0] == 0x78 and int.from_bytes(head[:2]) % 31 == 0 and any(head[4:8])
    return "zlib" if zlib else None


def _frame(file: BinaryIO, left: int, offset: int) -> tuple[bytes, str, int | None]:
    """Read a frame where `left` bytes are left; return data, or a problem, and the frame's size.

    The size is None where it is not known. `offset` is where the file stands.
    """
    # The fast path makes no closure and calls little: a record takes a few microseconds.
    head = file.read(12)
    if len(head) < 12:
        problem = (
            f"found {len(head)} bytes, expected a frame's 12-byte header: the file is cut; build "
            "or fetch it again"
        )
        return b"", problem, None
    length, crc = _HEAD.unpack(head)
    if masked_crc(head[:8]) != crc:
        packed = _packed(head) if not offset else None
        if packed:
            problem = (
                f"found a {packed}-compressed TFRecord, expected a plain one; decompress it: "
                f"{_UNPACK[packed]}"
            )
            return b"", problem, None
        problem = (
            "the checksum of the record's length is wrong: this is no TFRecord file, or it is "
            "damaged here; build or fetch it again"
        )
        return b"", problem, None
    size = length + FRAMING
    if size > left:
        problem = (
            f"found a record of {length:,} bytes, but only {max(left - FRAMING, 0):,} are left: "
            "the file is cut; build or fetch it again"
        )
        return b"", problem, None
    if length > _LARGEST:
        file.seek(length + 4, os.SEEK_CUR)
        problem = f"found a record of {length:,} bytes, which protobuf does not read"
        return b"", f"{problem}; build it again", size
    data = file.read(length)
    tail = file.read(4)
    if len(data) + len(tail) < length + 4:
        return b"", "the file shrank while it was read", None
    if masked_crc(data) != int.from_bytes(tail, "little"):
        problem = (
            f"the checksum of the record's {length:,} bytes is wrong: the file is damaged here; "
            "build or fetch it again"
        )
        return b"", problem, size
    return data, "", size
