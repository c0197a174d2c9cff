"""TFRecord files: frames with checksums, written and read without TensorFlow.

A file is a sequence of frames: `<Q length`, `<I masked crc32c of the length`, the data, `<I masked
crc32c of the data`, all little-endian. Offsets in a compressed file are of decompressed bytes.

Source: tensorflow/core/lib/io/record_writer.cc.
"""

import contextlib
import io
import itertools
import os
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import BinaryIO, NamedTuple

import google_crc32c

from dsbuild import storage
from dsbuild.errors import ShardError
from dsbuild.format import packed

FRAMING = 16  # bytes that a frame adds to its data
_HEAD = struct.Struct("<QI")
_LARGEST = (1 << 31) - 1  # bytes of a message that protobuf reads, and of one taken into memory
_LARGE = packed.LARGEST  # a name that is found faster
_END = "found the end of the compressed file, expected a record"


class Record(NamedTuple):
    """One record of a file: its number, its frame's byte offset, its data.

    If its frame is damaged it has no data but a problem.
    """

    number: int
    offset: int
    data: bytes
    problem: str = ""


def masked_crc(data: bytes) -> int:
    """Return TFRecord's masked crc32c (Castagnoli) of data."""
    crc: int = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def frame(data: bytes) -> tuple[bytes, bytes, bytes]:
    """Return the parts of a record's frame: header, data, checksum."""
    length = struct.pack("<Q", len(data))
    head = length + struct.pack("<I", masked_crc(length))
    return head, data, struct.pack("<I", masked_crc(data))


class Writer:
    """Write framed records to a binary file, tracking its size, sha256 and index.

    Attributes: `size` in bytes, `sha256` a running hash, `index` a list of (offset, size), the
    frame's 16 bytes included.
    """

    def __init__(self, file: BinaryIO) -> None:
        import hashlib

        self._file = file
        self._put: Callable[[bytes], None] = self._take
        self.size = 0
        self.sha256 = hashlib.sha256()
        self.index: list[tuple[int, int]] = []

    def _take(self, data: bytes) -> None:
        self._file.write(data)
        self.sha256.update(data)

    @contextlib.contextmanager
    def behind(self) -> Iterator[None]:
        """In this block a thread writes and hashes records while the caller makes the next ones."""
        try:
            with storage.behind(self._take, self._file) as self._put:
                yield
        finally:
            self._put = self._take

    def write(self, data: bytes) -> None:
        """Append one record."""
        for part in frame(data):
            self._put(part)
        self.index.append((self.size, len(data) + FRAMING))
        self.size += len(data) + FRAMING

    def append(self, frames: BinaryIO, offsets: Iterable[int]) -> None:
        """Append a whole file of frames that begin at offsets: TFRecords can be concatenated."""
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
    with storage.reading(path) as (opened, size):
        file: BinaryIO = opened
        for number, offset in places:
            try:
                file.seek(offset)
                data, problem, _ = _frame(file, size - offset)
                while problem and (stream := packed.opened(file, offset)):
                    file, size = stream, packed.ENDLESS
                    data, problem, _ = _frame(file, size - offset)
            except packed.DamageError as damage:
                data, problem = b"", str(damage)
            yield Record(number, offset, data, problem)


def one(path: str, number: int, offset: int, size: int, check: bool = True) -> Record:
    """Return a record from the offset and size in an index, its frame included.

    Raises ShardError as `read` does; without `check` only if the file ends too soon.
    """
    frame = storage.read_part(path, offset, size)
    return framed(frame, path, number, offset, size, check)


def framed(
    frame: bytes, path: str, number: int, offset: int, size: int, check: bool = True
) -> Record:
    """Return the record of a frame that was read; otherwise like `one`."""
    if len(frame) == size <= _LARGEST:
        data, crc = frame[12:-4], int.from_bytes(frame[-4:], "little")
        if not check or (_length(frame[:12]) == size and masked_crc(data) == crc):
            return Record(number, offset, data)
    data, problem, length = _frame(io.BytesIO(frame), size)  # which says what is wrong
    if not problem and length != size:
        problem = f"found a record of {length:,} bytes, expected {size:,} by the index; repair it"
    return whole(Record(number, offset, data, problem), path)


def length(path: str, offset: int) -> int | None:
    """Return the length of the frame at an offset by its header, or None if there is none."""
    return _length(storage.read_part(path, offset, 12))


def compressed(path: str) -> bool:
    """Return whether a file is compressed, by its first bytes."""
    head = storage.read_part(path, 0, 12)
    return _length(head) is None and packed.kind(head) is not None


