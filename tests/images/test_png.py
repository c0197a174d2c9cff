"""PNGs: rows inflated once, the check without unfiltering, alpha alone, writing."""

import io
import random
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from dsbuild import images
from dsbuild.errors import ImageError
from dsbuild.images import mattes, png
from tests.support.pictures import PHOTO, PLANE, admitted, by_tensorflow, full_decode, raw_png, save


def again(data, pixels=None, change=lambda kind, body: [(kind, body)]):
    """Rewrite the chunks of a PNG with other inflated pixels or chunks, and correct checksums."""
    out = [png.SIGNATURE]
    for kind, body, _ in png.chunks(data):
        if kind == b"IDAT" and pixels is not None:
            body = zlib.compress(pixels)
        out += [png.chunk(*chunk) for chunk in change(kind, body)]
    return b"".join(out)


def inflated(data):
    """Return the inflated pixels of a PNG, filters included."""
    return zlib.decompress(b"".join(body for kind, body, _ in png.chunks(data) if kind == b"IDAT"))


def by_tensorflow_or_none(data):
    """Return the pixels from TensorFlow, or None if it refuses the image."""
    import tensorflow as tf

    try:
        return by_tensorflow(data)
    except tf.errors.InvalidArgumentError:
        return None


@pytest.mark.heavy
def test_the_check_of_a_png_notices_what_tensorflow_notices():
    rng = random.Random(6)
    corpus = [save(PHOTO.convert(mode), "PNG") for mode in ("RGB", "RGBA", "L", "LA", "P")]
    corpus.append(raw_png(PLANE, 8, 0, interlaced=True))
    verdicts = set()
    for _ in range(600):
        source = rng.choice(corpus)
        pixels = bytearray(inflated(source))
        match rng.randrange(4):
            case 0:  # also filters, at the start of every row
                step = len(pixels) // images.header(source).height
                pixels[rng.randrange(len(pixels)) // step * step] = rng.randrange(8)
            case 1:
                pixels[rng.randrange(len(pixels))] ^= 1 << rng.randrange(8)
            case 2:
                rows = images.header(source).height  # also whole rows
                del pixels[-rng.choice([rng.randrange(1, 99), len(pixels) // rows]) :]
            case 3:
                pixels += bytes(rng.randrange(99))
        data = again(source, bytes(pixels))
        expected = by_tensorflow_or_none(data)
        verdicts.add(expected is None)
        np.testing.assert_array_equal(admitted(data), expected)
        if expected is None:
            with pytest.raises(ImageError):
                images.decode(data, images.header(data))
    assert verdicts == {False, True}


@pytest.mark.parametrize("at", [b"IDAT", b"IEND"])
@pytest.mark.parametrize("kind", [b"iCCP", b"zTXt", b"iTXt", b"eXIf", b"pHYs", b"gAMA", b"sRGB"])
@pytest.mark.parametrize("body", [b"", b"x", b"a\0\0no zlib", b"a\0\1"])
def test_chunks_beside_the_pixels_are_checked_as_in_a_full_decode(at, kind, body):
    def change(name, old):
        return [(kind, body), (name, old)] if name == at else [(name, old)]

    data = again(save(PHOTO), change=change)
    assert (admitted(data) is not None) == full_decode(data)


def test_pixels_interrupted_by_other_chunks_are_refused():
    def change(kind, body):
        if kind != b"IDAT":
            return [(kind, body)]
        return [(kind, body[:40]), (b"tEXt", b"a\0b"), (kind, body[40:])]

    data = again(save(PHOTO), change=change)
    with pytest.raises(ImageError, match="other chunks interrupt"):
        images.header(data)
    assert not full_decode(data)


def doubled(which):
    return lambda kind, body: [(kind, body)] * (1 + (kind == which))


@pytest.mark.heavy
@pytest.mark.parametrize(
    "data",
    [
        again(save(PHOTO), change=doubled(b"IHDR")),
        again(save(PHOTO.convert("P")), change=doubled(b"PLTE")),
        again(
            save(PHOTO.convert("P")),
            change=lambda kind, body: [(kind, b"" if kind == b"PLTE" else body)],
        ),
        again(
            save(PHOTO),
            change=lambda kind, body: [
                (kind, body),
                *([(b"aB4D", b"")] if kind == b"IHDR" else []),
            ],
        ),
        again(  # more rows than the image has, and no end after them
            save(PHOTO),
            change=lambda kind, body: [
                (kind, zlib.compress(inflated(save(PHOTO)) + bytes(99))[:-5])
                if kind == b"IDAT"
                else (kind, body)
            ],
        ),
    ],
)
def test_images_refused_by_tensorflow_are_refused(data):
    import tensorflow as tf

    with pytest.raises(tf.errors.InvalidArgumentError):
        tf.io.decode_png(data, channels=3)
    assert admitted(data) is None


@pytest.mark.heavy
def test_more_rows_than_the_image_has_are_left_out():
    data = again(save(PHOTO), inflated(save(PHOTO)) + bytes(99))
    np.testing.assert_array_equal(admitted(data), by_tensorflow(data))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 30),
    st.integers(1, 30),
    st.sampled_from(["LA", "RGBA"]),
    st.sampled_from([0, 6]),
    st.integers(0, 2**32),
)
def test_alpha_equals_that_of_a_full_decode_by_pillow(width, height, mode, level, seed):
    rng = np.random.default_rng(seed)
    channels = rng.integers(0, 256, (height, width, len(mode)), np.uint8)
    smooth = np.cumsum(channels // 32, axis=0, dtype=np.uint8)  # filters differ from row to row
    assume(smooth[..., -1].min() < smooth[..., -1].max())
    data = save(Image.fromarray(smooth, mode), compress_level=level)
    np.testing.assert_array_equal(mattes.alpha(data), smooth[..., -1])


@pytest.mark.parametrize("filters", range(5))
def test_alpha_with_every_filter(filters):
    rng = np.random.default_rng(filters)
    raw = rng.integers(0, 256, (9, 1 + 4 * 7), np.uint8)
    raw[:, 0] = filters
    data = again(save(Image.new("RGBA", (7, 9))), raw.tobytes())
    expected = np.asarray(Image.open(io.BytesIO(data)))[..., 3]
    np.testing.assert_array_equal(mattes.alpha(data), expected)


@pytest.mark.heavy
@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 256), st.integers(0, 2**32))
def test_written_planes_read_back_and_are_not_filtered(height, width, values, seed):
    import tensorflow as tf

    plane = np.random.default_rng(seed).integers(0, values, (height, width)).astype(np.uint8)
    data = images.write(plane)
    head = images.header(data)
    assert (head.model, head.bits) == ("grey", 8)
    assert not any(inflated(data)[:: width + 1])
    np.testing.assert_array_equal(images.plane(data), plane)
    np.testing.assert_array_equal(tf.io.decode_png(data).numpy()[..., 0], plane)
    assert [kind for kind, _, _ in png.chunks(data)] == [b"IHDR", b"IDAT", b"IEND"]


@given(
    arrays(st.sampled_from([np.uint8, np.uint16]), array_shapes(min_dims=2, max_dims=2)),
    st.sampled_from([np.asarray, np.transpose, np.asfortranarray, np.flipud]),
)
def test_written_planes_are_read_back_by_all(plane, view):
    plane = view(plane)
    data = png.write(plane)
    head = png.header(data)
    assert head.bits == 8 * plane.dtype.itemsize
    for found in (
        png.indices(data, head),
        np.asarray(Image.open(io.BytesIO(data))),
        cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED),
    ):
        assert found.dtype == plane.dtype
        np.testing.assert_array_equal(found, plane)
