"""ResNet as PyTorch has it, version 1.5: its strides are in the 3 x 3 convolutions.

Keras' ResNets, version 1, have them in the 1 x 1 convolutions before, so that weights of one do not
fit the other. Source: He et al., Deep Residual Learning for Image Recognition, 2015, table 1; the
place of strides, epsilon and pixels are those of torchvision. Layers are named like its modules.
"""

import functools

import keras
from keras import layers

from dsbuild.train.model.places import Tensor

_EPSILON = 1e-5
_FILTERS = (64, 128, 256, 512)
_EXPANSION = 4
LOW, HIGH = "layer1_2_relu3", "layer4_2_relu3"
GRID = tuple(f"layer4_{number}_conv2" for number in (0, 1, 2))


def resnet(blocks: tuple[int, ...], filters: tuple[int, ...] = _FILTERS) -> keras.Model:
    """Return the model of stride 32 without its top: (b, h, w, 3) to (b, h / 32, w / 32, 2048).

    Args:
      blocks: how many each of the four stages has.
      filters: those of each stage; its last convolutions have four times as many.
    """
    image = keras.Input((None, None, 3))
    x = _window(image, filters[0], 7, 2, "conv1")
    x = layers.ReLU(name="relu1")(_normalised(x, "bn1"))
    x = layers.ZeroPadding2D(1, name="pool_pad")(x)  # after a ReLU, 0 is never the largest alone
    x = layers.MaxPooling2D(3, 2, name="pool")(x)
    for stage, (count, depth) in enumerate(zip(blocks, filters, strict=True), 1):
        for number in range(count):
            stride = 2 if stage > 1 and number == 0 else 1
            x = _block(x, depth, stride, f"layer{stage}_{number}", shortcut=number == 0)
    return keras.Model(image, x, name="resnet")


resnet50 = functools.partial(resnet, (3, 4, 6, 3))
resnet101 = functools.partial(resnet, (3, 4, 23, 3))


def _block(x: Tensor, filters: int, stride: int, name: str, shortcut: bool) -> Tensor:
    y = layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_conv1")(x)
    y = layers.ReLU(name=f"{name}_relu1")(_normalised(y, f"{name}_bn1"))
    y = _window(y, filters, 3, stride, f"{name}_conv2")
    y = layers.ReLU(name=f"{name}_relu2")(_normalised(y, f"{name}_bn2"))
    y = layers.Conv2D(_EXPANSION * filters, 1, use_bias=False, name=f"{name}_conv3")(y)
    y = _normalised(y, f"{name}_bn3")
    if shortcut:
        x = layers.Conv2D(_EXPANSION * filters, 1, stride, use_bias=False, name=f"{name}_shortcut")(
            x
        )
        x = _normalised(x, f"{name}_shortcut_bn")
    return layers.ReLU(name=f"{name}_relu3")(layers.Add(name=f"{name}_add")([y, x]))


def _window(x: Tensor, filters: int, kernel: int, stride: int, name: str) -> Tensor:
    if stride == 1:
        return layers.Conv2D(filters, kernel, padding="same", use_bias=False, name=name)(x)
    x = layers.ZeroPadding2D(kernel // 2, name=f"{name}_pad")(x)
    return layers.Conv2D(filters, kernel, stride, use_bias=False, name=name)(x)


def _normalised(x: Tensor, name: str) -> Tensor:
    return layers.BatchNormalization(epsilon=_EPSILON, name=name)(x)
