"""Read the chunks beside the pixels of a PNG: texts, profiles, animation frames, orientation.

No decoder needs them for the pixels, but Pillow and OpenCV refuse whole images because of them.
The header tells which images those are, so the verdict never depends on the reader.

Source: W3C PNG Specification, third edition, 11.3; Pillow, PngImagePlugin; OpenCV, grfmt_png.
"""

import struct
import zlib
from collections.abc import Sequence
from typing import NamedTuple

from dsbuild.images.header import orientation

Chunk = tuple[bytes, bytes]  # kind and body

PIXELS = b"IDAT"  # marks the pixels in a list of chunks, with any body

_TEXT = 1 << 20  # bytes: Pillow unpacks no text or profile to more
_TEXTS = 1 << 26  # bytes: nor all of them together
_LARGEST = 8_000_000 - 12  # bytes: OpenCV reads no larger chunk, but skips plain text
_LEAST = {"gAMA": 4, "cHRM": 32, "sRGB": 1, "pHYs": 9, "acTL": 8, "fcTL": 26, "fdAT": 4}  # bytes
_PACKED = {b"zTXt": "text", b"iTXt": "text", b"iCCP": "profile"}


class Beside(NamedTuple):
    """What the chunks beside the pixels say.

    Attributes:
      orientation: by which viewers turn the pixels, 1 to 8.
      frames: 1, or the frames of an animation.
      fault: why Pillow or OpenCV cannot read the file although its pixels are intact, or "".
    """

    orientation: int = 1
    frames: int = 1
    fault: str = ""


def read(chunks: Sequence[Chunk], height: int, width: int) -> Beside:
    """Return what chunks say about an image of this size; `PIXELS` marks where its pixels are."""
    fault = next(filter(None, map(_misshapen, chunks)), "")
    if fault:
        return Beside(fault=fault)
    frames, astray = _frames(chunks, height, width)
    texts, unread = _texts(chunks)
    exif = [texts.get(b"exif", b""), *(body for kind, body in chunks if kind == b"eXIf")][-1]
    if not exif:
        exif = _profile(texts.get(b"Raw profile type exif", b""))
    turned = orientation(exif, texts.get(b"XML:com.adobe.xmp", b""))
    return Beside(turned, frames, astray or unread)


def _misshapen(chunk: Chunk) -> str:
    kind, body = chunk[0].decode(), chunk[1]
    if len(body) < _LEAST.get(kind, 0):
        return f"a chunk {kind} of {len(body)} bytes, which needs {_LEAST[kind]}"
    if kind == "bKGD" and len(body) not in (1, 2, 6):
        return f"a chunk bKGD of {len(body)} bytes, which has 1, 2 or 6"
    if len(body) > _LARGEST and kind not in ("IDAT", "tEXt"):
        return f"a chunk {kind} of {len(body):,} bytes beside its pixels"
    return ""


def _frames(chunks: Sequence[Chunk], height: int, width: int) -> tuple[int, str]:
    """Return the number of frames, and what is wrong with them.

    A still image may keep frames that an editor left in it, as long as no reader mistakes them
    for the image itself.
    """
    frames, number, before = 1, 0, True
    for kind, body in chunks:
        if kind == PIXELS:
            before = False
        elif kind == b"acTL":
            count = int.from_bytes(body[:4], "big")
            if not count:
                return 1, "an animation without frames (acTL)"
            frames = max(frames, count)
        elif kind in (b"fcTL", b"fdAT"):
            if int.from_bytes(body[:4], "big") != number or (kind == b"fdAT" and not number):
                return frames, f"animation frames out of order ({kind.decode()})"
            number += 1
            if kind == b"fcTL":
                wide, high, x, y = struct.unpack_from(">4I", body, 4)
                whole = (wide, high, x, y) == (width, height, 0, 0)
                if x + wide > width or y + high > height or (before and not whole):
                    return frames, "a frame that is not the image itself (fcTL)"
            elif before:
                return frames, "a frame before the image itself (fdAT)"
    return frames, ""


def _texts(chunks: Sequence[Chunk]) -> tuple[dict[bytes, bytes], str]:
    """Return texts by key, unpacked within limits, and why they cannot be read, or ""."""
    texts: dict[bytes, bytes] = {}
    size = 0
    for kind, body in chunks:
        if kind != b"tEXt" and kind not in _PACKED:
            continue
        key, _, rest = body.partition(b"\0")
        text: bytes | None
        if kind == b"iTXt":
            packed, parts = rest[:2], rest[2:].split(b"\0", 2)
            if len(packed) < 2 or len(parts) < 3 or (packed[0] and packed[1]):
                continue  # no reader takes this for a text
            text = _unpack(parts[2]) if packed[0] else parts[2]
        elif kind == b"tEXt":
            text = rest
        elif rest[:1] == b"\0" or (kind == b"zTXt" and not rest):
            text = _unpack(rest[1:])
        else:
            return texts, f"a {_PACKED[kind]} ({kind.decode()}) packed in a way unknown to PNG"
        if text is None:
            return texts, (
                f"a {_PACKED[kind]} ({kind.decode()}) that unpacks to more than {_TEXT:,} bytes"
            )
        size += len(text)
        if size > _TEXTS:
            return texts, f"texts of more than {_TEXTS:,} bytes"
        if kind != b"iCCP":
            texts[key] = text
    return texts, ""


def _unpack(data: bytes) -> bytes | None:
    """Return unpacked text, nothing if it is damaged, None if it is too long."""
    unpacker = zlib.decompressobj()
    try:
        text = unpacker.decompress(data, _TEXT)
    except zlib.error:
        return b""
    return None if unpacker.unconsumed_tail else text


def _profile(text: bytes) -> bytes:
    """Return a profile that ImageMagick wrote as text: hexadecimal from the fourth line on."""
    try:
        return bytes.fromhex(b"".join(text.split(b"\n")[3:]).decode("ascii"))
    except ValueError:
        return b""
