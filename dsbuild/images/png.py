"""Read PNGs: header, palette indices, alpha; write planes of few values.

Source: W3C PNG Specification, third edition (chunks, 5; IHDR, 11.2.1; filters, 9).
"""

import io
import struct
import zlib
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dsbuild.errors import ImageError, words
from dsbuild.images import png_chunks
from dsbuild.images.chunks import SIGNATURE as SIGNATURE
from dsbuild.images.chunks import chunk as chunk
from dsbuild.images.chunks import chunks as chunks
from dsbuild.images.chunks import kept
from dsbuild.images.header import Header, cut, excuse
from dsbuild.images.opening import opened

inflating: ModuleType
try:
    from zlib_ng import zlib_ng as inflating  # several times as fast for masks
except ImportError:
    inflating = zlib

Plane = NDArray[np.unsignedinteger[Any]]  # values of a label, (h, w): uint8, or uint16

_MODELS = {0: "grey", 2: "rgb", 3: "palette", 4: "grey+alpha", 6: "rgba"}
_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}
_SAMPLES = {"grey": 1, "rgb": 3, "palette": 1, "grey+alpha": 2, "rgba": 4}  # stored per pixel
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
# Chunks whose form depends on the colour type: a grey PNG may not keep those of a palette PNG.
_OF_PALETTE = (b"PLTE", b"tRNS", b"bKGD", b"hIST", b"sBIT", b"iCCP")
_CRITICAL = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
_PICTURE = (*_CRITICAL, b"tRNS")  # all chunks that decide pixels
_TRANSPARENT = {0: 2, 2: 6}  # bytes of tRNS, at least
# First column and row of each pass, and the steps between its columns and rows.
_ADAM7 = (
    *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2)),
    (0, 1, 1, 2),
)
_BEYOND = 1 << 26  # bytes after the last row, which all decoders ignore: at most so many are read
# What Pillow's reader raises for damaged files.
_DAMAGES = (OSError, ValueError, SyntaxError, EOFError, LookupError, struct.error, zlib.error)


@kept
def header(data: bytes) -> Header:
    """Return the header of a PNG; raise ImageError if any chunk is cut or damaged."""
    first = (b"", b"")
    others: list[png_chunks.Chunk] = []
    seen: set[bytes] = set()
    before = b""
    transparent: int | None = None
    for kind, body, at in chunks(data):
        if at == len(SIGNATURE):
            first = (kind, body)
        if kind not in _PICTURE or (kind == b"IDAT" and kind not in seen):
            others.append((kind, body))
        if kind == b"tRNS":
            transparent = len(body)
        elif kind == b"PLTE" and (len(body) % 3 or not 0 < len(body) <= 768):
            raise ImageError(
                f"found a PNG whose palette has {len(body)} bytes, expected three per colour"
            )
        elif kind[:1].isupper() and kind not in _CRITICAL:
            raise ImageError(f"found a PNG with the critical chunk {kind!r}, which no reader knows")
        elif kind == b"IDAT" != before and kind in seen:
            raise ImageError("found a PNG whose pixels (IDAT) other chunks interrupt")
        if kind in (b"IHDR", b"PLTE") and kind in seen:
            raise ImageError(f"found a PNG with two chunks {kind!r}, expected one")
        seen.add(kind)
        before = kind
    kind, body = first
    if kind != b"IHDR" or len(body) != 13:
        raise ImageError("found a PNG that does not start with a header chunk (IHDR)")
    width, height, bits, colour, compression, filtering, interlace = struct.unpack(">IIBBBBB", body)
    if bits not in _DEPTHS.get(colour, ()):
        raise ImageError(
            f"found a PNG of colour type {colour} with {bits} bits, which PNG does not have"
        )
    if compression or filtering or interlace > 1:
        raise ImageError(
            f"found a PNG with compression {compression}, filter {filtering}, interlace "
            f"{interlace}; expected 0, 0 and 0 or 1"
        )
    if b"IDAT" not in seen or (colour == 3 and b"PLTE" not in seen):
        raise ImageError("found a PNG without pixels (IDAT) or without its palette (PLTE)")
    least = _TRANSPARENT.get(colour, 0)
    if transparent is not None and transparent < least:
        raise ImageError(
            f"found a PNG whose transparent colour (tRNS) has {transparent} bytes, expected {least}"
        )
    found = png_chunks.read(others, height, width) if len(others) > 1 else png_chunks.Beside()
    return Header(
        format="png",
        height=height,
        width=width,
        channels=_CHANNELS[colour] + (transparent is not None and colour == 3),
        bits=bits,
        model=_MODELS[colour],
        coding="deflate",
        orientation=found.orientation,
        frames=found.frames,
        interlaced=bool(interlace),
        beside=found.fault,
    )


