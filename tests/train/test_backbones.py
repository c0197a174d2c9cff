import keras
import numpy as np
import pytest

from dsbuild.errors import ModelError
from dsbuild.train.choices import CELLS
from dsbuild.train.model import backbones, build
from dsbuild.train.model.backbones import BACKBONES
from dsbuild.train.model.layers import Pixels
from dsbuild.train.model.scalings import SCALINGS


def slow(*values):
    return pytest.param(*values, marks=pytest.mark.slow)


def published(width):
    return keras.applications.MobileNetV2(
        include_top=False, weights=None, input_shape=(None, None, 3), alpha=width
    )


@pytest.mark.parametrize(
    ("name", "low", "high", "count"),
    [
        ("tiny", 32, 128, 59_520),
        slow("mobilenet_v2", 144, 320, 1_843_264),  # whose logits are tested in test_model.py
        slow("resnet50", 256, 2048, 23_587_712),
        slow("resnet101", 256, 2048, 42_658_176),
        slow("resnet50_v1_5", 256, 2048, 23_561_152),
        slow("resnet101_v1_5", 256, 2048, 42_605_504),
        slow("xception", 256, 2048, 20_861_480),
        slow("xception_41", 256, 2048, 25_035_872),
        slow("xception_65", 256, 2048, 38_052_512),
        slow("xception_71", 256, 2048, 40_488_712),
        slow("resnet50_beta", 256, 2048, 23_685_312),
        slow("resnet101_beta", 256, 2048, 42_729_664),
        ("mobilenet_v3_small", 16, 96, 881_520),
        slow("mobilenet_v3_large", 24, 160, 2_838_912),
        slow("mobilenet_v3_large_960", 24, 960, 2_996_352),
        slow("efficientnet_v2_b0", 32, 192, 5_668_432),
        slow("efficientnet_v2_b3", 40, 232, 12_568_126),
        slow("efficientnet_v2_s", 48, 256, 19_998_560),
        slow("convnext_tiny", 96, 768, 27_820_128),
        slow("convnext_small", 96, 768, 49_454_688),
        slow("convnext_base", 128, 1024, 87_566_464),
    ],
)
def test_features_have_their_strides_at_any_size(name, low, high, count):
    model = backbones.build(name, 16)
    assert model.count_params() == count
    for height, width in ((33, 47), (64, 50)):
        features = model(np.zeros((1, height, width, 3), np.float32))
        for found, stride, depth in zip(features, (4, 16), (low, high), strict=True):
            sizes = [-(-size // stride) for size in (height, width)]
            if name in CELLS:  # one for each whole cell; of stride 32, two of which overlap
                sizes = [size // stride - (stride == 16) for size in (height, width)]
            assert found.shape == (1, *sizes, depth)
    assert all(layer.name.startswith("backbone_") for layer in model.layers[1:])


def test_every_backbone_is_tested_above():
    marks = test_features_have_their_strides_at_any_size.pytestmark[0].args[1]
    assert {getattr(mark, "values", mark)[0] for mark in marks} == set(BACKBONES)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="of a gradient tape")
@pytest.mark.parametrize(
    "name",
    [
        "mobilenet_v3_small",
        *(pytest.param(one, marks=pytest.mark.slow) for one in sorted(set(BACKBONES) - {"tiny"})),
    ],
)
def test_every_weight_has_a_gradient(name):
    import tensorflow as tf

    auxiliary = bool(BACKBONES[name].auxiliary)
    model = build(classes=3, backbone=name, dropout=0.0, depth=8, auxiliary=auxiliary)
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 65, 65, 3)).astype(np.float32)
    with tf.GradientTape() as tape:
        found = tf.nest.flatten(model(pixels, training=True))
        loss = sum(tf.reduce_mean((logits - 1) ** 2) for logits in found)
    gradients = tape.gradient(loss, [one.value for one in model.trainable_variables])
    lost = [
        one.path
        for one, gradient in zip(model.trainable_variables, gradients, strict=True)
        if gradient is None or not np.isfinite(gradient).all()
    ]
    assert not lost
    assert np.isfinite(float(loss))
    stages = [
        gradient
        for one, gradient in zip(model.trainable_variables, gradients, strict=True)
        if one.path.endswith("kernel")
    ]
    assert all(np.abs(gradient).max() > 0 for gradient in stages[:1] + stages[-1:])


