"""PNG: header, checked chunks, palette indices.

Source: W3C PNG Specification, third edition (chunks, 5; IHDR, 11.2.1; filters, 9).
"""

import io
import struct
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image

from dsbuild.errors import ImageError
from dsbuild.images.base import Header, cut, exif_orientation

try:
    from zlib_ng import zlib_ng as inflating  # masks several times as fast
except ImportError:
    inflating = zlib

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_MODELS = {0: "grey", 2: "rgb", 3: "palette", 4: "grey+alpha", 6: "rgba"}
_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
# Chunks whose form depends on the colour type: a grey PNG may not keep a palette's.
_OF_PALETTE = (b"PLTE", b"tRNS", b"bKGD", b"hIST", b"sBIT", b"iCCP")
_CRITICAL = (b"IHDR", b"PLTE", b"IDAT", b"IEND")


def chunks(data: bytes) -> Iterator[tuple[bytes, bytes, int]]:
    """Yield (type, body, byte offset) of every chunk up to IEND, checksums checked.

    Raises ImageError where the file ends before IEND or a checksum is wrong.
    """
    at = len(SIGNATURE)
    while True:
        if at + 12 > len(data):
            raise cut("PNG", f"its {len(data):,} bytes end before the IEND chunk")
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            raise cut("PNG", f"chunk {kind!r} at byte {at:,} ends past the file")
        body = data[at + 8 : end - 4]
        if zlib.crc32(data[at + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            raise ImageError(
                f"found a damaged PNG: the checksum of chunk {kind!r} at byte {at:,} is wrong; "
                "fetch or export the file again"
            )
        yield kind, body, at
        if kind == b"IEND":
            return
        at = end


def header(data: bytes) -> Header:
    """Return the header of a PNG; raise ImageError where any chunk is cut or damaged."""
    first = frames = 0
    orientation = 1
    seen = set()
    transparent = False
    for kind, body, at in chunks(data):
        if at == len(SIGNATURE):
            first = (kind, body)
        if kind == b"eXIf":
            orientation = exif_orientation(body)
        elif kind == b"acTL" and len(body) == 8:
            frames = int.from_bytes(body[:4], "big")
        elif kind == b"tRNS":
            transparent = True
        elif kind == b"PLTE" and len(body) % 3:
            raise ImageError(f"found a PNG whose palette has {len(body)} bytes, not three a colour")
        elif kind[:1].isupper() and kind not in _CRITICAL:
            raise ImageError(f"found a PNG with the critical chunk {kind!r}, which no reader knows")
        seen.add(kind)
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
    return Header(
        format="png",
        height=height,
        width=width,
        channels=_CHANNELS[colour] + (transparent and colour == 3),
        bits=bits,
        model=_MODELS[colour],
        coding="deflate",
        orientation=orientation,
        frames=max(frames, 1),
        interlaced=bool(interlace),
    )


def grey(data: bytes, head: Header) -> bytes | None:
    """Return a label PNG as a grey PNG whose value is the class index, pixels untouched.

    A grey 8-bit PNG is returned as it is. An 8-bit palette PNG gets colour type 0 in
    its header and loses its palette; its compressed pixels stay as they are. None
    for every other PNG, since fewer bits would change their meaning: readers scale a
    4-bit grey value by 17.
    """
    if head.bits != 8 or head.model not in ("grey", "palette"):
        return None
    if head.model == "grey":
        return data
    out = [SIGNATURE]
    for kind, body, _ in chunks(data):
        if kind in _OF_PALETTE:
            continue
        if kind == b"IHDR":
            body = body[:9] + b"\0" + body[10:]
        out.append(_chunk(kind, body))
    return b"".join(out)


def _chunk(kind: bytes, body: bytes) -> bytes:
    crc = zlib.crc32(kind + body)
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", crc)


def indices(data: bytes, head: Header) -> np.ndarray:
    """Return the stored values of a grey or palette PNG of 1 to 8 bits: uint8 (h, w).

    A palette is not applied, and fewer bits are not scaled to 0..255.
    """
    if head.bits == 8 and not head.interlaced:
        plane = _unfiltered(data, head)
        if plane is not None:
            return plane
    plane = np.asarray(load(data, head), np.uint8)
    if head.model == "grey" and head.bits in (2, 4):
        plane = plane // (255 // ((1 << head.bits) - 1))  # Pillow scales these to 0..255
    return plane


def _unfiltered(data: bytes, head: Header) -> np.ndarray | None:
    """Return the plane where no row is filtered, as in most palette PNGs; else None."""
    expected = head.height * (head.width + 1)
    rows = _inflate(data, expected + 1)
    if len(rows) != expected:
        raise cut("PNG", f"its pixels inflate to {len(rows):,} bytes, expected {expected:,}")
    rows = np.frombuffer(rows, np.uint8).reshape(head.height, head.width + 1)
    return None if rows[:, 0].any() else rows[:, 1:]


def _inflate(data: bytes, most: int) -> bytes:
    """Return the inflated pixels; raise ImageError where their stream does not end well.

    `most` bounds them: a stream that holds more ends there. Pillow ignores a missing end,
    which TensorFlow refuses.
    """
    inflater = inflating.decompressobj()
    try:
        compressed = b"".join(body for kind, body, _ in chunks(data) if kind == b"IDAT")
        pixels = inflater.decompress(compressed, most)
    except (zlib.error, inflating.error) as error:
        raise ImageError(f"found a damaged PNG: its pixels do not inflate ({error})") from error
    if not inflater.eof and len(pixels) < most:
        raise cut("PNG", f"its pixels end after {len(pixels):,} bytes")
    return pixels


def load(data: bytes, head: Header) -> Image.Image:
    """Decode a PNG with Pillow; raise ImageError where it is cut or damaged."""
    # Four channels of 8 bits, and a filter byte a row of each of Adam7's seven passes.
    _inflate(data, head.height * (4 * head.width + 8) + 8)
    try:
        image = Image.open(io.BytesIO(data), formats=("PNG",))
        image.load()
    # Pillow's PNG reader raises all of these for damaged files.
    except (
        OSError,
        ValueError,
        SyntaxError,
        EOFError,
        struct.error,
        zlib.error,
    ) as error:
        raise ImageError(f"found a damaged PNG: {error}; fetch or export the file again") from error
    return image
