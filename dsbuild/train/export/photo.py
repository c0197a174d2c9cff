"""Decode image files in TensorFlow's graph to the pixels that `dsbuild predict` sees.

JPEGs are decoded by the exact transform, and images turned by their EXIF orientation, as
`images.display.pixels` does for JPEG and PNG, except for orientations in XMP. Source: ITU T.81,
B.1; TIFF 6.0, section 2; EXIF 2.32, 4.6.4; PNG 3, 5.3.
"""

from collections.abc import Callable, Sequence

import tensorflow as tf

from dsbuild import images

_EXIF = tuple(b"Exif\0\0")
_STANDALONE = (0x00, 0x01, *range(0xD0, 0xD9))  # markers without a length
_APP1, _EOI, _SOS = 0xE1, 0xD9, 0xDA
_ORIENTATION = 0x0112
_SHORT, _LONG = 3, 4  # EXIF types


def pixels(data: tf.Tensor, span: tuple[int, int] | None = None) -> tf.Tensor:
    """Return the image in a file's bytes, string (): uint8 (h, w, 3) RGB.

    With `span`, its values of a PNG of 16 bits become 0 to 255; otherwise the upper 8 bits are
    taken.
    """
    jpeg = tf.io.is_jpeg(data)

    def other() -> tf.Tensor:
        return tf.io.decode_image(data, 3, expand_animations=False)

    def narrow() -> tf.Tensor:
        if span is None:
            return other()
        return tf.cond(_deep(data), lambda: _scaled(data, *span), other)

    image = tf.cond(jpeg, lambda: tf.io.decode_jpeg(data, 3, dct_method="INTEGER_ACCURATE"), narrow)
    image = tf.ensure_shape(image, (None, None, 3))
    numbers = tf.cast(tf.io.decode_raw(data, tf.uint8), tf.int64)
    orientation = tf.cond(jpeg, lambda: _jpeg(numbers), lambda: _png(numbers))
    return turned(image, orientation)


def _deep(data: tf.Tensor) -> tf.Tensor:
    """Tell whether bytes are a PNG of 16 bits: bool ()."""
    png = tf.equal(tf.strings.substr(data, 0, len(images.PNG)), images.PNG)
    return png & tf.equal(tf.strings.substr(data, 24, 1), b"\x10")  # PNG 3, 11.2.1


def _scaled(data: tf.Tensor, low: int, high: int) -> tf.Tensor:
    """Return a PNG of 16 bits as RGB uint8, low..high as 0..255, rounded."""
    values = tf.cast(tf.io.decode_png(data, channels=3, dtype=tf.uint16), tf.float32)
    values = (tf.clip_by_value(values, float(low), float(high)) - low) / ((high - low) / 255)
    return tf.cast(tf.floor(values + 0.5), tf.uint8)


