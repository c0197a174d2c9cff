import keras
import numpy as np
import pytest

from dsbuild.errors import ModelError
from dsbuild.train.model import atrous, backbones

SIZES = [(97, 65), (75, 102), (64, 96)]


def pixels(*size, seed=0):
    return np.random.default_rng(seed).normal(size=(1, *size, 3)).astype(np.float32)


def calibrated(name, **options):
    """Return a backbone of stride 32 whose normalisations have the statistics of a batch."""
    keras.utils.set_random_seed(3)
    model = backbones.build(name, 32, momentum=0.0, **options)
    model(np.concatenate([pixels(97, 129, seed=seed) for seed in (1, 2)]), training=True)
    return model


def assert_thinned(model, output_stride, sizes):
    finer = atrous.convert(model, output_stride)
    step = 32 // output_stride
    for size in sizes:
        low, high = (np.array(found) for found in model(pixels(*size)))
        finer_low, finer_high = (np.array(found) for found in finer(pixels(*size)))
        np.testing.assert_array_equal(finer_low, low)
        assert finer_high.shape[1:3] == tuple(-(-side // output_stride) for side in size)
        assert high.std() > 0.1
        np.testing.assert_allclose(finer_high[:, ::step, ::step], high, atol=3e-5 * high.max())


@pytest.mark.parametrize(
    ("name", "output_stride"),
    [
        ("tiny", 8),
        pytest.param("tiny", 16, marks=pytest.mark.slow),
        ("mobilenet_v2", 16),
        pytest.param("mobilenet_v2", 8, marks=pytest.mark.slow),
    ],
)
def test_every_second_value_stays_the_same(name, output_stride):
    options = {"width": 0.35} if name == "mobilenet_v2" else {}
    assert_thinned(calibrated(name, **options), output_stride, SIZES)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet50", "resnet50_beta", "xception_65", "xception_71"])
def test_every_second_value_of_large_backbones_stays_the_same(name):
    model = calibrated(name)
    assert_thinned(model, 16, SIZES)
    assert_thinned(model, 8, SIZES[1:2])


@pytest.mark.slow
def test_every_second_value_of_xception_stays_the_same_if_its_poolings_are_centred():
    assert_thinned(calibrated("xception"), 16, [(97, 65), (129, 97)])


def resnet():
    return keras.applications.ResNet50(include_top=False, weights=None, input_shape=(None, None, 3))


@pytest.mark.parametrize("made", [backbones.tiny, pytest.param(resnet, marks=pytest.mark.slow)])
def test_a_model_of_stride_32_stays_as_it_is(made):
    keras.utils.set_random_seed(1)
    model = made()
    copy = atrous.convert(model, 32, prefix="copy_")
    assert [layer.name for layer in copy.layers[1:]] == [
        f"copy_{layer.name}" for layer in model.layers[1:]
    ]
    for ours, theirs in zip(copy.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(copy(pixels(70, 65)), model(pixels(70, 65)))


def test_strides_become_dilations():
    model = backbones.build("mobilenet_v2", 8, width=0.35, momentum=0.9)
    rates = {
        layer.name: (layer.strides, layer.dilation_rate)
        for layer in model.layers
        if isinstance(layer, keras.layers.DepthwiseConv2D)
    }
    assert rates["backbone_block_3_depthwise"] == ((2, 2), (1, 1))
    assert rates["backbone_block_6_depthwise"] == ((1, 1), (1, 1))
    assert rates["backbone_block_12_depthwise"] == ((1, 1), (2, 2))
    assert rates["backbone_block_13_depthwise"] == ((1, 1), (2, 2))
    assert rates["backbone_block_16_depthwise"] == ((1, 1), (4, 4))
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert {layer.momentum for layer in norms} == {0.9}


@pytest.mark.slow
def test_multi_grid_multiplies_the_last_dilations():
    model = backbones.build("resnet50", 8, grid=(1, 2, 4), auxiliary=True)
    rates = [model.get_layer(f"backbone_conv5_block{i}_2_conv").dilation_rate[0] for i in (1, 2, 3)]
    assert rates == [4, 8, 16]
    assert model.get_layer("backbone_conv4_block6_2_conv").dilation_rate == (2, 2)
    assert [output.shape[-1] for output in model.outputs] == [256, 2048, 1024]


def test_a_multi_grid_is_refused_where_there_is_none():
    with pytest.raises(ModelError, match="tiny: found no multi-grid, which exists for resnet50"):
        backbones.build("tiny", 8, grid=(1, 2, 4))


@pytest.mark.slow
def test_names_are_the_same_every_time():
    names = [[layer.name for layer in backbones.build("xception", 16).layers[1:]] for _ in range(2)]
    assert names[0] == names[1]
    assert "backbone_conv2d_1" in names[0]
    assert len(set(names[0])) == len(names[0])
