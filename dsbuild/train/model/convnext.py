"""ConvNeXt of Keras in plain layers: no layer contains others, and each exports everywhere.

The values are the same. A convolution with one group per channel is a depthwise one, which needs no
XLA on CPUs, and a dense layer over channels is a convolution of 1 x 1. Source: Liu et al., A
ConvNet for the 2020s, 2022.
"""

from collections.abc import Iterator
from typing import Any

import keras
from keras import layers, ops

from dsbuild.train.model.places import Tensor

LOW, HIGH = "stage_0_block_2_add", "layernorm"
_FIRST = "_depthwise_conv"  # ends the name of a block's first layer
_LEFT = (layers.InputLayer, layers.Normalization)


@keras.saving.register_keras_serializable("dsbuild")
class LayerScale(layers.Layer):
    """Multiply each channel by a factor that is learnt; `gamma` is float32 (c,)."""

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Add the factors; a new model starts with those of the paper."""
        start = keras.initializers.Constant(1e-6)
        self.gamma = self.add_weight(shape=(shape[-1],), initializer=start, name="gamma")

    def call(self, x: Tensor) -> Tensor:
        """Return (b, h, w, c)."""
        return x * self.gamma

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the same shape."""
        return shape


def plain(model: keras.Model) -> keras.Model:
    """Return a ConvNeXt of `keras.applications`, without its top, in plain layers.

    It has the same weights, and takes scaled pixels whether the given model scales them or not.
    Layers have the names of Keras without that of the model; a block ends with `{block}_add`.
    """
    image = x = start = keras.Input((None, None, 3))
    block = ""
    for layer in _chain(model):
        name = layer.name.removeprefix(f"{model.name}_")
        if not isinstance(layer, layers.Layer):  # the sum of what a block takes and computes
            x = layers.Add(name=f"{block}_add")([start, x])
            continue
        if name == layer.name:  # the last layer, which Keras numbers
            name = HIGH
        if name.endswith(_FIRST):
            start, block = x, name.removesuffix(_FIRST)
        own = _plain(layer, name)
        x = own(x)
        for ours, theirs in zip(own.weights, layer.weights, strict=True):
            ours.assign(ops.reshape(theirs, ours.shape))
    return keras.Model(image, x, name=model.name)


def _chain(model: keras.Model) -> Iterator[Any]:
    """Yield the layers, and the sums, in order; not those that scale pixels or do nothing."""
    for layer in model.operations:
        if isinstance(layer, keras.Sequential):
            yield from layer.layers
        elif not isinstance(layer, _LEFT) and not layer.name.endswith("_identity"):
            yield layer


def _plain(layer: layers.Layer, name: str) -> layers.Layer:
    """Return a new layer that computes the same."""
    if name.endswith(_FIRST):
        return layers.DepthwiseConv2D(layer.kernel_size, padding=layer.padding, name=name)
    if isinstance(layer, layers.Dense):
        return layers.Conv2D(layer.units, 1, name=name)
    if name.endswith("_layer_scale"):
        return LayerScale(name=name)
    return type(layer).from_config(layer.get_config() | {"name": name})
