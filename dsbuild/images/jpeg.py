"""Read the header of a JPEG from its markers, without decoding.

Source: ITU-T T.81 (markers, B.1; frame header, B.2.2), T.872 (Adobe APP14).
"""

import re

import numpy as np

from dsbuild.errors import ImageError
from dsbuild.images.header import Header, cut, orientation

SIGNATURE = b"\xff\xd8\xff"

_CODINGS = {
    **dict.fromkeys((0xC0, 0xC1), "baseline"),
    0xC2: "progressive",
    **dict.fromkeys((0xC3, 0xC5, 0xC6, 0xC7), "lossless"),
    **dict.fromkeys((0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF), "arithmetic"),
}
_MODELS = {1: "grey", 3: "rgb", 4: "cmyk"}
_EOI, _SOS, _APP1 = 0xD9, 0xDA, 0xE1
_EXIF, _XMP = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"  # at the start of an APP1
# JFIF and quantization tables; Huffman tables, the scan itself, restart interval, comment.
_APP0, _DQT, _PLAIN = 0xE0, 0xDB, (0xC4, _SOS, 0xDD, 0xFE)
# Within a scan 0xFF is followed by 0x00 (stuffing), D0..D7 (restart) or 0xFF (fill).
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


def header(data: bytes) -> Header:
    """Return the header of a JPEG.

    Walks all markers to the end of the image. Raises ImageError if there is no EOI marker:
    TensorFlow refuses such a file, while other decoders fill the rest with grey.
    """
    frame = None
    scans: list[bytes] = []
    exif = xmp = b""
    usual = True
    at = 2
    while True:
        begin = at
        # Junk between segments is skipped, as every decoder does.
        at = data.find(b"\xff", at)
        while 0 <= at < len(data) and data[at] == 0xFF:
            at += 1
        if at < 0 or at >= len(data):
            raise cut("JPEG", f"its {len(data):,} bytes hold no end-of-image marker")
        marker = data[at]
        at += 1
        if marker == _EOI:
            break
        if marker == 0x00 or marker == 0x01 or 0xD0 <= marker <= 0xD8:
            usual = False
            continue  # these have no length and no body
        length = int.from_bytes(data[at : at + 2], "big")
        body = data[at + 2 : at + length]
        if length < 2 or at + length > len(data):
            raise cut("JPEG", f"segment FF{marker:02X} at byte {at - 2:,} ends past the file")
        if marker in _CODINGS and frame is None:
            if len(body) < 6:
                raise ImageError(f"found a JPEG with a frame header of {len(body)} bytes")
            frame = (_CODINGS[marker], body)
        elif marker == _APP1 and body.startswith(_EXIF) and not scans:
            exif += body[len(_EXIF) :]  # a long block continues in the next segment
        elif marker == _APP1 and body.startswith(_XMP) and not scans:
            xmp = body[len(_XMP) :]
        if usual and not scans:
            usual = at == begin + 2 and _is_usual(marker, body)
        at += length
        if marker == _SOS:
            scans.append(body)
            if len(scans) == 1 and frame and frame[0] == "baseline":  # nearly always the only one
                at += _unmarked(data, at)
            after = _AFTER_SCAN.search(data, at)
            at = after.start() if after else len(data)
    if frame is None:
        raise ImageError("found a JPEG without a frame header, so without an image")
    coding, body = frame
    components = body[5]
    if coding in ("baseline", "progressive"):
        _check_scans(coding, body, scans)
    return Header(
        format="jpeg",
        height=int.from_bytes(body[1:3], "big"),
        width=int.from_bytes(body[3:5], "big"),
        channels=components,
        bits=body[0],
        model=_MODELS.get(components, f"{components} components"),
        coding=coding,
        orientation=orientation(exif, xmp),
        usual=usual,
    )


def _is_usual(marker: int, body: bytes) -> bool:
    """Tell whether Pillow reads a segment before the first scan, whatever is in it.

    Source: Pillow, JpegImagePlugin, which raises errors for some segments that libjpeg reads.
    """
    if marker == _DQT:
        return not len(body) % 65 and not any(kind >> 4 for kind in body[::65])  # of 8 bits
    if marker in _CODINGS:
        return len(body) in (9, 15) and body[0] == 8 and len(body) == 6 + 3 * body[5]
    return marker in _PLAIN or (marker == _APP0 and len(body) >= 14)


def _unmarked(data: bytes, at: int) -> int:
    """Return how many bytes from `at` on surely hold no marker; reads the whole rest of the file.

    It may be fewer than there are, but finding them takes half the time of a regular expression.
    """
    if at + 2 > len(data):
        return 0
    octets = np.frombuffer(data, np.uint8, offset=at)
    odd = octets[:-1] == 0xFF
    odd &= octets[1:] != 0
    return int(odd.argmax())


def _check_scans(coding: str, frame: bytes, scans: list[bytes]) -> None:
    """Raise ImageError if the scans leave out coefficients of a component, or some of their bits.

    Decoders guess what is missing, each in its own way. T.81, B.2.3 and G.1.1.1.
    """
    progressive = coding == "progressive"
    # Component -> bits still missing from each of its 64 coefficients, which in a baseline scan
    # come all at once; None before their first scan.
    missing: dict[int, list[int | None]] = {
        frame[6 + 3 * i]: [None] * (64 if progressive else 1)
        for i in range(min(frame[5], (len(frame) - 6) // 3))
    }
    for scan in scans:
        count = scan[0] if scan else 0
        if len(scan) != 4 + 2 * count:
            raise ImageError(f"found a JPEG with a scan header of {len(scan)} bytes")
        # A baseline scan holds all coefficients, whatever its header says.
        first, last, bits = scan[-3:] if progressive else (0, 0, 0)
        for component in scan[1:-3:2]:
            before = missing.get(component, [])[first : last + 1]
            if set(before) != {bits >> 4 or None}:
                raise ImageError("found a damaged JPEG: its scans contradict one another")
            missing[component][first : last + 1] = [bits & 15] * len(before)
    if any(set(component) != {0} for component in missing.values()):
        raise cut("JPEG", "its scans leave coefficients out")
