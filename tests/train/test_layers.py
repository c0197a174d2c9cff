import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dsbuild.reader.tf.augment import evaluation
from dsbuild.reader.tf.augmentation import Augmentation
from dsbuild.train.model.layers import Canvas, Pixels, Scale, Spread
from dsbuild.train.model.places import interpolation, ranged, resize
from dsbuild.train.model.scalings import SCALINGS
from tests.support.backends import on_torch

sizes = st.integers(1, 40)


def planes(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def tensorflow_resize(x, height, width, align_corners):
    if align_corners:
        return tf.compat.v1.image.resize_bilinear(x, (height, width), align_corners=True).numpy()
    return tf.image.resize(x, (height, width)).numpy()


@settings(deadline=None, max_examples=60)
@given(sizes, sizes, sizes, sizes, st.booleans())
@example(1, 1, 7, 9, True)
@example(33, 33, 129, 129, True)
@example(5, 7, 1, 1, True)
@example(5, 7, 1, 1, False)
def test_resizing_equals_tensorflows(rows, columns, height, width, align_corners):
    x = planes(2, rows, columns, 3)
    ours = np.array(resize(x, height, width, align_corners))
    expected = tensorflow_resize(x, height, width, align_corners)
    np.testing.assert_allclose(ours, expected, atol=3e-5)


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize(
    ("few", "many"), [(1001, 9999), pytest.param(4001, 9999, marks=pytest.mark.slow)]
)
def test_weights_are_exact_on_long_axes(align_corners, few, many):
    weights = np.array(interpolation(few, many, align_corners))
    i, last = np.arange(many, dtype=np.float64), few - 1
    places = np.clip((i + 0.5) * few / many - 0.5, 0, last)
    if align_corners:
        places = i * last / (many - 1)
    expected = np.maximum(1 - np.abs(places[:, None] - np.arange(few)), 0)
    np.testing.assert_allclose(weights, expected, atol=1e-6)


def test_a_size_that_a_graph_does_not_know_is_found_at_run_time():
    layer = Spread(4, 2)
    unknown = tf.TensorSpec((None, None, None, None))
    function = tf.function(lambda x, y: layer([x, y]), input_signature=[unknown, unknown])
    for height, width in ((1, 1), (9, 5)):
        x, like = planes(1, 4, 3, 2), planes(1, height, width, 1)
        np.testing.assert_array_equal(function(x, like), layer([x, like]))
    assert function(x, like).shape == (1, 9, 5, 2)


@pytest.mark.parametrize(("factor", "expected"), [(0.5, (7, 5)), (0.75, (10, 7)), (2.0, (25, 17))])
def test_scales_equal_deeplabs(factor, expected):
    layer = Scale(factor)
    x = planes(1, 13, 9, 2)
    y = layer(x)
    assert y.shape == (1, *expected, 2)
    assert layer.compute_output_shape((1, 13, None, 2)) == (1, expected[0], None, 2)
    unknown = tf.function(layer, input_signature=[tf.TensorSpec((None, None, None, 2))])
    np.testing.assert_array_equal(unknown(x), y)
    np.testing.assert_allclose(y, tensorflow_resize(x, *expected, True), atol=1e-5)


@pytest.mark.parametrize("mode", list(SCALINGS))
def test_pixels_are_scaled_as_keras_does(mode):
    x = np.random.default_rng(0).integers(0, 256, (1, 5, 4, 3)).astype(np.float32)
    plain = {"128": (x - 128) / 128, "unit": x / 255, "raw": x}  # 128: as EfficientNetV2S inside
    if mode in plain:
        expected = plain[mode]
    else:
        expected = keras.applications.imagenet_utils.preprocess_input(x.copy(), mode=mode)
    np.testing.assert_allclose(Pixels(mode)(x), expected, atol=1e-4)


@pytest.mark.parametrize(
    "layer",
    [
        Spread(8, 4, False, dtype="float32"),
        Canvas(16, 513),
        Scale(0.5, False, (33, 65, 4), 16),
        Pixels("caffe"),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_layers_are_rebuilt_from_their_configuration(layer):
    config = layer.get_config()
    assert type(layer).from_config(config).get_config() == config


@pytest.mark.parametrize("mode", list(SCALINGS))
def test_padding_is_0_to_the_backbone(mode):
    assert not np.any(Pixels(mode)(np.full((1, 2, 2, 3), SCALINGS[mode].fill, np.float32)))


@pytest.mark.parametrize(
    ("size", "least", "expected"),
    [((1, 17), 1, (1, 17)), ((2, 18), 1, (17, 33)), ((40, 600), 513, (513, 609)), ((3, 3), 30, 33)],
)
def test_planes_are_padded_below_and_on_the_right(size, least, expected):
    x = planes(2, *size, 3) + 5
    layer = Canvas(16, least)
    expected = np.broadcast_to(expected, 2)
    unknown = tf.function(layer, input_signature=[tf.TensorSpec((None, None, None, 3))])
    for found in (layer(x), unknown(x)):
        assert found.shape == (2, *expected, 3)
        np.testing.assert_array_equal(found[:, : size[0], : size[1]], x)
        assert np.count_nonzero(found) == x.size
    assert layer.compute_output_shape((2, size[0], None, 3)) == (2, expected[0], None, 3)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 12), st.integers(1, 12), st.sampled_from([4, 8, 16]), st.booleans())
def test_features_are_interpolated_by_position(rows, columns, stride, align_corners):
    features = planes(1, rows, columns, 2)
    size = ((rows - 1) * stride + 1, (columns - 1) * stride + 1)
    spread = Spread(stride, 1, align_corners)([features, np.zeros((1, *size, 1), np.float32)])
    np.testing.assert_array_equal(spread[:, ::stride, ::stride], features)
    expected = tensorflow_resize(features, *size, True)
    np.testing.assert_allclose(spread, expected, atol=1e-5)
    # Beyond the last feature, that feature counts.
    wide = np.zeros((1, size[0] + 3, size[1], 1), np.float32)
    beyond = Spread(stride, 1, align_corners)([features, wide])
    np.testing.assert_allclose(beyond[:, -3:], np.repeat(spread[:, -1:], 3, 1), atol=1e-6)


@pytest.mark.parametrize("align_corners", [True, False])
def test_features_of_a_resized_image_are_resized_back(align_corners):
    """A ramp stays where it was after any resize: nothing is shifted."""
    image = np.zeros((1, 5, 41, 1), np.float32) + np.arange(41, dtype=np.float32)[:, None]
    seen = resize(keras.ops.convert_to_tensor(image), 5, 97, align_corners)
    features = np.array(seen)[:, ::4, ::16]
    back = Spread(16, 1, align_corners)([features[:, [0, 0]], image, image, seen])
    inside = slice(7, -7)  # at halves the outermost pixels repeat the edge, and so do features
    np.testing.assert_allclose(back[0, 0, inside, 0], image[0, 0, inside, 0], atol=1e-3)


TORCH = """
import sys, numpy as np
from dsbuild.train.model.layers import resize
found = np.load(sys.argv[1])
for align in (True, False):
    ours = resize(found["x"], 11, 30, align).cpu().numpy()
    np.testing.assert_allclose(ours, found[str(align)], atol=1e-5)
"""


@pytest.mark.slow
def test_torch_resizes_the_same_way(tmp_path):
    x = planes(2, 7, 9, 3)
    expected = {str(align): tensorflow_resize(x, 11, 30, align) for align in (True, False)}
    np.savez(tmp_path / "found.npz", x=x, **expected)
    on_torch(TORCH, tmp_path / "found.npz")


@settings(deadline=None, max_examples=30)
@given(
    st.tuples(st.integers(1, 200), st.integers(1, 200)),
    st.integers(1, 90),
    st.integers(0, 90),
    st.integers(1, 16),
)
def test_sizes_equal_those_of_the_augmentation(size, least, more, multiple):
    sides = (least, least + more, multiple)
    sample = {"image": tf.zeros((*size, 3), tf.uint8)}
    expected = evaluation(sample, Augmentation(crop=None, resize=sides))["image"].shape[:2]
    assert Scale(sides=sides).compute_output_shape((1, *size, 3))[1:3] == expected
    assert all(side % multiple == 1 % multiple for side in expected)
    assert max(expected) <= least + more
    tensors = ranged(*map(tf.constant, size), *sides)
    assert tuple(int(one) for one in tensors) == tuple(expected)
