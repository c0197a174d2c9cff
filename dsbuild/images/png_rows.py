"""The first rows of a PNG, inflated no further than these."""

import struct
import zlib

from dsbuild.errors import ImageError
from dsbuild.images import png

_HEADER = struct.Struct(">IIBBBBB")  # IHDR, after the signature and the head of its chunk
_AT = len(png.SIGNATURE) + 8
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # stored per pixel, by colour type
_PICTURE = (b"PLTE", b"tRNS")


def first(data: bytes, count: int) -> bytes:
    """Return the first `count` rows of a PNG as a PNG whose pixels are not compressed.

    A PNG that is interlaced, or has other than 8 bits per channel, is returned whole, as it is.
    Raises ImageError if these rows do not inflate; what follows them is not looked at.
    """
    width, height, bits, colour, *coding, interlace = _HEADER.unpack_from(data, _AT)
    count = min(int(count), height)
    if bits != 8 or interlace:
        return data
    body = _HEADER.pack(width, count, bits, colour, *coding, interlace)
    wanted = count * (1 + width * _CHANNELS[colour])
    kept = [(kind, found) for kind, found, _ in png.chunks(data, checked=True)]
    try:
        pixels = png.inflating.decompressobj().decompress(
            b"".join(found for kind, found in kept if kind == b"IDAT"), wanted
        )
    except (zlib.error, png.inflating.error) as error:
        raise ImageError(f"found a damaged PNG: its pixels do not inflate ({error})") from error
    if len(pixels) < wanted:
        raise ImageError(
            f"found a damaged PNG: its pixels inflate to {len(pixels):,} bytes, "
            f"expected {wanted:,} or more"
        )
    stored = png.inflating.compress(pixels, 0)
    written = [(b"IHDR", body), *(one for one in kept if one[0] in _PICTURE)]
    written += [(b"IDAT", stored), (b"IEND", b"")]
    return png.SIGNATURE + b"".join(png.chunk(*one) for one in written)
