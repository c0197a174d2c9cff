"""Images of 16 bits per channel in a TensorFlow graph: decoded whole, and as RGB of 0..255."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from dsbuild import images
from dsbuild.errors import PlanError
from dsbuild.format import example
from dsbuild.reader.sample import Sample

# What follows the size in an IHDR chunk: 16 bits and the kind of colours. W3C PNG, 11.2.1.
TYPES = {8: tf.uint8, 16: tf.uint16}  # bits -> type of pixels
_SAID = {1: b"\x10\0", 2: b"\x10\4", 3: b"\x10\2", 4: b"\x10\6"}


def bands(sample: Sample) -> int:
    """Return how many bands a sample's image has with 16 bits per channel; 0 if it has 8."""
    head = images.header(sample.encoded)
    return head.channels if head.bits == 16 else 0


def decoded(data: tf.Tensor, bands: int) -> tf.Tensor:
    """Return the pixels of a 16-bit PNG of so many bands: uint16 (h, w, bands)."""
    said = _SAID[bands]
    same = tf.equal(tf.strings.substr(data, 24, len(said)), said)
    text = f"found an image of another depth or number of bands, expected {bands} of 16 bits"
    with tf.control_dependencies([tf.debugging.Assert(same, [text])]):
        return tf.io.decode_png(data, channels=bands, dtype=tf.uint16)


def aligned(sample: Sample) -> tuple[tuple[str, int, int], ...]:
    """Return name, channels and bits of the planes that a sample has from files of their own."""
    heads = [
        (n, images.header(example.first(sample.stored(f"{n}.encoded")))) for n in sample.aligned
    ]
    return tuple((name, head.channels, head.bits) for name, head in heads)


def plane(data: tf.Tensor, channels: int, bits: int) -> tf.Tensor:
    """Return the pixels of a plane: uint8 or uint16 (h, w, channels)."""
    return tf.io.decode_png(data, channels=channels, dtype=TYPES[bits])


def refuse(spec: Any) -> None:
    """Raise PlanError for samples whose images have 16 bits and are neither grey nor RGB."""
    image = spec.get("image") if isinstance(spec, Mapping) else spec[0]
    if image is not None and image.dtype == tf.uint16 and image.shape[-1] not in (1, 3):
        raise PlanError(
            f"image: found {image.shape[-1]} bands, expected 1 or 3, which become RGB; choose some "
            "in a map of your own before this"
        )


def eight_bits(image: tf.Tensor, low: int = 0, high: int = 65535) -> tf.Tensor:
    """Return an image of 16 bits as RGB float32, low..high as 0..255; any other as it is."""
    if image.dtype != tf.uint16:
        return image
    image = tf.clip_by_value(tf.cast(image, tf.float32), float(low), float(high)) - low
    image = image / ((high - low) / 255)
    return tf.repeat(image, 3, axis=2) if image.shape[-1] == 1 else image
