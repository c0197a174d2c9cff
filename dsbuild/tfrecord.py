"""TFRecord files: frames with checksums, written and read without TensorFlow.

A file is a sequence of frames: `<Q length`, `<I masked crc32c of the length`, the
data, `<I masked crc32c of the data`, all little-endian.

Source: tensorflow/core/lib/io/record_writer.cc.
"""

import hashlib
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO, NamedTuple

import google_crc32c

from dsbuild import storage
from dsbuild.errors import ShardError

FRAMING = 16  # bytes that a frame adds to its data


class Record(NamedTuple):
    """One record of a file: its number, its frame's byte offset, its data."""

    number: int
    offset: int
    data: bytes


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


def index_text(index: Sequence[tuple[int, int]]) -> str:
    """Return the index file of a shard: `offset size` a line.

    The format of DALI's `tfrecord2idx` and of the `tfrecord` package on PyPI.
    """
    return "".join(f"{offset} {size}\n" for offset, size in index)


def read(path: str) -> Iterator[Record]:
    """Yield the records of a TFRecord file, both checksums of each checked.

    Raises ShardError with file, record number and byte offset at the first frame
    that is cut or damaged. No length is trusted before it was checked against what
    is left of the file. An empty file is valid and has no records.
    """
    with storage.reading(path) as (file, size):
        offset = number = 0
        while offset < size:
            yield Record(number, offset, _frame(file, path, number, offset, size))
            offset = file.tell()
            number += 1


def at(path: str, places: Iterable[tuple[int, int]]) -> Iterator[Record]:
    """Yield the records at (number, byte offset) of a file, both checksums of each checked.

    Raises ShardError as `read` does.
    """
    with storage.reading(path) as (file, size):
        for number, offset in places:
            file.seek(offset)
            yield Record(number, offset, _frame(file, path, number, offset, size))


def _frame(file: BinaryIO, path: str, number: int, offset: int, size: int) -> bytes:
    """Return the data of the frame that begins where the file stands."""
    where = f"{path}: record {number} at byte {offset}"
    head = file.read(12)
    if len(head) < 12:
        raise ShardError(
            f"{where}: found {len(head)} bytes, expected a frame's 12-byte header: "
            "the file is cut; build or fetch it again"
        )
    length, crc = struct.unpack("<QI", head)
    if head.startswith(b"\x1f\x8b\x08"):
        raise ShardError(f"{where}: found gzip; unpack the file first (gunzip)")
    if masked_crc(head[:8]) != crc:
        raise ShardError(
            f"{where}: the checksum of the record's length is wrong: this is no "
            "TFRecord file, or it is damaged here; build or fetch it again"
        )
    if length + FRAMING > size - offset:
        raise ShardError(
            f"{where}: found a record of {length:,} bytes, but only "
            f"{max(size - offset - FRAMING, 0):,} are left: the file is cut; "
            "build or fetch it again"
        )
    data = file.read(length)
    tail = file.read(4)
    if len(data) + len(tail) < length + 4:
        raise ShardError(f"{where}: the file shrank while it was read")
    if masked_crc(data) != struct.unpack("<I", tail)[0]:
        raise ShardError(
            f"{where}: the checksum of the record's {length:,} bytes is wrong: the file "
            "is damaged here; build or fetch it again"
        )
    return data
