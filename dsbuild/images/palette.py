"""The palette of a PNG, and the colour that it calls transparent."""

import functools
import operator
import struct
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from dsbuild.images import png
from dsbuild.images.header import Header

RGB = tuple[int, int, int]


def read(data: bytes) -> tuple[tuple[RGB, ...], bytes]:
    """Return the RGB colours of a palette PNG, and the alphas of the first ones."""
    colours, alphas = b"", b""
    for kind, body, _ in png.chunks(data, checked=True):
        if kind == b"IDAT":
            break
        colours = body if kind == b"PLTE" else colours
        alphas = body if kind == b"tRNS" else alphas
    return _triples(colours), alphas


@functools.lru_cache(64)  # most masks of a data set share one palette
def _triples(colours: bytes) -> tuple[RGB, ...]:
    return tuple(zip(*(colours[i::3] for i in range(3)), strict=True))


class _Same(NamedTuple):
    """Frozen values that are taken for equal only if they are the same."""

    colours: tuple[RGB, ...]
    known: Mapping[int, RGB]

    def __hash__(self) -> int:
        return hash((id(self.colours), id(self.known)))

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, _Same) and self.colours is other.colours and self.known is other.known
        )


def is_numbered(data: bytes, known: Mapping[int, RGB]) -> bool:
    """Tell whether all colours of a palette PNG are known by their numbers, or greys of them."""
    return _numbered(_Same(read(data)[0], known))


@functools.lru_cache(64)  # a data set keeps its colours, and most masks have one palette
def _numbered(palette: _Same) -> bool:
    numbers = range(len(palette.colours))
    # By `map`, which is four times as fast as a loop.
    return all(map(operator.eq, map(palette.known.get, numbers), palette.colours)) or all(
        map(operator.eq, zip(numbers, numbers, numbers, strict=True), palette.colours)
    )


def transparent(data: bytes, head: Header) -> tuple[int, ...] | None:
    """Return the transparent level or colour of a grey or RGB PNG, 0 to 255 per channel."""
    key = next((body for kind, body, _ in png.chunks(data, checked=True) if kind == b"tRNS"), b"")
    if head.model not in ("grey", "rgb") or len(key) != 2 * head.channels:
        return None
    return tuple(
        255 * value // ((1 << head.bits) - 1) for (value,) in struct.iter_unpack(">H", key)
    )


def coloured(data: bytes, colours: Sequence[RGB]) -> bytes:
    """Return an 8-bit grey PNG as a palette PNG, its compressed pixels as they are."""
    out = [png.SIGNATURE]
    for kind, body, _ in png.chunks(data, checked=True):
        if kind == b"IHDR":
            out.append(png.chunk(kind, body[:9] + b"\3" + body[10:]))
            out.append(png.chunk(b"PLTE", bytes(value for colour in colours for value in colour)))
        elif kind in (b"IDAT", b"IEND"):
            out.append(png.chunk(kind, body))
    return b"".join(out)
