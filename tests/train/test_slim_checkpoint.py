"""DeepLab's checkpoints, compared with a forward pass modelled on DeepLab and TF-slim."""

import functools
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from dsbuild.errors import ModelError
from dsbuild.train.dataset import Facts
from dsbuild.train.fit import warm_start
from dsbuild.train.model import build, named, slim_checkpoint
from dsbuild.train.settings import Settings
from tests.support.backends import draw


class Slim:
    """TF-slim's layers in plain TensorFlow, with drawn weights."""

    def __init__(self, seed=0):
        self.variables, self.ends = {}, {}
        self._random = np.random.default_rng(seed)

    def variable(self, name, *shape):
        if name not in self.variables:
            self.variables[name] = draw(name, shape, self._random)
        return self.variables[name]

    def norm(self, x, scope, epsilon, activation):
        count = x.shape[-1]
        mean, variance, gamma, beta = (
            self.variable(f"{scope}/BatchNorm/{name}", count)
            for name in ("moving_mean", "moving_variance", "gamma", "beta")
        )
        x = (x - mean) / np.sqrt(variance + epsilon) * gamma + beta
        self.ends[scope] = x = activation(x) if activation else x
        return x

    def conv(self, x, count, kernel, scope, epsilon, activation, stride=1):
        weights = self.variable(f"{scope}/weights", kernel, kernel, x.shape[-1], count)
        if kernel > 1 and stride > 1:  # conv2d_same pads explicitly
            x = tf.nn.conv2d(fixed_padding(x, kernel, 1), weights, stride, "VALID")
        else:
            x = tf.nn.conv2d(x, weights, stride, "SAME")
        return self.norm(x, scope, epsilon, activation)

    def depthwise(self, x, scope, epsilon, activation, stride=1, rate=1, explicit=False):
        weights = self.variable(f"{scope}/depthwise_weights", 3, 3, x.shape[-1], 1)
        padding = "SAME"
        if stride > 1 and explicit:
            x, padding = fixed_padding(x, 3, rate), "VALID"
        strides = [1, stride, stride, 1]
        x = tf.nn.depthwise_conv2d(x, weights, strides, padding, dilations=[rate, rate])
        return self.norm(x, scope, epsilon, activation)

    def save(self, path, **others):
        names = sorted(self.variables | others)
        values = [(self.variables | others)[name] for name in names]
        tf.raw_ops.SaveV2(
            prefix=str(path), tensor_names=names, shape_and_slices=[""] * len(names), tensors=values
        )
        return str(path)


