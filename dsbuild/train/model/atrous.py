"""Atrous conversion: the same weights at a smaller output stride.

Once the wanted stride is reached, every further step becomes 1, and the layers after it are
dilated by as much (Chen et al., Rethinking Atrous Convolution for Semantic Image Segmentation,
2017), so that every step-th value of the result equals the value of the original model.
"""

import re
from collections.abc import Mapping
from typing import Any

import keras

_NUMBERED = re.compile(r"(conv2d|batch_normalization|add|multiply|re_lu|activation)(_\d+)?")


def convert(
    model: keras.Model,
    output_stride: int,
    *,
    prefix: str = "",
    dilate_first: bool = False,
    grid: Mapping[str, int] | None = None,
    **batch_norm: Any,
) -> keras.Model:
    """Return a copy of a functional model, with its weights, whose output has this stride.

    Windows are centred on every stride-th pixel, whatever the parity of a size: uneven padding
    becomes even, and unpadded layers get `same`. (Only a strided window that pads by `same`
    itself, like the poolings of Keras' Xception or the convolutions of EfficientNetV2, depends on
    the parity; a pooling cannot be dilated, so stride 8 is an approximation for Xception; and
    squeeze-and-excitation, in MobileNetV3 and EfficientNetV2, averages over more values.)

    Windows of even size, as in ConvNeXt, are centred between pixels and stay unpadded: the first
    feature of the result lies where that of the original model does, and the last one as far from
    the other edge (see `places.first`).

    Args:
      model: calls each of its layers once; a layer's input and output are (b, h, w, c).
      output_stride: a power of 2; a model of a smaller stride stays as it is.
      prefix: for the name of each layer.
      grid: layer -> factor for its dilation.
      dilate_first: whether a layer whose step becomes 1 is dilated as those after it are; then
        values differ from those of the original model.
      batch_norm: more options of its batch normalisations, such as `momentum`.
    """
    changes = _changes(model, output_stride, dilate_first, grid or {})
    names = _names(model)

    def copied(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config() | changes.get(layer.name, {})
        if isinstance(layer, keras.layers.BatchNormalization):
            config |= batch_norm
        return type(layer).from_config(config | {"name": prefix + names[layer.name]})

    clone = keras.models.clone_model(model, clone_function=copied)
    clone.set_weights(model.get_weights())
    return clone


def _changes(
    model: keras.Model, output_stride: int, dilate_first: bool, grid: Mapping[str, int]
) -> Mapping[str, dict[str, Any]]:
    """Return layer -> the part of its configuration that changes."""
    changes: dict[str, dict[str, Any]] = {}
    # Tensor -> its stride, the dilation of the layers that take it, the layer that padded it.
    reached: dict[int, tuple[int, int, keras.layers.Layer | None]] = {
        id(tensor): (1, 1, None) for tensor in model.inputs
    }
    for layer in model.operations:  # layers, and operations such as a sum with a number
        if isinstance(layer, keras.layers.InputLayer):
            continue
        source = layer.input[0] if isinstance(layer.input, list) else layer.input
        stride, dilation, padded = reached[id(source)]
        config = layer.get_config()
        change: dict[str, Any] = {}
        own = next_dilation = dilation
        if isinstance(layer, keras.layers.ZeroPadding2D):
            change["padding"] = [max(sides) * dilation for sides in config["padding"]]
        elif "strides" in config:
            step = max(config["strides"])
            if stride * step > output_stride:
                change["strides"] = 1
                next_dilation = dilation * step
                own = next_dilation if dilate_first else dilation
            else:
                stride *= step
            window = max(config.get("kernel_size", config.get("pool_size")))
            if window > 1:
                rate = own * grid.get(layer.name, 1)
                if "dilation_rate" in config:
                    change["dilation_rate"] = max(config["dilation_rate"]) * rate
                if padded is None:
                    change["padding"] = "same" if window % 2 else config["padding"]
                else:
                    sides = padded.get_config()["padding"]
                    changes[padded.name]["padding"] = [max(both) * rate for both in sides]
        changes[layer.name] = change
        padded = layer if isinstance(layer, keras.layers.ZeroPadding2D) else None
        reached[id(layer.output)] = (stride, next_dilation, padded)
    return changes


def _names(model: keras.Model) -> Mapping[str, str]:
    """Return layer -> name; layers that Keras numbered are numbered from 1 in this model.

    Keras counts them for the whole process, so that the same model has other names next time.
    """
    names: dict[str, str] = {}
    counts: dict[str, int] = {}
    for layer in model.operations:
        if match := _NUMBERED.fullmatch(layer.name):
            kind = match[1]
            counts[kind] = counts.get(kind, 0) + 1
            names[layer.name] = f"{kind}_{counts[kind]}"
        else:
            names[layer.name] = layer.name
    return names