@pytest.mark.parametrize(
    ("name", "first", "build_app"),
    [
        ("mobilenet_v3_small", "conv", keras.applications.MobileNetV3Small),
        slow("efficientnet_v2_b0", "stem_conv", keras.applications.EfficientNetV2B0),
        slow("efficientnet_v2_s", "stem_conv", keras.applications.EfficientNetV2S),
    ],
)
def test_pixels_are_scaled_as_keras_scales_them(name, first, build_app):
    whole = build_app(include_top=False, weights=None, input_shape=(None, None, 3))
    pixels = np.random.default_rng(0).integers(0, 256, (1, 5, 7, 3)).astype(np.float32)
    scaled = keras.Model(whole.input, whole.get_layer(first).input)(pixels)
    mode = BACKBONES[name].pixels
    np.testing.assert_allclose(Pixels(mode)(pixels), scaled, atol=1e-5)
    filled = np.broadcast_to(np.float32(SCALINGS[mode].fill), (1, 2, 2, 3))
    np.testing.assert_allclose(Pixels(mode)(filled), np.zeros_like(filled), atol=1e-6)


@pytest.mark.parametrize("form", ["found.weights.h5", slow("found.h5")])
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_weights_are_loaded_from_a_file(tmp_path, form):
    keras.utils.set_random_seed(7)
    model = published(0.35)
    path = str(tmp_path / form)
    (model.save_weights if ".weights" in form else model.save)(path)
    found = backbones.build("mobilenet_v2", 16, width=0.35, weights=path)
    kept = {variable.path: variable for variable in model.variables}
    assert len(found.variables) == len(kept) - 5  # Conv_1 and its normalisation
    for variable in found.variables:
        expected = kept[variable.path.removeprefix("backbone_")]
        np.testing.assert_array_equal(variable, expected)


def test_own_backbones_load_files_too(tmp_path):
    keras.utils.set_random_seed(8)
    model = backbones.tiny()
    model.save_weights(tmp_path / "tiny.weights.h5")
    found = backbones.build("tiny", 8, weights=str(tmp_path / "tiny.weights.h5"))
    for ours, theirs in zip(found.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("other", "form"),
    [
        ("tiny", "found.weights.h5"),
        slow("width", "found.h5"),
        slow("tiny", "found.h5"),
        slow("width", "found.weights.h5"),
    ],
)
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_weights_of_another_model_are_refused(tmp_path, form, other):
    model = backbones.tiny() if other == "tiny" else published(0.5)
    path = str(tmp_path / form)
    (model.save_weights if ".weights" in form else model.save)(path)
    with pytest.raises(ModelError, match=r"expected the weights of mobilenet_v2"):
        backbones.build("mobilenet_v2", 16, width=0.35, weights=path)


@pytest.mark.parametrize("form", ["found.weights.h5", "found.h5", "found.keras", "found.txt"])
def test_a_file_without_weights_is_refused(tmp_path, form):
    path = tmp_path / form
    with pytest.raises(ModelError, match="there is no such file; expected weights of tiny"):
        backbones.build("tiny", 16, weights=str(path))
    path.write_bytes(b"not weights")
    with pytest.raises(ModelError, match="expected the weights of tiny"):
        backbones.build("tiny", 16, weights=str(path))


def test_own_backbones_have_no_published_weights():
    with pytest.raises(ModelError, match=r"xception_65: found no imagenet weights, .*resnet50"):
        backbones.build("xception_65", 16, weights="imagenet")


def test_weights_that_cannot_be_downloaded_are_an_error(monkeypatch, tmp_path):
    from keras.src.applications import mobilenet_v2

    nowhere = (tmp_path / "nowhere").as_uri() + "/"
    monkeypatch.setattr(mobilenet_v2, "BASE_WEIGHT_PATH", nowhere)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with pytest.raises(ModelError, match="mobilenet_v2: the imagenet weights could not be loaded"):
        backbones.build("mobilenet_v2", 16, width=0.35, weights="imagenet")
