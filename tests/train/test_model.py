import dataclasses
import json

import keras
import numpy as np
import pytest

from dsbuild.errors import ModelError
from dsbuild.train.model import Architecture, build, freeze, freeze_batch_norm, named
from tests.support.backends import drawn, fresh, on_torch


def pixels(*size, count=1, seed=0):
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (count, *size, 3)).astype(np.uint8)


def plane(*size, count=1, seed=0):
    random = np.random.default_rng(seed)
    return random.integers(-1020, 1021, (count, *size, 1)).astype(np.int16)


def made(size=(65, 97), **settings):
    """Return a model and inputs for which its logits have a standard deviation of 1."""
    model = build(dropout=0.0, **settings)
    drawn(model)
    inputs = pixels(*size, count=2)
    if settings.get("gradient"):
        inputs = [inputs, plane(*size, count=2)]
    (last,) = named(model, "logits")
    deviation = np.array(model(inputs)).std()
    for variable in last.variables:
        variable.assign(variable / deviation)
    return model, inputs


@pytest.mark.parametrize(
    ("backbone", "output_stride"),
    [
        ("tiny", 8),
        pytest.param("tiny", 16, marks=pytest.mark.slow),  # what all other tests have
        ("tiny", 32),
        ("mobilenet_v2", 16),
        pytest.param("mobilenet_v2", 8, marks=pytest.mark.slow),
        pytest.param("mobilenet_v2", 32, marks=pytest.mark.slow),
    ],
)
def test_logits_have_the_size_of_the_image(backbone, output_stride):
    model = build(
        classes=3,
        backbone=backbone,
        output_stride=output_stride,
        width=1.0 if backbone == "tiny" else 0.35,
    )
    for size in ((33, 33), (1, 1), (37, 50), (64, 29)):
        logits = model(pixels(*size))
        assert logits.shape == (1, *size, 3)
        assert keras.backend.standardize_dtype(logits.dtype) == "float32"


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["resnet50", "resnet101", "xception", "xception_65"])
def test_large_backbones_return_logits_too(backbone):
    model = build(classes=2, backbone=backbone)
    assert model(pixels(375, 500)).shape == (1, 375, 500, 2)
    assert model(pixels(129, 129)).shape == (1, 129, 129, 2)