def _length(head: bytes) -> int | None:
    """Return the length of a frame by its header, or None if that is cut or damaged."""
    if len(head) < 12:
        return None
    length, crc = _HEAD.unpack(head)
    return int(length) + FRAMING if masked_crc(head[:8]) == crc else None


def walk(path: str) -> list[tuple[int, int]]:
    """Return offset and size of every frame of a file, by lengths alone unless it is compressed.

    Raises ShardError if a length is damaged, or the file ends within a frame.
    """
    found: list[tuple[int, int]] = []
    offset = 0
    with storage.reading(path) as (file, size):
        while offset < size:
            head = file.read(12)
            frame = _length(head)
            if frame is None or frame > size - offset:
                if not offset and compressed(path):
                    return [(one.offset, len(one.data) + FRAMING) for one in read(path)]
                _, problem, _ = _frame(io.BytesIO(head), size - offset)
                raise ShardError(f"{_place(path, len(found), offset)}: {problem}")
            found.append((offset, frame))
            offset += frame
            file.seek(offset)
    return found


@contextlib.contextmanager
def located(path: str, record: Record) -> Iterator[None]:
    """Put file, record number and byte offset before the text of a ShardError about a record."""
    try:
        yield
    except ShardError as error:
        raise ShardError(f"{_place(path, record.number, record.offset)}: {error}") from error


def _place(path: str, number: int, offset: int) -> str:
    return f"{path}: record {number} at byte {offset}"


def whole(record: Record, path: str) -> Record:
    """Return a record; raise ShardError with file, record number and offset if it is damaged."""
    if record.problem:
        raise ShardError(f"{_place(path, record.number, record.offset)}: {record.problem}")
    return record


def frames(
    file: BinaryIO,
    size: int,
    offsets: Sequence[int] = (),
    start: tuple[int, int] = (0, 0),
    stop: int | None = None,
) -> Iterator[Record]:
    """Yield the records of an open file up to its size or `stop`; damaged ones have a problem.

    No length is trusted before it is checked against the rest of the file. After a frame with a
    damaged length, reading continues at the next of `offsets`, which an index gives, or else
    ends. `start` is the number and offset of the first record, where the file is positioned and
    `offsets` begin.
    """
    number, offset = start
    end = size if stop is None else min(stop, size)
    try:
        while offset < end:
            data, problem, length = _frame(file, end - offset)
            if problem:
                if problem is _END:
                    return
                if offset == start[1] and (stream := packed.opened(file, offset)):
                    yield from frames(stream, packed.ENDLESS, offsets, start, stop)
                    return
            yield Record(number, offset, data, problem)
            number += 1
            if length is not None:
                offset += length
                continue
            later = [(n, at) for n, at in enumerate(offsets, start[0]) if offset < at < end]
            if not later:
                return
            number, offset = later[0]
            file.seek(offset)
    except packed.DamageError as damage:
        yield Record(number, offset, b"", str(damage))


def _frame(file: BinaryIO, left: int) -> tuple[bytes, str, int | None]:
    """Read a frame, with `left` bytes left; return data or a problem, and the frame's size.

    The size is None if it is not known.
    """
    head = file.read(12)
    if len(head) < 12:
        if not head and isinstance(file, packed.Stream):
            return b"", _END, None
        problem = f"found {len(head)} bytes, expected a frame's 12-byte header: the file is cut"
        return b"", f"{problem}; build or fetch it again", None
    length, crc = _HEAD.unpack(head)
    if masked_crc(head[:8]) != crc:
        problem = (
            "the checksum of the record's length is wrong: this is not a TFRecord file, or it is "
            "damaged here; build or fetch it again"
        )
        return b"", problem, None
    size = length + FRAMING
    if size > left:
        problem = (
            f"found a record of {length:,} bytes, but only {max(left - FRAMING, 0):,} are left"
        )
        return b"", f"{problem}: the file is cut; build or fetch it again", None
    if length > _LARGE and isinstance(file, packed.Stream):
        return b"", f"found a record of {length:,} bytes, {packed.TOO_LARGE}", None
    if length > _LARGEST:
        file.seek(length + 4, os.SEEK_CUR)
        problem = f"found a record of {length:,} bytes, which protobuf does not read"
        return b"", f"{problem}; build it again", size
    data, tail = file.read(length), file.read(4)
    if len(data) + len(tail) < length + 4:
        inside = isinstance(file, packed.Stream)
        return b"", packed.CUT_INSIDE if inside else "the file shrank while it was read", None
    if masked_crc(data) != int.from_bytes(tail, "little"):
        problem = (
            f"the checksum of the record's {length:,} bytes is wrong: the file is damaged here"
        )
        return b"", f"{problem}; build or fetch it again", size
    return data, "", size
