"""ResNet-v1-beta, DeepLab's own: three 3 x 3 convolutions first, and strides in last units.

Names, padding and places of strides are those of DeepLab's published checkpoints. Source: the
`resnet_v1_beta` of google-research's DeepLab; Chen et al., Rethinking Atrous Convolution, 2017.
"""

import functools

import keras
from keras import layers

from dsbuild.train.model.places import Tensor

_EPSILON = 1e-5
_CHANNELS = (64, 128, 256, 512)  # of the bottlenecks of each block; outputs have four times as many
LOW = "block1_unit_2_bottleneck_v1_conv3_bn"
HIGH = "block4_unit_3_bottleneck_v1_relu"
GRID = tuple(f"block4_unit_{number}_bottleneck_v1_conv2" for number in (1, 2, 3))


def _model(name: str, units: tuple[int, ...]) -> keras.Model:
    """Return the model of stride 32 without its top: (b, h, w, 3) to (b, h / 32, w / 32, 2048)."""
    image = x = keras.Input((None, None, 3))
    for number, channels in enumerate((64, 64, 128), 1):
        x = _convolution(x, channels, 3, 2 if number == 1 else 1, f"conv1_{number}")
    # Zeros do not change the largest value after a ReLU.
    x = layers.ZeroPadding2D(1, name="pool1_pad")(x)
    x = layers.MaxPooling2D(3, 2, name="pool1")(x)
    for block, (channels, count) in enumerate(zip(_CHANNELS, units, strict=True), 1):
        for unit in range(1, count + 1):
            stride = 2 if unit == count and block < len(units) else 1
            x = _unit(x, channels, stride, f"block{block}_unit_{unit}_bottleneck_v1")
    return keras.Model(image, x, name=name)


def _unit(x: Tensor, channels: int, stride: int, name: str) -> Tensor:
    depth = 4 * channels
    if x.shape[-1] != depth:
        shortcut = _convolution(x, depth, 1, stride, f"{name}_shortcut", relu=False)
    else:
        shortcut = x if stride == 1 else layers.MaxPooling2D(1, stride, name=f"{name}_shortcut")(x)
    x = _convolution(x, channels, 1, 1, f"{name}_conv1")
    x = _convolution(x, channels, 3, stride, f"{name}_conv2")
    x = _convolution(x, depth, 1, 1, f"{name}_conv3", relu=False)
    x = layers.Add(name=f"{name}_sum")([shortcut, x])
    return layers.ReLU(name=f"{name}_relu")(x)


def _convolution(
    x: Tensor, channels: int, kernel: int, stride: int, name: str, relu: bool = True
) -> Tensor:
    if kernel > 1 and stride > 1:
        x = layers.ZeroPadding2D(kernel // 2, name=f"{name}_pad")(x)
    padding = "same" if stride == 1 else "valid"
    x = layers.Conv2D(channels, kernel, stride, padding, use_bias=False, name=name)(x)
    x = layers.BatchNormalization(epsilon=_EPSILON, name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_relu")(x) if relu else x


resnet_50_beta = functools.partial(_model, "resnet50_beta", (3, 4, 6, 3))
resnet_101_beta = functools.partial(_model, "resnet101_beta", (3, 4, 23, 3))
