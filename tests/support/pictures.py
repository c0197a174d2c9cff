"""Pictures made by hand, and decoders to compare with."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

from dsbuild import images
from dsbuild.errors import ImageError
from dsbuild.images import png
from tests.support import fakes

RNG = np.random.default_rng(7)


PLANE = RNG.integers(0, 16, (13, 17), np.uint8)


PHOTO = fakes.photo(RNG, 90, 70)


def save(image, kind="PNG", **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def raw_png(plane, bits, colour, interlaced=False, filters=0, palette=None):
    """Write a PNG by hand: any depth, Adam7 or not, the same filter for every row."""
    passes = [(0, 0, 1, 1)]
    if interlaced:
        passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4)]
        passes += [(1, 0, 2, 2), (0, 1, 1, 2)]
    data = b""
    for x, y, step_x, step_y in passes:
        before = None
        for row in plane[y::step_y, x::step_x]:
            if not row.size:
                continue
            packed = np.unpackbits(row[:, None], axis=1)[:, 8 - bits :].ravel()
            line = np.packbits(packed)
            stored = line
            if filters == 2 and before is not None:
                stored = line - before
            data += bytes((filters,)) + stored.tobytes()
            before = line
    height, width = plane.shape
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, int(interlaced))
    out = [png.SIGNATURE, png.chunk(b"IHDR", header)]
    if palette:
        out.append(png.chunk(b"PLTE", bytes(palette)))
    out += [png.chunk(b"IDAT", zlib.compress(data)), png.chunk(b"IEND", b"")]
    return b"".join(out)


def admitted(data):
    """Return dsbuild's pixels, or None if the image is refused."""
    try:
        head = images.header(data)
        images.check(data, head)
        pixels = images.decode(data, head)
    except ImageError:
        return None
    assert pixels.shape == (head.height, head.width, 3)
    return pixels


def by_tensorflow(data):
    import tensorflow as tf

    if images.header(data).format == "jpeg":
        return tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE").numpy()
    return tf.io.decode_png(data, channels=3).numpy()


def jpeg_with_frame(marker=0xC0, bits=8, height=70, width=90):
    data = bytearray(save(PHOTO, "JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 1] = marker
    data[at + 4 : at + 9] = struct.pack(">BHH", bits, height, width)
    return bytes(data)


def full_decode(data):
    """Return whether Pillow decodes a whole image."""
    try:
        Image.open(io.BytesIO(data)).load()
    except (OSError, ValueError, SyntaxError, LookupError, struct.error):  # before Pillow 13
        return False
    return True


LONG = zlib.compress(bytes(1 << 21))  # of what unpacks to two million bytes


def with_chunks(data, before=(), after=()):
    """Return a PNG with extra chunks before and after its pixels."""
    out = [png.SIGNATURE]
    for kind, body, _ in png.chunks(data):
        added = before if kind == b"IDAT" else after if kind == b"IEND" else ()
        out += [png.chunk(*chunk) for chunk in added]
        out.append(png.chunk(kind, body))
    return b"".join(out)


def control(number, width, height, x, y):
    """Return a chunk that begins a frame of an animation."""
    return b"fcTL", struct.pack(">IIIIIHHBB", number, width, height, x, y, 1, 10, 0, 0)


def exif_of(value, order="<", kind=3, count=1, tag=0x0112):
    """Return an EXIF block of one tag."""
    number = struct.pack(order + "I", value) if kind == 4 else struct.pack(order + "HH", value, 0)
    start = b"II*\0\x08\0\0\0" if order == "<" else b"MM\0*\0\0\0\x08"
    entry = struct.pack(order + "HHI", tag, kind, count) + number
    return start + struct.pack(order + "H", 1) + entry + bytes(4)


def headed(files):
    """Yield every file whose header can be read, and the header."""
    for data in files:
        try:
            head = images.header(data)
        except ImageError:
            continue
        yield data, head
