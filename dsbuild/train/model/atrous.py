"""Atrous conversion: the same weights at a smaller output stride.

Past the wanted stride every step becomes 1, and what lies behind it is spread by as much
(Chen et al., Rethinking Atrous Convolution for Semantic Image Segmentation, 2017), so that
every step-th value of the result is what the model gave before.
"""

import re
from collections.abc import Mapping
from typing import Any

import keras

_NUMBERED = re.compile(r"(conv2d|batch_normalization|add)(_\d+)?")


def convert(
    model: keras.Model, output_stride: int, *, prefix: str = "", **batch_norm: Any
) -> keras.Model:
    """Return a copy of a functional model, with its weights, whose output has this stride.

    Windows are centred on every stride-th pixel, whatever the parity of a size: padding that
    is uneven becomes even, and what had none becomes `same`. (Only a strided window that pads
    by `same` itself, as the poolings of Keras' Xception do, depends on the parity; and a
    pooling cannot be spread, so that for Xception stride 8 is an approximation.)

    Args:
      model: its layers are each called once; a layer's input and output are (b, h, w, c).
      output_stride: a power of 2; a model of a smaller stride stays as it is.
      prefix: goes before the name of each layer.
      batch_norm: what its batch normalisations have else, such as `momentum`.
    """
    changes = _changes(model, output_stride)
    names = _names(model)

    def copied(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config() | changes.get(layer.name, {})
        if isinstance(layer, keras.layers.BatchNormalization):
            config |= batch_norm
        return type(layer).from_config(config | {"name": prefix + names[layer.name]})

    clone = keras.models.clone_model(model, clone_function=copied)
    clone.set_weights(model.get_weights())
    return clone


def _changes(model: keras.Model, output_stride: int) -> Mapping[str, dict[str, Any]]:
    """Return layer -> what of its configuration is another one."""
    changes = {}
    reached = {id(tensor): (1, 1, False) for tensor in model.inputs}
    for layer in model.layers:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        source = layer.input[0] if isinstance(layer.input, list) else layer.input
        stride, dilation, padded = reached[id(source)]
        config = layer.get_config()
        change, spread = {}, dilation
        if isinstance(layer, keras.layers.ZeroPadding2D):
            change["padding"] = [max(sides) * dilation for sides in config["padding"]]
        elif "strides" in config:
            step = max(config["strides"])
            if stride * step > output_stride:
                change["strides"] = 1
                spread = dilation * step
            else:
                stride *= step
            if max(config.get("kernel_size", config.get("pool_size"))) > 1:
                if "dilation_rate" in config:
                    change["dilation_rate"] = max(config["dilation_rate"]) * dilation
                if not padded:
                    change["padding"] = "same"
        changes[layer.name] = change
        padded = isinstance(layer, keras.layers.ZeroPadding2D)
        reached[id(layer.output)] = (stride, spread, padded)
    return changes


def _names(model: keras.Model) -> Mapping[str, str]:
    """Return layer -> name; those that Keras numbered are numbered from 1 in this model.

    Keras counts them for the whole process, so that the same model has other names next time.
    """
    names, counts = {}, {}
    for layer in model.layers:
        if found := _NUMBERED.fullmatch(layer.name):
            kind = found[1]
            counts[kind] = counts.get(kind, 0) + 1
            names[layer.name] = f"{kind}_{counts[kind]}"
        else:
            names[layer.name] = layer.name
    return names
