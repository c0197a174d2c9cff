"""Windows against the pipeline that resizes, pads, crops and flips all of an image."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from dsbuild.reader.tf.resample import Window, bilinear, nearest, padded

PAIR = tf.TensorSpec([2], tf.int32)
SIGNATURE = [
    tf.TensorSpec([None, None, 3], tf.uint8),
    tf.TensorSpec([None, None, 1], tf.uint8),
    Window(PAIR, PAIR, PAIR, tf.TensorSpec([], tf.bool)),
]
FILL = (1.5, 127.5, 200.25)


@tf.function(input_signature=SIGNATURE, autograph=False)
def windows(image, label, window):
    return bilinear(image, window), nearest(label, window)


def plain(image, label, crop, window):
    """Resize all, pad below and right, crop, flip."""
    size, offset = np.array(window.size), np.array(window.offset)
    image = tf.image.resize(image, size)
    label = tf.image.resize(label, size, "nearest")
    whole = np.maximum(size, crop)
    image = tf.image.pad_to_bounding_box(image - FILL, 0, 0, *whole) + FILL
    label = 255 - tf.image.pad_to_bounding_box(255 - label, 0, 0, *whole)
    image, label = (tf.image.crop_to_bounding_box(x, *offset, *crop) for x in (image, label))
    if window.flip:
        image, label = tf.image.flip_left_right(image), tf.image.flip_left_right(label)
    return image.numpy(), label.numpy()


def ours(image, label, crop, window):
    flip = tf.constant(window.flip)
    image, label = windows(image, label, window._replace(flip=flip))
    return (
        padded(image, crop, tf.constant(FILL), flip).numpy(),
        padded(label, crop, tf.constant([255]), flip).numpy(),
    )


def drawn(shape, seed=0):
    """Return noise, which shows every shift, and a label of all values."""
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (*shape, 3), np.uint8), random.integers(
        0, 255, (*shape, 1), np.uint8
    )


def same(shape, size, crop, share, flip, seed=0, tolerance=0.02):
    image, label = drawn(shape, seed)
    seen = np.minimum(size, crop)
    offset = np.array([int(s * (n - k + 1)) for s, n, k in zip(share, size, seen, strict=True)])
    window = Window(np.int32(size), np.int32(offset), np.int32(seen), flip)
    expected, found = plain(image, label, crop, window), ours(image, label, crop, window)
    assert found[0].shape == (*crop, 3)
    assert np.abs(found[0] - expected[0]).max() <= tolerance
    np.testing.assert_array_equal(found[1], expected[1])


def sides(most):
    return st.tuples(st.integers(1, most), st.integers(1, most))


SHARES = st.tuples(st.floats(0, 0.999), st.floats(0, 0.999))
ANY = given(sides(40), sides(130), sides(60), SHARES, st.booleans(), st.integers(0, 9))
SCALES = st.sampled_from((0.5, 0.75, 1, 1.25, 1.5, 1.75, 2))
DEEPLAB = given(sides(60), SCALES, sides(20), SHARES, st.booleans())


@settings(deadline=None, max_examples=100)
@ANY
def test_any_window_is_that_of_the_plain_pipeline(shape, size, crop, share, flip, seed):
    same(shape, size, crop, share, flip, seed)


@pytest.mark.slow
@settings(deadline=None, max_examples=400)
@ANY
def test_many_windows_are_those_of_the_plain_pipeline(shape, size, crop, share, flip, seed):
    same(shape, size, crop, share, flip, seed)


@settings(deadline=None, max_examples=50)
@DEEPLAB
def test_scales_of_deeplab(shape, scale, crop, share, flip):
    scaled(shape, scale, crop, share, flip)


@pytest.mark.slow
@settings(deadline=None, max_examples=100)
@DEEPLAB
def test_more_scales_of_deeplab(shape, scale, crop, share, flip):
    scaled(shape, scale, crop, share, flip)


def scaled(shape, scale, crop, share, flip):
    size = tuple(max(1, int(side * scale)) for side in shape)
    same(shape, size, crop, share, flip)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize(
    "place", [0.999, *(pytest.param(x, marks=pytest.mark.slow) for x in (0, 0.5))]
)
@pytest.mark.parametrize(
    ("shape", "size", "crop"),
    [
        ((375, 500), (656, 875), (513, 513)),
        ((375, 500), (187, 250), (513, 513)),
        ((1024, 2048), (2048, 4096), (101, 257)),  # a part, since both are even
        ((1021, 1999), (1787, 3499), (101, 257)),  # a box, since nothing divides both
    ],
)
def test_sizes_of_real_images(shape, size, crop, place, flip):
    same(shape, size, crop, (place, place), flip, tolerance=0.1)


def test_a_window_at_the_planes_own_size_is_its_pixels():
    image, label = drawn((37, 41))
    window = Window(np.int32([37, 41]), np.int32([3, 11]), np.int32([20, 30]), True)
    found = windows(image, label, window)
    np.testing.assert_array_equal(found[0], image[3:23, 11:41][:, ::-1])
    np.testing.assert_array_equal(found[1], label[3:23, 11:41][:, ::-1])


def test_nearest_keeps_dtypes():
    window = Window(np.int32([6, 6]), np.int32([1, 2]), np.int32([4, 3]), True)
    for dtype in (np.bool_, np.int16, np.int32, np.float32, np.uint8):
        plane = (np.arange(18).reshape(3, 3, 2) % 2).astype(dtype)
        found = nearest(tf.constant(plane), window).numpy()
        assert found.dtype == dtype
        whole = plane.repeat(2, 0).repeat(2, 1)
        np.testing.assert_array_equal(found, whole[1:5, 2:5][:, ::-1])


def test_padding_of_two_sides():
    plane = tf.ones([2, 3, 1], tf.uint8)
    found = padded(plane, (3, 5), tf.constant([7]), tf.constant(True))
    assert found.shape == (3, 5, 1)
    assert found[..., 0].numpy().tolist() == [[7, 7, 1, 1, 1], [7, 7, 1, 1, 1], [7] * 5]