def turned(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Return an image as viewers show it, by its EXIF orientation, 1 to 8."""

    def change(
        image: tf.Tensor, step: Callable[[tf.Tensor], tf.Tensor], orientations: Sequence[int]
    ) -> tf.Tensor:
        applies = tf.reduce_any(tf.equal(orientation, orientations))
        return tf.cond(applies, lambda: step(image), lambda: image)

    image = change(image, lambda image: tf.transpose(image, [1, 0, 2]), [5, 6, 7, 8])
    image = change(image, lambda image: tf.reverse(image, [0]), [3, 4, 7, 8])
    return change(image, lambda image: tf.reverse(image, [1]), [2, 3, 6, 7])


def _number(data: tf.Tensor, at: tf.Tensor, size: int, little: tf.Tensor | bool) -> tf.Tensor:
    """Return integers of `size` bytes at places (...); bytes past the end are 0."""
    places = at[..., tf.newaxis] + tf.range(size, dtype=tf.int64)
    length = tf.size(data, tf.int64)
    values = tf.gather(data, tf.clip_by_value(places, 0, tf.maximum(length - 1, 0)))
    values = tf.where((places >= 0) & (places < length), values, 0)
    powers = tf.constant([256 ** (size - 1 - i) for i in range(size)], tf.int64)
    return tf.reduce_sum(values * tf.where(little, powers[::-1], powers), -1)


def _tiff(tiff: tf.Tensor) -> tf.Tensor:
    """Return the orientation in an EXIF block, int64 (); 1 if it has none or is damaged.

    It is one value of the type SHORT or LONG, as in `images.header.orientation`.
    """
    start = tf.constant(0, tf.int64)
    order = _number(tiff, start, 4, False)
    little = tf.equal(order, 0x49492A00)  # II, 42
    valid = little | tf.equal(order, 0x4D4D002A)  # MM, 42
    first = _number(tiff, start + 4, 4, little)
    count = _number(tiff, first, 2, little)
    entries = first + 2 + 12 * tf.range(count, dtype=tf.int64)
    is_it = tf.equal(_number(tiff, entries, 2, little), _ORIENTATION)
    is_it &= entries < tf.size(tiff, tf.int64) - 11
    entry = tf.concat([entries[is_it], [0]], 0)[0]
    kind = _number(tiff, entry + 2, 2, little)
    short, long = (_number(tiff, entry + 8, size, little) for size in (2, 4))
    value = tf.where(tf.equal(kind, _SHORT), short, tf.where(tf.equal(kind, _LONG), long, 0))
    valid &= tf.equal(_number(tiff, entry + 4, 4, little), 1)
    valid &= tf.reduce_any(is_it) & (value >= 1) & (value <= 8)
    return tf.where(valid, value, 1)


def _jpeg(data: tf.Tensor) -> tf.Tensor:
    """Return the orientation of a JPEG: the first one but 1, before its first scan."""
    length = tf.size(data, tf.int64)

    def walk(at: tf.Tensor, orientation: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        marker = _number(data, at + 1, 1, False)
        size = _number(data, at + 2, 2, False)
        is_marker = tf.equal(_number(data, at, 1, False), 0xFF)
        has_size = is_marker & (marker != 0xFF) & ~tf.reduce_any(tf.equal(marker, _STANDALONE))
        head = _number(data, at + 4 + tf.range(6, dtype=tf.int64), 1, False)
        exif = has_size & tf.equal(marker, _APP1) & tf.reduce_all(tf.equal(head, _EXIF))
        exif &= tf.equal(orientation, 1)
        orientation = tf.cond(
            exif, lambda: _tiff(data[at + 10 : at + 2 + size]), lambda: orientation
        )
        ends = has_size & (tf.equal(marker, _SOS) | tf.equal(marker, _EOI))
        # Junk between segments is skipped byte by byte, as every decoder does.
        step = tf.where(has_size, 2 + size, 1)
        return tf.where(ends, length, at + step), orientation

    start = tf.constant(2, tf.int64), tf.constant(1, tf.int64)
    return tf.while_loop(lambda at, _: at < length, walk, start)[1]


def _png(data: tf.Tensor) -> tf.Tensor:
    """Return the orientation of a PNG; 1 for any other format."""
    length = tf.size(data, tf.int64)

    def walk(at: tf.Tensor, orientation: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        size, kind = _number(data, at, 4, False), _number(data, at + 4, 4, False)
        exif = tf.equal(kind, int.from_bytes(b"eXIf", "big"))
        orientation = tf.cond(
            exif, lambda: _tiff(data[at + 8 : at + 8 + size]), lambda: orientation
        )
        return at + 12 + size, orientation

    signature = tf.equal(_number(data, tf.constant(0, tf.int64), 4, False), 0x89504E47)
    start = tf.where(signature, tf.constant(8, tf.int64), length), tf.constant(1, tf.int64)
    return tf.while_loop(lambda at, _: at < length, walk, start)[1]