@pytest.mark.parametrize(
    "settings",
    [
        {"classes": 1},
        {"separable": False},
        {"decoder": False, "rates": ()},
        {"gradient": True},
        {"scales": (0.5, 1.0, 1.5), "merge": "mean"},
        pytest.param(
            {"scales": (0.75, 1.0), "gradient": True, "align_corners": False},
            marks=pytest.mark.slow,
        ),
        pytest.param({"depth": 16}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_every_option_returns_logits_at_every_size(settings):
    model = build(backbone="tiny", **settings)
    for size in ((65, 33), (30, 41)):
        inputs = [pixels(*size), plane(*size)] if settings.get("gradient") else pixels(*size)
        assert model(inputs).shape == (1, *size, settings.get("classes", 21))


def test_bytes_and_floats_give_the_same_logits():
    model, inputs = made(backbone="tiny")
    np.testing.assert_array_equal(model(inputs), model(inputs.astype(np.float32)))
    np.testing.assert_allclose(model.predict(inputs, verbose=0), model(inputs), atol=1e-4)


def test_rates_are_doubled_at_stride_8():
    rates = {}
    for output_stride in (8, 16):
        model = build(backbone="tiny", output_stride=output_stride, separable=output_stride == 8)
        rates[output_stride] = [
            layer.dilation_rate
            for layer in named(model, "aspp_1", "aspp_2", "aspp_3")
            if hasattr(layer, "dilation_rate") and max(layer.kernel_size) == 3
        ]
    assert rates == {8: [(12, 12), (24, 24), (36, 36)], 16: [(6, 6), (12, 12), (18, 18)]}


def test_the_plane_changes_the_logits():
    model, (image, gradient) = made(backbone="tiny", gradient=True)
    other = model([image, gradient * 0])
    assert np.abs(np.array(model([image, gradient])) - other).max() > 0.01
    named = model({"image": image, "gradient": gradient})
    np.testing.assert_array_equal(named, model([image, gradient]))


@pytest.mark.parametrize(
    ("merge", "reduce"),
    [pytest.param("max", np.max, marks=pytest.mark.slow), ("mean", np.mean)],
)
def test_scales_are_merged_at_the_size_of_the_largest(merge, reduce):
    from dsbuild.train.model.layers import resize

    one, image = made(backbone="tiny")
    several = build(backbone="tiny", scales=(1.0, 0.5), merge=merge)
    several.set_weights(one.get_weights()[: len(several.get_weights())])
    x = one.get_layer("pixels")(image.astype(np.float32))
    scorer = one.get_layer("scorer")
    large, small = scorer(x), scorer(resize(x, 33, 49, True))
    assert large.shape[1:3] == (17, 25)
    merged = reduce([np.array(large), np.array(resize(small, 17, 25, True))], axis=0)
    expected = resize(keras.ops.convert_to_tensor(merged), 65, 97, True)
    np.testing.assert_allclose(several(image), expected, atol=1e-5)


def test_a_classifier_has_logits_of_the_image():
    model = build(task="classification", classes=5, backbone="tiny", output_stride=32)
    assert model(pixels(50, 61, count=2)).shape == (2, 5)
    freeze(model, "backbone_")
    assert [variable.path for variable in model.trainable_variables] == [
        "logits/kernel",
        "logits/bias",
    ]


def test_every_weight_has_a_prefix():
    model = build(backbone="mobilenet_v2", width=0.35, gradient=True)
    groups = ("backbone_", "aspp_", "decoder_", "gradient_", "logits")
    counts = [
        sum(variable.path.startswith(group) for variable in model.trainable_variables)
        for group in groups
    ]
    assert min(counts) >= 2
    assert sum(counts) == len(model.trainable_variables)
    assert len({variable.path for variable in model.variables}) == len(model.variables)


def trained(model):
    """Take a step, and return the variables that it changed."""
    before = {variable.path: np.array(variable.numpy()) for variable in model.variables}
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss, jit_compile=False, run_eagerly=True)
    model.fit(pixels(33, 33, count=2), np.ones((2, 33, 33)), batch_size=2, verbose=0)
    return {
        variable.path
        for variable in model.variables
        if not np.array_equal(before[variable.path], variable.numpy())
    }


def test_frozen_weights_stay():
    model = build(classes=2, backbone="tiny", momentum=0.5)
    freeze(model, "backbone_block1", "backbone_block2")
    changed = trained(model)
    assert not any(path.startswith(("backbone_block1", "backbone_block2")) for path in changed)
    assert {"backbone_block3_bn1/moving_mean", "aspp_0/kernel", "logits/kernel"} <= changed


def test_batch_normalisation_is_frozen_alone():
    model = build(classes=2, backbone="tiny", momentum=0.5)
    freeze_batch_norm(model)
    changed = trained(model)
    assert not any(path.split("/")[0].split("_")[-1].startswith("bn") for path in changed)
    assert {"backbone_block1_conv1/kernel", "decoder_1_pointwise/kernel"} <= changed


def test_an_unknown_prefix_is_an_error():
    model = build(classes=2, backbone="tiny")
    with pytest.raises(
        ModelError, match=r"resnet: there are no such layers; .*aspp, backbone, dec"
    ):
        freeze(model, "resnet")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"backbone": "vgg"}, r"backbone: found 'vgg', expected one of mobilenet_v2, mobilenet_v3"),
        ({"output_stride": 4}, "output_stride: found 4, expected one of 8, 16, 32"),
        ({"classes": 0}, "classes: found 0, expected at least 1"),
        ({"task": "detection"}, "task: found 'detection', expected one of segmentation"),
        ({"width": 0.5, "backbone": "tiny"}, "width: found 0.5, expected 1 for this backbone"),
        ({"merge": "sum"}, "merge: found 'sum', expected one of max, mean"),
        ({"scales": ()}, r"scales: found \(\), expected one or more, each above 0"),
        ({"rates": (0,)}, r"rates: found \(0,\), expected at least 1"),
        ({"gradient": True, "decoder": False}, "gradient: found True, expected False without"),
        ({"momentum": 1.0}, "momentum: found 1.0, expected at least 0 and less than 1"),
        ({"weights": "/nowhere/found.h5"}, "/nowhere/found.h5: there is no such file"),
    ],
    ids=str,
)
def test_impossible_models_are_named(settings, message):
    with pytest.raises(ModelError, match=message):
        build(**settings)


