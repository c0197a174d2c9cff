"""The frames of a TFRecord file, read on past damage: each is whole, or says what is wrong."""

import struct
from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple

from dsbuild.tfrecord import FRAMING, masked_crc

_HEAD = struct.Struct("<QI")
# protobuf reads no message of 2 GiB or more; nothing larger is taken into memory.
_LARGEST = (1 << 31) - 1


class Frame(NamedTuple):
    """A frame: its number, first byte and data; or no data, and what is wrong with it."""

    number: int
    offset: int
    data: bytes | None
    problem: str = ""


def frames(
    file: BinaryIO, size: int, offsets: Sequence[int] = (), start: tuple[int, int] = (0, 0)
) -> Iterator[Frame]:
    """Yield the frames of an open file up to a size, both checksums of each checked.

    No length is trusted before it was checked against what is left. After a frame whose
    length is damaged reading goes on at the next of `offsets`, which an index gives;
    without one it ends there. `start` is the number of the first frame and its first byte,
    where the file stands and `offsets` begin.
    """
    number, offset = start
    while offset < size:
        frame, end = _frame(file, size, offset, number)
        yield frame
        number += 1
        if end is None:
            later = [(n, at) for n, at in enumerate(offsets, start[0]) if offset < at < size]
            if not later:
                return
            number, end = later[0]
            file.seek(end)
        offset = end


def _frame(file: BinaryIO, size: int, offset: int, number: int) -> tuple[Frame, int | None]:
    """Return the frame at an offset, and where it ends, or None where that is not known."""

    def damaged(problem: str) -> Frame:
        return Frame(number, offset, None, problem)

    head = file.read(12)
    if len(head) < 12:
        return damaged(
            f"found {len(head)} bytes, expected a frame's 12-byte header: the file is cut"
        ), None
    length, crc = _HEAD.unpack(head)
    if masked_crc(head[:8]) != crc:
        if head.startswith(b"\x1f\x8b\x08"):
            return damaged("found gzip; unpack the file first (gunzip)"), None
        return damaged("the checksum of the record's length is wrong"), None
    left = size - offset - FRAMING
    if length > left:
        return damaged(
            f"found a record of {length:,} bytes, but only {max(left, 0):,} are left: the file is "
            "cut"
        ), None
    end = offset + length + FRAMING
    if length > _LARGEST:
        file.seek(end)
        return damaged(f"found a record of {length:,} bytes, which protobuf does not read"), end
    data = file.read(length)
    tail = file.read(4)
    if len(data) + len(tail) < length + 4:
        return damaged("the file shrank while it was read"), None
    if masked_crc(data) != int.from_bytes(tail, "little"):
        return damaged(f"the checksum of the record's {length:,} bytes is wrong"), end
    return Frame(number, offset, data), end
