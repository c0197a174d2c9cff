"""Walk the chunks of a PNG, of which every file consists, and write one.

Source: W3C PNG Specification, third edition, 5.
"""

import functools
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import TypeVar

from dsbuild.errors import ImageError
from dsbuild.images.header import cut

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_SHORT = 1 << 16  # bytes of a PNG; most masks have fewer, most photos more
_KEPT = 16  # short PNGs of which answers are kept: threads ask about one each
Answer = TypeVar("Answer")


def kept(ask: Callable[[bytes], Answer]) -> Callable[[bytes], Answer]:
    """Let a function keep its last answers about short PNGs, which several functions ask for."""
    known = functools.lru_cache(_KEPT)(ask)

    @functools.wraps(ask)
    def answer(data: bytes) -> Answer:
        return known(data) if _is_short(data) else ask(data)

    return answer


def chunks(data: bytes, checked: bool = False) -> Iterator[tuple[bytes, bytes, int]]:
    """Yield (type, body, byte offset) of every chunk up to IEND, with checksums verified.

    `checked` skips the checksums, which reading the header has verified. Raises ImageError if
    the file ends before IEND or a checksum is wrong.
    """
    return iter(_listed(data)) if _is_short(data) else _chunks(data, checked)


def _is_short(data: bytes) -> bool:
    return isinstance(data, bytes) and len(data) <= _SHORT


@functools.lru_cache(_KEPT)
def _listed(data: bytes) -> tuple[tuple[bytes, bytes, int], ...]:
    return tuple(_chunks(data, checked=False))


def _chunks(data: bytes, checked: bool) -> Iterator[tuple[bytes, bytes, int]]:
    at = len(SIGNATURE)
    while True:
        if at + 12 > len(data):
            raise cut("PNG", f"its {len(data):,} bytes end before the IEND chunk")
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            raise cut("PNG", f"chunk {kind!r} at byte {at:,} ends past the file")
        body = data[at + 8 : end - 4]
        crc = int.from_bytes(data[end - 4 : end], "big")
        if not checked and zlib.crc32(data[at + 4 : end - 4]) != crc:
            raise ImageError(
                f"found a damaged PNG: the checksum of chunk {kind!r} at byte {at:,} is wrong; "
                "fetch or export the file again"
            )
        if not kind.isalpha():
            raise ImageError(
                f"found a damaged PNG: the chunk at byte {at:,} is called {kind!r}, expected four "
                "letters; fetch or export the file again"
            )
        yield kind, body, at
        if kind == b"IEND":
            return
        at = end


def chunk(kind: bytes, body: bytes) -> bytes:
    """Return a chunk with its length and checksum."""
    crc = zlib.crc32(kind + body)
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", crc)
