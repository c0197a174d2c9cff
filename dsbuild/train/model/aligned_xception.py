"""Xception-41, 65 and 71, DeepLab's own: other units than Keras', and strides instead of pooling.

Source: Chen et al., Encoder-Decoder with Atrous Separable Convolution for Semantic Image
Segmentation, 2018, figure 4. Names, padding and the places of activations are those of DeepLab's
published checkpoints.
"""

import functools

import keras
from keras import layers

from dsbuild.train.model.places import Tensor

_EPSILON = 1e-3

Block = tuple[str, int, tuple[int, int, int], str, int, bool]
# Scope, units, filters of a unit's three convolutions, shortcut, stride of the third, and whether
# activations are inside a separable convolution or before it.
_ENTRY: dict[str, tuple[Block, ...]] = {
    "short": (
        ("entry_flow_block1", 1, (128, 128, 128), "conv", 2, False),
        ("entry_flow_block2", 1, (256, 256, 256), "conv", 2, False),
        ("entry_flow_block3", 1, (728, 728, 728), "conv", 2, False),
    ),
    "long": (
        ("entry_flow_block1", 1, (128, 128, 128), "conv", 2, False),
        ("entry_flow_block2", 1, (256, 256, 256), "conv", 1, False),
        ("entry_flow_block3", 1, (256, 256, 256), "conv", 2, False),
        ("entry_flow_block4", 1, (728, 728, 728), "conv", 1, False),
        ("entry_flow_block5", 1, (728, 728, 728), "conv", 2, False),
    ),
}
_EXIT: tuple[Block, ...] = (
    ("exit_flow_block1", 1, (728, 1024, 1024), "conv", 2, False),
    ("exit_flow_block2", 1, (1536, 1536, 2048), "none", 1, True),
)
LOW = "entry_flow_block2_unit_1_separable_conv2_pointwise_bn"  # of 41 and 65
LOW_71 = "entry_flow_block3_unit_1_separable_conv2_pointwise_bn"
HIGH = "exit_flow_block2_unit_1_separable_conv3_pointwise_relu"
GRID = tuple(f"exit_flow_block2_unit_1_separable_conv{number}_depthwise" for number in (1, 2, 3))


def _model(name: str, entry: str, middle: int) -> keras.Model:
    """Return the model of stride 32 without its top: (b, h, w, 3) to (b, h / 32, w / 32, 2048)."""
    flow: Block = ("middle_flow_block1", middle, (728, 728, 728), "sum", 1, False)
    image = keras.Input((None, None, 3))
    x = _convolution(image, 32, 3, 2, "entry_flow_conv1_1", relu=True)
    x = _convolution(x, 64, 3, 1, "entry_flow_conv1_2", relu=True)
    for scope, units, filters, shortcut, stride, inside in (*_ENTRY[entry], flow, *_EXIT):
        for unit in range(1, units + 1):
            x = _unit(x, filters, shortcut, stride, inside, f"{scope}_unit_{unit}")
    return keras.Model(image, x, name=name)


def _unit(
    x: Tensor, filters: tuple[int, ...], shortcut: str, stride: int, inside: bool, name: str
) -> Tensor:
    residual = x
    for number, depth in enumerate(filters, 1):
        conv = f"{name}_separable_conv{number}"
        if not inside:
            residual = layers.ReLU(name=f"{conv}_relu")(residual)
        step = stride if number == 3 else 1
        residual = _depthwise(residual, step, f"{conv}_depthwise", relu=inside)
        residual = _convolution(residual, depth, 1, 1, f"{conv}_pointwise", relu=inside)
    if shortcut == "conv":
        x = _convolution(x, filters[-1], 1, stride, f"{name}_shortcut", relu=False)
    return residual if shortcut == "none" else layers.Add(name=f"{name}_sum")([residual, x])


def _depthwise(x: Tensor, stride: int, name: str, relu: bool) -> Tensor:
    x = _padded(x, stride, name)
    padding = "same" if stride == 1 else "valid"
    x = layers.DepthwiseConv2D(3, stride, padding, use_bias=False, name=name)(x)
    return _normalised(x, name, relu)


def _convolution(
    x: Tensor, filters: int, kernel: int, stride: int, name: str, relu: bool
) -> Tensor:
    x = _padded(x, stride, name) if kernel > 1 else x
    padding = "same" if stride == 1 else "valid"
    x = layers.Conv2D(filters, kernel, stride, padding, use_bias=False, name=name)(x)
    return _normalised(x, name, relu)


def _padded(x: Tensor, stride: int, name: str) -> Tensor:
    return x if stride == 1 else layers.ZeroPadding2D(1, name=f"{name}_pad")(x)


def _normalised(x: Tensor, name: str, relu: bool) -> Tensor:
    x = layers.BatchNormalization(epsilon=_EPSILON, name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_relu")(x) if relu else x


xception_41 = functools.partial(_model, "xception_41", "short", 8)
xception_65 = functools.partial(_model, "xception_65", "short", 16)
xception_71 = functools.partial(_model, "xception_71", "long", 16)