def fixed_padding(x, kernel, rate):
    total = kernel + (kernel - 1) * (rate - 1) - 1
    sides = [total // 2, total - total // 2]
    return tf.pad(x, [[0, 0], sides, sides, [0, 0]])


def resized(x, like):
    size = like.shape[1:3]
    return tf.compat.v1.image.resize_bilinear(x, size, align_corners=True)


BLOCKS = [
    ("entry_flow/block1", [128, 128, 128], "conv", False, 1, 2),
    ("entry_flow/block2", [256, 256, 256], "conv", False, 1, 2),
    ("entry_flow/block3", [728, 728, 728], "conv", False, 1, 2),
    ("middle_flow/block1", [728, 728, 728], "sum", False, 16, 1),
    ("exit_flow/block1", [728, 1024, 1024], "conv", False, 1, 2),
    ("exit_flow/block2", [1536, 1536, 2048], "none", True, 1, 1),
]


def xception_65(net, x, output_stride):
    """Return the features of both strides, stacked like slim's stack_blocks_dense."""
    x = net.conv(x, 32, 3, "xception_65/entry_flow/conv1_1", 1e-3, tf.nn.relu, 2)
    x = net.conv(x, 64, 3, "xception_65/entry_flow/conv1_2", 1e-3, tf.nn.relu)
    current, rate = 2, 1
    for scope, depths, skip, inside, units, unit_stride in BLOCKS:
        for unit in range(1, units + 1):
            stride, unit_rate = unit_stride, 1
            if current == output_stride:
                stride, unit_rate = 1, rate
                rate *= unit_stride
            else:
                current *= unit_stride
            name = f"xception_65/{scope}/unit_{unit}/xception_module"
            residual = x
            for i, depth in enumerate(depths):
                activation = tf.nn.relu if inside else None
                residual = residual if inside else tf.nn.relu(residual)
                conv = f"{name}/separable_conv{i + 1}"
                residual = net.depthwise(
                    residual,
                    f"{conv}_depthwise",
                    1e-3,
                    activation,
                    stride if i == 2 else 1,
                    unit_rate,
                    explicit=True,
                )
                residual = net.conv(residual, depth, 1, f"{conv}_pointwise", 1e-3, activation)
            if skip == "conv":
                shortcut = f"{name}/shortcut"
                residual += net.conv(x, depths[-1], 1, shortcut, 1e-3, None, stride)
            x = residual + x if skip == "sum" else residual
    low = "xception_65/entry_flow/block2/unit_1/xception_module/separable_conv2_pointwise"
    return net.ends[low], x


MOBILENET = [
    # expansion, channels, repeats, stride
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
]


def mobilenet_v2(net, x, output_stride, width=1.0):
    """Return the features; slim pads with SAME, which is even only at odd sizes."""
    weights = net.variable("MobilenetV2/Conv/weights", 3, 3, 3, int(32 * width + 0.5))
    x = tf.nn.conv2d(x, weights, 2, "SAME")
    x = net.norm(x, "MobilenetV2/Conv", 1e-3, tf.nn.relu6)
    current, rate, number = 2, 1, 0
    for expansion, channels, repeats, first in MOBILENET:
        channels = int(channels * width + 0.5)  # DeepLab's rounding for widths other than 1
        for repeat in range(repeats):
            stride, unit_rate = (first if repeat == 0 else 1), 1
            if current == output_stride:
                unit_rate = rate
                rate, stride = rate * stride, 1
            else:
                current *= stride
            scope = "MobilenetV2/expanded_conv" + (f"_{number}" if number else "")
            y = x
            if expansion > 1:
                count = expansion * x.shape[-1]
                y = net.conv(y, count, 1, f"{scope}/expand", 1e-3, tf.nn.relu6)
            y = net.depthwise(y, f"{scope}/depthwise", 1e-3, tf.nn.relu6, stride, unit_rate)
            y = net.conv(y, channels, 1, f"{scope}/project", 1e-3, None)
            x = x + y if stride == 1 and x.shape[-1] == channels else y
            number += 1
    return None, x


def deeplab(net, image, classes, backbone, rates, output_stride):
    """Return DeepLab's logits at the image's size."""
    low, x = backbone(net, image.astype(np.float32) * (2 / 255) - 1, output_stride)
    whole = tf.reduce_mean(x, [1, 2], keepdims=True)
    whole = net.conv(whole, 256, 1, "image_pooling", 1e-5, tf.nn.relu)
    branches = [resized(whole, x), net.conv(x, 256, 1, "aspp0", 1e-5, tf.nn.relu)]
    for number, rate in enumerate(rates, 1):
        branch = net.depthwise(x, f"aspp{number}_depthwise", 1e-5, tf.nn.relu, rate=rate)
        branch = net.conv(branch, 256, 1, f"aspp{number}_pointwise", 1e-5, tf.nn.relu)
        branches.append(branch)
    x = net.conv(tf.concat(branches, 3), 256, 1, "concat_projection", 1e-5, tf.nn.relu)
    if low is not None:
        low = net.conv(low, 48, 1, "decoder/feature_projection0", 1e-5, tf.nn.relu)
        x = tf.concat([resized(x, low), low], 3)
        for scope in ("decoder/decoder_conv0", "decoder/decoder_conv1"):
            x = net.depthwise(x, f"{scope}_depthwise", 1e-5, tf.nn.relu)
            x = net.conv(x, 256, 1, f"{scope}_pointwise", 1e-5, tf.nn.relu)
    weights = net.variable("logits/semantic/weights", 1, 1, 256, classes)
    x = tf.nn.conv2d(x, weights, 1, "SAME") + net.variable("logits/semantic/biases", classes)
    return resized(x, image)


def image(*size):
    return np.random.default_rng(1).integers(0, 256, (1, *size, 3)).astype(np.uint8)


def assert_equal(found, expected):
    expected = np.array(expected)
    assert expected.std() > 1e-3
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


def ends(model, pixels):
    """Return layer -> output for all layers of the scorer."""
    scorer = model.get_layer("scorer")
    names = [layer.name for layer in scorer.layers]
    tapped = keras.Model(scorer.inputs, [layer.output for layer in scorer.layers])
    scaled = model.get_layer("pixels")(pixels.astype(np.float32))
    return dict(zip(names, tapped(scaled), strict=True))


def assert_layers_equal(model, net, pixels):
    """Compare every normalised convolution, by the names of the layers alone."""
    found, compared = ends(model, pixels), 0
    for scope, expected in net.ends.items():
        normalised = slim_checkpoint.path(f"{scope}/BatchNorm/gamma").split("/")[0]
        name = normalised.removesuffix("_bn") + "_relu"
        if scope.startswith("MobilenetV2"):
            name = normalised.removesuffix("_BN") + "_relu"
            name = "backbone_Conv1_relu" if scope.endswith("/Conv") else name
        inside = name in found and not scope.startswith("xception_65")
        relu_after = inside or "exit_flow/block2" in scope or "entry_flow/conv1" in scope
        assert_equal(found[name if relu_after else normalised], expected)
        compared += 1
    assert compared == sum(name.endswith("/gamma") for name in net.variables)


@pytest.fixture(scope="module")
def xception(tmp_path_factory):
    """DeepLab's xception_65, and the path of its checkpoint."""
    net = Slim()
    net.logits = {
        stride: deeplab(net, image(65, 97), 3, xception_65, rates, stride)
        for stride, rates in ((8, (12, 24, 36)), (16, (6, 12, 18)))
    }
    slots = {"aspp0/weights/Momentum": net.variables["aspp0/weights"], "global_step": np.int64(9)}
    return net, net.save(tmp_path_factory.mktemp("slim") / "model.ckpt-9", **slots)


@pytest.mark.slow
@pytest.mark.parametrize("output_stride", [8, 16])
def test_xception_65_equals_deeplabs(xception, output_stride):
    net, path = xception
    model = build(classes=3, backbone="xception_65", output_stride=output_stride)
    loaded = slim_checkpoint.load(model, path)
    assert loaded.missing == loaded.resized == ()
    assert loaded.unused == ("aspp0/weights/Momentum", "global_step")
    assert len(loaded.loaded) == len(net.variables)
    assert_equal(model(image(65, 97)), net.logits[output_stride])
    if output_stride == 16:
        assert_layers_equal(model, net, image(65, 97))


def test_mobilenet_v2_equals_deeplabs(tmp_path):
    net = Slim()
    logits = deeplab(net, image(97, 65), 4, mobilenet_v2, (), 16)
    path = net.save(tmp_path / "model.ckpt")
    model = build(classes=4, backbone="mobilenet_v2", rates=(), decoder=False)
    loaded = slim_checkpoint.load(model, path)
    assert loaded.missing == loaded.resized == loaded.unused == ()
    assert_equal(model(image(97, 65)), logits)
    assert_layers_equal(model, net, image(97, 65))


@pytest.mark.slow
@pytest.mark.parametrize("width", [0.35, 0.5])
def test_widths_equal_deeplabs(tmp_path, width):
    net = Slim()
    narrow = functools.partial(mobilenet_v2, width=width)
    logits = deeplab(net, image(65, 33), 4, narrow, (), 16)
    path = net.save(tmp_path / "model.ckpt")
    asked = warm_start.fitted(Settings(width=width, weights=path, rates=(), decoder=False))
    assert asked.width_multiple == 1
    options = {"rates": (), "decoder": False, "width": width}
    model = build(classes=4, width_multiple=1, **options)
    loaded = slim_checkpoint.load(model, path)
    assert loaded.missing == loaded.resized == loaded.unused == ()
    assert_equal(model(image(65, 33)), logits)
    refused(build(classes=4, **options), path, r"MobilenetV2/.*: found shape .*, expected")
    with pytest.raises(ModelError, match="no imagenet weights whose channels are multiples of 1"):
        build(width_multiple=1, weights="imagenet", **options)


@pytest.mark.parametrize(
    ("name", "here"),
    [
        ("resnet_v1_50/conv1_2/weights", "backbone_conv1_2/kernel"),
        (
            "resnet_v1_101/block3/unit_23/bottleneck_v1/conv2/BatchNorm/moving_mean",
            "backbone_block3_unit_23_bottleneck_v1_conv2_bn/moving_mean",
        ),
        (
            "resnet_v1_50/block1/unit_1/bottleneck_v1/shortcut/weights",
            "backbone_block1_unit_1_bottleneck_v1_shortcut/kernel",
        ),
        (
            "xception_71/entry_flow/block5/unit_1/xception_module/separable_conv3_depthwise/"
            "depthwise_weights",
            "backbone_entry_flow_block5_unit_1_separable_conv3_depthwise/kernel",
        ),
    ],
)
def test_names_of_resnets_and_other_xceptions_are_known(name, here):
    assert slim_checkpoint.path(name) == here


def test_the_last_layer_stays_if_the_classes_differ(tmp_path):
    net = Slim()
    deeplab(net, image(33, 33), 1, mobilenet_v2, (), 16)
    path = net.save(tmp_path / "model.ckpt")
    model = build(classes=2, backbone="mobilenet_v2", rates=(), decoder=False)
    (last,) = named(model, "logits")
    before = last.get_weights()
    loaded = slim_checkpoint.load(model, path)
    assert sorted(loaded.resized) == ["logits/bias", "logits/kernel"]
    assert loaded.missing == loaded.unused == ()
    assert len(loaded.loaded) == len(net.variables) - 2
    for ours, theirs in zip(last.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_backbone_is_loaded_alone_into_another_head(tmp_path):
    net = Slim()
    deeplab(net, image(33, 33), 4, mobilenet_v2, (), 16)
    path = net.save(tmp_path / "model.ckpt")
    model = build(classes=4, backbone="mobilenet_v2")
    refused(model, path, r"concat_projection/weights: found shape \(1, 1, 512, 256\)")
    refused(model, path, "--initialize backbone, or give the model the same head")
    lines = []
    facts = Facts("segmentation", ("a", "b", "c", "d"), 255, {}, "")
    warm_start.load(model, Settings(weights=path, initialize="backbone"), facts, lines.append)
    assert re.search(
        r"loaded \d+ variables; \d+ variables of the model start from random weights$", lines[0]
    )
    loaded = slim_checkpoint.load(model, path, "backbone_")
    assert len(loaded.loaded) == sum(name.startswith("MobilenetV2/") for name in net.variables)
    assert all(path.startswith("backbone_") for path in loaded.loaded)
    assert not any(path.startswith("backbone_") for path in loaded.missing)
    assert {"aspp0/weights", "logits/semantic/biases"} <= set(loaded.unused)


def refused(model, path, message):
    before = model.get_weights()
    with pytest.raises(ModelError, match=message):
        slim_checkpoint.load(model, str(path))
    for ours, theirs in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_checkpoint_of_another_width_is_refused(tmp_path):
    net = Slim()
    mobilenet_v2(net, np.zeros((1, 33, 33, 3), np.float32), 16)
    path = net.save(tmp_path / "model.ckpt")
    model = build(backbone="mobilenet_v2", width=0.35)
    refused(model, path, r"MobilenetV2/Conv.*: found shape \(32,\), expected \(16,\) for")


def test_a_checkpoint_of_another_backbone_is_refused(tmp_path):
    net = Slim()
    net.variable("aspp0/weights", 1, 1, 320, 256)
    net.variable("resnet_v1_101/conv1/weights", 7, 7, 3, 64)
    path = net.save(tmp_path / "model.ckpt")
    model = build(backbone="tiny")
    refused(
        model, path, r"found no variable of the model's backbone among 2, such as aspp0/weights"
    )


def test_a_path_without_a_checkpoint_is_refused(tmp_path):
    model = build(backbone="tiny")
    refused(
        model, tmp_path / "model.ckpt", r"found no model.ckpt.index beside it, expected the path"
    )
    (tmp_path / "model.ckpt.index").write_bytes(b"not an index")
    refused(model, tmp_path / "model.ckpt", "model.ckpt: found no readable checkpoint")


def test_a_damaged_checkpoint_is_refused(tmp_path):
    net = Slim()
    mobilenet_v2(net, np.zeros((1, 33, 33, 3), np.float32), 16)
    path = net.save(tmp_path / "model.ckpt")
    (data,) = tmp_path.glob("model.ckpt.data-*")
    data.write_bytes(data.read_bytes()[:1000])
    model = build(backbone="mobilenet_v2", rates=(), decoder=False)
    refused(
        model, path, "model.ckpt: found damaged values|model.ckpt: found no readable checkpoint"
    )