def grey(data: bytes, head: Header, bits: int = 8) -> bytes | None:
    """Return a label PNG as a grey PNG of `bits` whose values are the class indices, or None.

    Grey PNGs are returned as they are. A palette PNG gets colour type 0 in its header and loses
    its palette; its compressed pixels stay as they are. Chunks that make readers refuse the label
    are dropped. Other bits give None: readers scale a 4-bit grey value by 17.
    """
    if head.bits != bits or head.model not in ("grey", "palette"):
        return None
    return data if head.model == "grey" and not head.beside else _grey(data, head, bits)


def _grey(data: bytes, head: Header, bits: int) -> bytes:
    width = struct.pack(">I", head.width * head.bits // bits)  # two samples become one
    out = [SIGNATURE]
    for kind, body, at in chunks(data, checked=True):
        if kind == b"IHDR":
            out.append(chunk(kind, width + body[4:8] + bytes((bits, 0)) + body[10:]))
        elif kind not in _OF_PALETTE and not (head.beside and kind not in _CRITICAL):
            out.append(data[at : at + 12 + len(body)])
    return b"".join(out)


def write(plane: Plane) -> bytes:
    """Return a plane of few values, uint8 or uint16 (h, w), as a grey PNG with unfiltered rows.

    Filters help with gradients, not with flat areas: without them planes take two thirds of the
    time to write and hardly any to decode. Pillow writes unfiltered rows for palettes only. It is
    used, not zlib, because its wheels bring the same zlib to all machines.
    """
    wide = plane.dtype == np.uint16
    samples = plane.astype(">u2", "C").view(np.uint8) if wide else np.ascontiguousarray(plane)
    image = Image.fromarray(samples)
    image.putpalette(bytes(3 * 256))  # with all 256 colours, so that indices take 8 bits
    image.save(out := io.BytesIO(), "PNG", compress_level=6)
    data = out.getvalue()
    return _grey(data, header(data), 16 if wide else 8)


def indices(data: bytes, head: Header) -> Plane:
    """Return the stored values of a grey or palette PNG: uint8 (h, w), or uint16 with 16 bits.

    No palette is applied, and values with fewer than 8 bits are not scaled to 0..255.
    """
    kind = np.uint16 if head.bits == 16 else np.uint8
    if head.bits >= 8 and not head.interlaced:
        rows = _rows(data, head)
        if rows[:, 0].any():
            return np.asarray(_open(data, rows.tobytes()), kind)
        values = rows[:, 1:]  # no row is filtered, as in most palette PNGs
        return np.ascontiguousarray(values).view(">u2").astype(kind) if head.bits == 16 else values
    plane: Plane = np.asarray(load(data, head), kind)
    if head.model == "grey" and head.bits in (2, 4):
        plane = plane // (255 // ((1 << head.bits) - 1))  # Pillow scales these to 0..255
    return plane


def alpha(data: bytes, head: Header) -> NDArray[np.uint8]:
    """Return the alpha channel of an 8-bit PNG in grey or RGB with alpha: uint8 (h, w).

    Filters work on every channel separately, so the bytes of one channel together with the
    filters of their rows form a grey PNG, which decodes in a fraction of the time.
    """
    if head.interlaced:
        return np.asarray(load(data, head).getchannel("A"))
    rows = _rows(data, head)
    mine = rows[:, :: head.channels]  # the filter, then every last byte of a pixel
    if not mine[:, 0].any():
        return mine[:, 1:]
    size = struct.pack(">IIBBBBB", head.width, head.height, 8, 0, 0, 0, 0)
    stub = SIGNATURE + chunk(b"IHDR", size) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    return np.asarray(_open(stub, mine.tobytes()))


def check(data: bytes, head: Header) -> None:
    """Raise ImageError if `load` would, without the unfiltering that takes most of its time."""
    if head.interlaced:
        load(data, head)
    elif _rows(data, head)[:, 0].max() > 4:
        raise _damaged("a row has an unknown filter")


def load(data: bytes, head: Header) -> Image.Image:
    """Decode the pixels of a PNG with Pillow; raise ImageError if they are cut or damaged."""
    return _open(data, _inflate(data, head))


def bare(data: bytes) -> bytes:
    """Return a PNG without the chunks that do not decide pixels."""
    kept = (chunk(k, body) for k, body, _ in chunks(data, checked=True) if k in _PICTURE)
    return SIGNATURE + b"".join(kept)


def _open(data: bytes, pixels: bytes) -> Image.Image:
    """Decode a PNG from its inflated pixels, stored uncompressed for Pillow."""
    out = [SIGNATURE]
    stored = False
    for kind, body, _ in chunks(data, checked=True):
        if kind in _PICTURE and kind != b"IDAT":
            out.append(chunk(kind, body))
        elif kind == b"IDAT" and not stored:
            out.append(chunk(kind, inflating.compress(pixels, 0)))
            stored = True
    try:
        image = opened(b"".join(out), "PNG")
        image.load()
    except _DAMAGES as error:
        excuse(error)
        raise _damaged(error) from error
    return image


def _damaged(error: Exception | str) -> ImageError:
    return ImageError(f"found a damaged PNG: {words(error)}; fetch or export the file again")


def _rows(data: bytes, head: Header) -> NDArray[np.uint8]:
    """Return the rows of a PNG that is not interlaced: uint8 (h, 1 + bytes), filter first."""
    return np.frombuffer(_inflate(data, head), np.uint8).reshape(head.height, -1)


def _inflate(data: bytes, head: Header) -> bytes:
    """Return the inflated rows; raise ImageError if rows or the end of their stream are missing.

    Pillow ignores a missing end and even missing rows; TensorFlow refuses both. Bytes after the
    last row are dropped, as in all decoders.
    """
    expected = 0
    for x, y, across, down in _ADAM7 if head.interlaced else [(0, 0, 1, 1)]:
        width, height = -((x - head.width) // across), -((y - head.height) // down)
        if width > 0 and height > 0:
            expected += height * (1 + (width * _SAMPLES[head.model] * head.bits + 7) // 8)
    inflater = inflating.decompressobj()
    try:
        compressed = b"".join(
            body for kind, body, _ in chunks(data, checked=True) if kind == b"IDAT"
        )
        pixels: bytes = inflater.decompress(compressed, expected + 1)
        beyond = len(pixels) - expected
        while 0 < beyond < _BEYOND and not inflater.eof and inflater.unconsumed_tail:
            beyond += len(inflater.decompress(inflater.unconsumed_tail, 1 << 20))
    except (zlib.error, inflating.error) as error:
        excuse(error)
        raise ImageError(f"found a damaged PNG: its pixels do not inflate ({error})") from error
    if len(pixels) < expected:
        raise cut("PNG", f"its pixels inflate to {len(pixels):,} bytes, expected {expected:,}")
    if not inflater.eof:
        raise cut("PNG", "the stream of its pixels has no end")
    return pixels if len(pixels) == expected else pixels[:expected]