def test_an_architecture_survives_json():
    shape = Architecture(backbone="tiny", rates=(3, 6), scales=(0.5, 1.0))
    assert Architecture(**json.loads(json.dumps(dataclasses.asdict(shape)))) == shape


def test_a_saved_model_is_the_same(tmp_path):
    model, inputs = made(backbone="tiny", scales=(0.5, 1.0))
    model.save(tmp_path / "found.keras")
    found = keras.models.load_model(tmp_path / "found.keras")
    np.testing.assert_array_equal(found(inputs), model(inputs))


EXPORTED = """
import sys, numpy as np, tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
found = np.load(sys.argv[2])
inputs = [tf.constant(found[key], tf.float32) for key in ("image", "gradient") if key in found]
logits = model.serve(inputs if len(inputs) > 1 else inputs[0])
np.save(sys.argv[3], logits)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"backbone": "mobilenet_v2", "width": 0.35},
        {"backbone": "tiny", "gradient": True, "scales": (0.5, 1.0), "align_corners": False},
    ],
    ids=["mobilenet_v2", "gradient and scales"],
)
def test_an_exported_model_takes_any_size(tmp_path, settings):
    model, _ = made(classes=4, **settings)
    model.export(str(tmp_path / "saved"), verbose=False)
    found = {"image": pixels(53, 70, count=3)}
    if "gradient" in settings:
        found["gradient"] = plane(53, 70, count=3)
    np.savez(tmp_path / "inputs.npz", **found)
    fresh(EXPORTED, tmp_path / "saved", tmp_path / "inputs.npz", tmp_path / "logits.npy")
    logits = np.load(tmp_path / "logits.npy")
    assert logits.shape == (3, 53, 70, 4)
    expected = model(list(found.values()) if len(found) > 1 else found["image"])
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4)


TORCH = """
import json, sys, numpy as np, keras
from dsbuild.train.model import build
assert keras.backend.backend() == "torch"
model = build(**json.loads(sys.argv[1]))
model.load_weights(sys.argv[2])
found = np.load(sys.argv[3])
image = found["image"]
inputs = [image, found["gradient"]] if "gradient" in found else image
np.save(sys.argv[4], model(inputs).detach().cpu().numpy())
"""


def slowly(*values):
    return pytest.param(*values, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    "settings",
    [
        {"backbone": "tiny", "gradient": True, "scales": [0.5, 1.0]},
        slowly({"backbone": "mobilenet_v2", "width": 0.35, "output_stride": 8}),
        slowly({"backbone": "tiny", "align_corners": False, "separable": False}),
        slowly({"backbone": "xception"}),
        slowly({"backbone": "resnet50"}),
        slowly({"backbone": "convnext_tiny", "output_stride": 8}),
        slowly({"backbone": "xception_65"}),
    ],
    ids=str,
)
def test_torch_gives_the_same_logits(tmp_path, settings):
    model, inputs = made(**settings)
    weights = tmp_path / "found.weights.h5"
    model.save_weights(weights)
    found = {"image": inputs}
    if "gradient" in settings:
        found = {"image": inputs[0], "gradient": inputs[1]}
    np.savez(tmp_path / "inputs.npz", **found)
    paths = (weights, tmp_path / "inputs.npz", tmp_path / "logits.npy")
    on_torch(TORCH, json.dumps(settings), *paths)
    found = np.load(tmp_path / "logits.npy")
    assert found.std() > 0.5
    np.testing.assert_allclose(found, model(inputs), rtol=0, atol=1e-4)


@pytest.fixture
def policy():
    """Set the precision of new layers, and restore it at the end."""
    before = keras.config.dtype_policy()
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy(before)


def test_logits_are_float32_whatever_else_is(policy):
    policy("mixed_bfloat16")
    model = build(backbone="tiny")
    assert model.get_layer("scorer").get_layer("aspp_0").compute_dtype == "bfloat16"
    assert keras.backend.standardize_dtype(model(pixels(33, 50)).dtype) == "float32"
