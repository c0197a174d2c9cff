"""Every available way to rewrite a mask losslessly: name -> a function from bytes to bytes.

A rewriting keeps what decoders show, pixel for pixel; `seen` says what that is.
"""

import functools
import io
import os
import shutil
import subprocess
import tempfile

import numpy as np
from PIL import Image


def seen(data: bytes) -> np.ndarray:
    """Return the pixels that decoders show, RGBA uint8 (h, w, 4)."""
    image = Image.open(io.BytesIO(data))
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return np.asarray(image.convert("RGBA"))


def _saved(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def _opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def _mode(mode: str, kind: str = "PNG", **options):
    return lambda data: _saved(_opened(data).convert(mode), kind, **options)


def _same(kind: str = "PNG", **options):
    return lambda data: _saved(_opened(data), kind, **options)


def _ordered(data: bytes, reverse: bool = False, bits: int | None = None) -> bytes:
    """Return an image as a palette PNG of the colours that occur, in an order of their own."""
    pixels = seen(data)[..., :3]
    colours, plane = np.unique(pixels.reshape(-1, 3), axis=0, return_inverse=True)
    if len(colours) > 256:
        raise ValueError("too many colours")
    plane = plane.reshape(pixels.shape[:2]).astype(np.uint8)
    if reverse:
        colours, plane = colours[::-1], (len(colours) - 1 - plane).astype(np.uint8)
    image = Image.fromarray(plane)
    image.putpalette(colours.ravel().tolist())
    return _saved(image, **({"bits": bits} if bits else {}))


def _bits(bits: int):
    """Return a function that rewrites an image as grey with fewer bits, if its levels fit."""

    def write(data: bytes) -> bytes:
        from tests.support.pictures import raw_png

        pixels = seen(data)
        step = 255 // ((1 << bits) - 1)
        if (pixels[..., :3] % step).any() or (pixels[..., :3] != pixels[..., :1]).any():
            raise ValueError("no levels of so few bits")
        return raw_png(pixels[..., 0] // step, bits, 0)

    return write


def _wide(data: bytes) -> bytes:
    grey = np.asarray(_opened(data))
    if grey.ndim != 2 or _opened(data).mode != "L":
        raise ValueError("not grey")
    return _saved(Image.fromarray(grey.astype(np.uint16) * 257))


def _opencv(flag: str):
    def write(data: bytes) -> bytes:
        import cv2

        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), getattr(cv2, flag))
        return cv2.imencode(".png", pixels)[1].tobytes()

    return write


def _oxipng(level: int, **options):
    def write(data: bytes) -> bytes:
        import oxipng

        return oxipng.optimize_from_memory(data, level=level, **options)

    return write


def _tool(*command: str, inside: bool = False):
    """Return a rewriting by a command of `{from}` and `{to}`, files that it is given."""

    def write(data: bytes) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            names = {name: os.path.join(folder, f"{name}.png") for name in ("from", "to")}
            with open(names["from"], "wb") as file:
                file.write(data)
            words = [word.format(**names) for word in command]
            done = subprocess.run(words, capture_output=True, timeout=60)
            if done.returncode:
                raise ValueError(done.stderr)
            with open(names["from" if inside else "to"], "rb") as file:
                return file.read()

    return write


QUICK = {
    "as it is": bytes,
    "Pillow": _same(),
    "Pillow, optimize": _same(optimize=True),
    "Pillow, L": _mode("L"),
    "Pillow, RGB": _mode("RGB"),
    "Pillow, RGBA": _mode("RGBA"),
    "Pillow, LA": _mode("LA"),
    "Pillow, P": _mode("P"),
    "Pillow, 1": lambda data: _saved(_opened(data).convert("1", dither=0)),
    "Pillow, quantize": lambda data: _saved(_opened(data).convert("RGB").quantize(256)),
    "Pillow, TIFF": _same("TIFF"),
    "Pillow, TIFF, LZW": _same("TIFF", compression="tiff_lzw"),
    "Pillow, BMP": _same("BMP"),
    "Pillow, GIF": _same("GIF"),
    "a palette in another order": _ordered,
    "a palette in reverse": functools.partial(_ordered, reverse=True),
    "a palette of 4 bits": functools.partial(_ordered, bits=4),
    "grey of 1 bit": _bits(1),
    "grey of 2 bits": _bits(2),
    "grey of 4 bits": _bits(4),
    "grey of 16 bits": _wide,
    "OpenCV, grey": _opencv("IMREAD_GRAYSCALE"),
    "OpenCV, colour": _opencv("IMREAD_COLOR"),
    "OpenCV, as it is": _opencv("IMREAD_UNCHANGED"),
    "oxipng": _oxipng(2),
}
_TOOLS = {
    "optipng": _tool("optipng", "-quiet", "-o2", "-force", "{from}", inside=True),
    "optipng, interlaced": _tool("optipng", "-quiet", "-i1", "-force", "{from}", inside=True),
    "pngquant": _tool("pngquant", "256", "--output", "{to}", "{from}"),
    "mogrify, strip": _tool("mogrify", "-strip", "{from}", inside=True),
    "mogrify, flop twice": _tool("mogrify", "-flop", "-flop", "{from}", inside=True),
    "mogrify, truecolour": _tool("mogrify", "-type", "TrueColor", "{from}", inside=True),
    "mogrify, palette": _tool("mogrify", "-type", "Palette", "{from}", inside=True),
    "mogrify, 16 bits": _tool("mogrify", "-depth", "16", "{from}", inside=True),
    **{
        f"mogrify, {kind}": _tool("mogrify", "-define", f"png:format={kind}", "{from}", inside=True)
        for kind in ("png8", "png24", "png32", "png48", "png64", "png00")
    },
}
SLOW = {name: write for name, write in _TOOLS.items() if shutil.which(name.split(",")[0])}
SLOW |= {f"oxipng {level}": _oxipng(level) for level in (0, 4, 6)}


def rewritten(data: bytes, writings) -> list[tuple[str, bytes]]:
    """Return every rewriting of an image, leaving out those that lose pixels."""
    found, whole = [], seen(data)
    for name, write in writings.items():
        try:
            made = write(data)
        except (OSError, ValueError, KeyError):
            continue  # not a form of this image
        if np.array_equal(seen(made), whole):
            found.append((name, made))
    return found
