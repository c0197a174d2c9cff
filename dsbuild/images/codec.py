"""Read images from bytes: header, admission, checked decode, class plane.

The bytes decide the format, never the file name. An image is admitted only if TensorFlow, OpenCV
and Pillow all decode it, and to the same pixels.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dsbuild.errors import ImageError, words
from dsbuild.images import jpeg, magic, opening, png, transform
from dsbuild.images.header import Header, excuse

PNG = png.SIGNATURE

_SOME = 61  # one in so many pixels shows which values a plane is likely to have
_FEW = 6  # values that are counted one by one
_HEADERS = {jpeg.SIGNATURE: jpeg.header, png.SIGNATURE: png.header}
# TensorFlow refuses images of this many bytes (core/lib/{jpeg,png}), at three bytes per pixel.
TOO_MANY_BYTES = 1 << 29


def header(data: bytes) -> Header:
    """Return the header of a JPEG or PNG; raise ImageError for anything else."""
    for signature, read in _HEADERS.items():
        if data.startswith(signature):
            return read(data)
    raise ImageError(unread(data))


def foreign(data: bytes) -> bool:
    """Tell whether bytes are an image in a format that is never stored but can be converted."""
    stored = data.startswith((jpeg.SIGNATURE, png.SIGNATURE))
    return not stored and magic.name(data) in magic.CONVERTED


def unread(data: bytes) -> str:
    """Say what bytes are that are neither a JPEG nor a PNG, and what to do about them."""
    if not data:
        return "found an empty file, expected a JPEG or PNG; fetch it again"
    name = magic.name(data)
    what = name or "bytes that start with " + data[:8].hex(" ")
    remedy = "; convert it" if name in magic.PICTURES else ""
    return f"found {what}, expected a JPEG or PNG{remedy}"


def refusal(head: Header, bits: int = 8) -> str | None:
    """Return why an image may not be stored as it is, or None if it may.

    Channels may have `bits` at most. An image is refused if TensorFlow, OpenCV or Pillow cannot
    decode it, or decodes it to other pixels.
    """
    what = None
    if head.height < 1 or head.width < 1:
        return f"found an image of {head.width} x {head.height} pixels; fetch or export it again"
    if head.height * head.width * 3 >= TOO_MANY_BYTES:
        return (
            f"found {head.width:,} x {head.height:,} pixels, expected fewer than "
            f"{TOO_MANY_BYTES // 3:,}: a decompression bomb, or too large for TensorFlow; "
            "cut it into tiles"
        )
    if head.model not in ("grey", "grey+alpha", "rgb", "rgba", "palette"):
        what = "a CMYK JPEG" if head.model == "cmyk" else head.model
    elif head.coding in ("arithmetic", "lossless"):
        what = f"a JPEG with {head.coding} coding"
    elif head.bits > bits:
        what = f"{head.bits} bits per channel"
    elif head.frames > 1:
        what = f"an animated PNG with {head.frames} frames"
    elif head.beside:
        what = f"a PNG with {head.beside}"
    if what is None:
        return None
    return (
        f"found {what}, expected a baseline or progressive JPEG, or a still 8-bit PNG in grey or "
        "RGB; convert it"
    )


def convertible(head: Header) -> bool:
    """Tell whether `convert` can read an image that may not be stored, if the file is complete."""
    if not 0 < head.height * head.width * 3 < TOO_MANY_BYTES:
        return False
    return head.format == "png" or (
        head.bits == 8 and head.coding != "lossless" and head.model in ("grey", "rgb", "cmyk")
    )


def preload() -> None:
    """Import in this thread what decoding needs, before other threads decode.

    A process that is forked while another thread imports OpenCV waits forever for that import.
    """
    import cv2  # noqa: F401

    opening.preload()


def check(data: bytes, head: Header, bits: int = 8) -> None:
    """Decode an image far enough to find every error that a full decode would find.

    A JPEG is decoded in grey at one eighth of its size, which reads all of its entropy-coded
    data but computes hardly any of the inverse transform. PNG rows stay filtered. Raises
    ImageError, also for channels of more than `bits`.
    """
    if head.format == "png" and not refusal(head, bits):
        png.check(data, head)
    else:
        _load(data, head, draft=True)


def decode(data: bytes, head: Header, strict: bool = False) -> NDArray[np.uint8]:
    """Decode a whole image: uint8 (h, w, 3) RGB, alpha dropped, EXIF not applied.

    The pixels equal TensorFlow's `decode_image(channels=3)`, for JPEG with
    `dct_method="INTEGER_ACCURATE"`. Raises ImageError; if `strict`, whenever `check` does.
    """
    if head.format == "jpeg" and not strict and not refusal(head):
        # OpenCV decodes straight into the array; Pillow takes a sixth longer, and a copy. OpenCV
        # also reads some damaged files that Pillow refuses, so it does not decide on admission.
        import cv2

        pixels = cv2.imdecode(
            np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
        )
        if pixels is not None:
            return np.asarray(pixels, np.uint8)
    image = _load(data, head)
    if "transparency" in image.info:
        image = image.convert("RGBA")
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def own(data: bytes, head: Header) -> NDArray[np.uint8]:
    """Decode a whole image in its own channels: uint8 (h, w) or (h, w, c); raise ImageError."""
    return transform.of(_load(data, head))


def convert(data: bytes) -> tuple[NDArray[np.uint8], int]:
    """Return the pixels of an image in any common format, and its orientation.

    See `transform.convert`. Everything in a PNG but its pixels is ignored. Raises ImageError.
    """
    if foreign(data):
        return transform.convert(data, TOO_MANY_BYTES // 3)
    head = header(data)
    reason = refusal(head)
    if reason and not convertible(head):
        raise ImageError(reason)
    data = png.bare(data) if head.format == "png" else data
    return transform.convert(data, TOO_MANY_BYTES // 3)[0], head.orientation


def _load(data: bytes, head: Header, draft: bool = False) -> Image.Image:
    reason = refusal(head)
    if reason:
        raise ImageError(reason)
    if head.format == "png":
        return png.load(data, head)
    opening.judging()
    if head.usual and (found := opening.decoded(data, head, 8 if draft else 1)):
        return found
    try:
        image = opening.opened(data, "JPEG")
        # In one piece: at the end of every smaller one libjpeg would fall back to a slower loop.
        image.decodermaxblock = max(image.decodermaxblock, len(data))
        if draft:
            image.draft("L", (max(head.width // 8, 1), max(head.height // 8, 1)))
        image.load()
    except (OSError, ValueError, SyntaxError) as error:
        excuse(error)
        bytes(6 * head.height * head.width)  # MemoryError: libjpeg calls a file damaged then, too
        raise ImageError(
            f"found a damaged JPEG: {words(error)}; fetch or export the file again"
        ) from error
    return image


def grey(data: bytes, head: Header, bits: int = 8) -> bytes | None:
    """Return a label PNG losslessly as grey class indices, or None: see `png.grey`."""
    return png.grey(data, head, bits) if head.format == "png" else None


def plane(data: bytes) -> png.Plane:
    """Return the values stored in a record's label PNG: uint8 (h, w), or uint16 with 16 bits.

    The PNG is grey or has a palette, with 1 to 16 bits, interlaced or not. Raises
    ImageError for anything else: colours and lossy pixels are not classes. Labels of a source
    are read by `labels.read`.
    """
    head = class_header(data)
    if head.model not in ("grey", "palette"):
        raise ImageError(
            f"found an {head.model.upper()} label, expected one channel of class indices: map its "
            "colours to indices first",
            kind="colours",
        )
    refuse_label(head, wide=True)
    return png.indices(data, head)


def label_header(data: bytes) -> Header:
    """Return the header of a label in JPEG or PNG; raise ImageError for anything else."""
    if foreign(data):
        name = magic.name(data) or ""
        remedy = "" if "WebP" in name else ", or build with --unreadable reencode"
        raise ImageError(
            f"found {name} as label, expected a PNG; save it as a PNG with the same values{remedy}"
        )
    return header(data)


def class_header(data: bytes) -> Header:
    """Return the header of a label that holds classes; raise ImageError for a JPEG."""
    head = label_header(data)
    if head.format == "jpeg":
        raise ImageError(
            "found a JPEG label, expected a PNG of class indices: JPEG blurs indices into "
            "neighbouring classes; export the masks as PNG",
            kind="jpeg",
        )
    return head


def refuse_label(head: Header, wide: bool = False) -> None:
    """Raise ImageError for a label that is animated or has more than 8 bits per channel.

    With `wide` a grey one may have 16 bits.
    """
    if wide and head.model == "grey" and head.bits == 16:
        head = dataclasses.replace(head, bits=8)
    what = f"{head.bits} bits per channel" if head.bits > 8 else f"{head.frames} frames"
    if head.bits > 8 or head.frames > 1:
        raise ImageError(
            f"found a label with {what}, expected a still 8-bit PNG; save it as one, with its "
            "values mapped to class indices"
        )
    head = dataclasses.replace(head, beside="") if head.beside else head  # `grey` drops it
    reason = refusal(head)
    if reason:
        raise ImageError(f"label: {reason}")


def histogram(plane: NDArray[np.integer[Any]]) -> dict[int, int]:
    """Return value -> number of pixels for all values in a plane, (h, w), 0 or more, sorted."""
    flat = np.ascontiguousarray(plane).reshape(-1)
    # A mask has few values, and some pixels show nearly always which: counting one is fastest.
    likely = np.flatnonzero(np.bincount(flat[::_SOME])).tolist()
    if len(likely) <= _FEW:
        found = {value: int(np.count_nonzero(flat == value)) for value in likely}
        if sum(found.values()) == flat.size:
            return found
    ends = np.flatnonzero(flat[1:] != flat[:-1])
    if len(ends) < flat.size // 16:  # long runs of equal pixels, as in every mask: count runs
        starts = np.concatenate(([0], ends + 1))
        lengths = np.diff(starts, append=flat.size)
        counts = np.bincount(flat[starts], lengths).astype(np.int64).tolist()
    elif flat.dtype == np.uint8:
        counts = Image.fromarray(flat[None]).histogram()
    else:
        counts = np.bincount(flat).tolist()
    return {value: count for value, count in enumerate(counts) if count}


def draw(
    size: tuple[int, int],
    polygons: Sequence[tuple[Sequence[tuple[float, float]], int]],
    background: int,
) -> NDArray[np.uint8]:
    """Draw filled polygons on a background, later ones over earlier ones: uint8 (h, w).

    `size` is (width, height); a polygon is its points (x, y) and its value. Raises
    ImageError for a size or points that cannot be drawn.
    """
    from PIL import ImageDraw  # here, since few layouts draw

    try:
        if not 0 < size[0] * size[1] * 3 < TOO_MANY_BYTES:
            raise ValueError(f"an image of {size[0]} x {size[1]} pixels")
        image = Image.new("L", size, background)
        pen = ImageDraw.Draw(image)
        for points, value in polygons:
            pen.polygon(points, fill=value)
    except (ValueError, TypeError, OverflowError) as error:
        raise ImageError(f"found polygons that cannot be drawn: {words(error)}") from error
    return np.asarray(image)
