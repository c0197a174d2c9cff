"""Compressed files of TFRecords, read as a stream of the bytes that were compressed.

TensorFlow's `TFRecordWriter` compresses whole files, as GZIP (RFC 1952) or ZLIB (RFC 1950). Several
streams may follow each other, as gzip allows. Offsets are those of the decompressed bytes.
"""

import io
import os
import zlib
from typing import Any, BinaryIO

from dsbuild.errors import ShardError

ENDLESS = 1 << 62  # the size of a stream, whose end is known when it is reached
LARGEST = 1 << 28  # bytes of a record in a stream: a small file can unpack to any size
TOO_LARGE = f"but in a compressed file expected at most {LARGEST:,}; decompress the file first"
CUT_INSIDE = "the compressed data ends within this record: it was cut before; write it again"
_DEEPEST = 2  # a compressed file may have been compressed once more
_PIECE = 1 << 16  # bytes of the file, and sixteen times as many of the stream, in memory
_WINDOW = {"gzip": 16 + zlib.MAX_WBITS, "zlib": zlib.MAX_WBITS}


class DamageError(ShardError):
    """A compressed stream is cut or damaged; whoever reads it adds file, record and offset."""


def kind(head: bytes) -> str | None:
    """Return how a file is compressed that does not begin with a frame, by its first 12 bytes."""
    if head.startswith(b"\x1f\x8b\x08"):
        return "gzip"
    # The upper half of a length is zero in every TFRecord that fits into memory.
    zlib = head[:1] == b"\x78" and int.from_bytes(head[:2]) % 31 == 0 and any(head[4:8])
    return "zlib" if zlib else None


def opened(file: BinaryIO, offset: int = 0) -> "Stream | None":
    """Return the stream in a file that does not begin with a frame, at an offset of the stream.

    Returns None if the file is not compressed, and leaves its position. Raises DamageError.
    """
    if isinstance(file, Stream):
        depth, packed = file.depth + 1, kind(file.head)
    else:
        at = file.tell()
        file.seek(0)
        depth, packed = 1, kind(file.read(12))
        file.seek(at)
    if packed is None or depth > _DEEPEST:
        return None
    return Stream(file, packed, depth, offset)


class Stream(io.BufferedReader):
    """The bytes that were compressed; reading raises DamageError if the file is cut or damaged.

    Going back decompresses from the beginning, and going forward all bytes in between.

    Attributes:
      depth: how many times the file was compressed.
      head: the first 12 bytes.
    """

    def __init__(self, file: BinaryIO, packed: str, depth: int, offset: int) -> None:
        super().__init__(_Inflated(file, packed), 4 * _PIECE)
        self.depth = depth
        self.head = self.read(12)
        self.seek(offset)


class _Inflated(io.RawIOBase):
    """A raw file of what zlib makes of a compressed one."""

    def __init__(self, file: BinaryIO, packed: str) -> None:
        self._file, self._packed = file, packed
        self._begin()

    def _begin(self) -> None:
        self._file.seek(0)
        self._zlib, self._left, self._at = zlib.decompressobj(_WINDOW[self._packed]), b"", 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to an offset of the stream, or to its end if that is before, and return it."""
        if whence == os.SEEK_END:
            raise io.UnsupportedOperation("the end of a compressed file is not known")
        offset += self._at if whence == os.SEEK_CUR else 0
        if offset < self._at:
            self._begin()
        while self._at < offset and self._some(offset - self._at):
            pass
        return self._at

    def readinto(self, buffer: Any) -> int:
        data = self._some(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def _some(self, most: int) -> bytes:
        """Return the next bytes of the stream, at most so many; none at its end."""
        data = b""
        while not data:
            if self._zlib.eof and not self._next():
                break
            piece = self._left or self._file.read(_PIECE)
            try:
                data = self._zlib.decompress(piece, min(most, 16 * _PIECE))
            except zlib.error as error:
                why = str(error).rpartition(": ")[2]
                raise DamageError(
                    f"the {self._packed} data is damaged ({why}); fetch or write the file again"
                ) from error
            self._left = self._zlib.unconsumed_tail
            if not data and not piece and not self._zlib.eof:
                raise DamageError(
                    f"the {self._packed} data is cut: it does not end within the file's "
                    f"{self._file.tell():,} bytes; fetch or write the file again"
                )
        self._at += len(data)
        return data

    def _next(self) -> bool:
        """Begin the next of several streams, after zeros that pad the last; False at the end."""
        left = self._zlib.unused_data.lstrip(b"\0")
        while len(left) < 12 and (more := self._file.read(_PIECE)):
            left = (left + more).lstrip(b"\0")
        if not left:
            return False
        if kind(left[:12]) != self._packed:
            raise DamageError(
                f"found bytes after the end of the {self._packed} data that are not part of it; "
                "fetch or write the file again"
            )
        self._zlib, self._left = zlib.decompressobj(_WINDOW[self._packed]), left
        return True
