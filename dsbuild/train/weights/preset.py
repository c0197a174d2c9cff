"""Read presets of keras-hub from a folder: its DeepLabV3 and DeepLabV3+, and its ResNets.

    config.json            the architecture
    model.weights.h5       the weights; each layer's group says its name
    task.weights.h5        the last layer, which is not read
    preprocessor.json      how pixels are scaled, if the preset says so

Names are returned as PyTorch would write them, `conv1_bn.running_mean`, and axes in its order.
Source: what keras-hub 0.32 writes.
"""

import os
from collections.abc import Iterator, Mapping
from typing import Any

import h5py
import numpy as np

from dsbuild import storage
from dsbuild.errors import DsbuildError, ModelError
from dsbuild.format import documents
from dsbuild.train.weights import tensors
from dsbuild.train.weights.tensors import Tensor, Tensors, Values

CONFIG, WEIGHTS, PIXELS = "config.json", "model.weights.h5", "preprocessor.json"
_KINDS = {1: ("weight",), 4: ("weight", "bias", "running_mean", "running_var")}
_RESNET = {  # of the only encoders that there are here
    "block_type": "bottleneck_block",
    "use_pre_activation": False,
    "input_conv_filters": [64],
    "input_conv_kernel_sizes": [7],
    "stackwise_num_filters": [64, 128, 256, 512],
    "stackwise_num_strides": [1, 2, 2, 2],
}
_SCALE = (1 / 58.395, 1 / 57.12, 1 / 57.375)  # of RGB in 0..255: by ImageNet's deviation,
_OFFSET = (-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225)  # less its mean


def recognises(path: str) -> bool:
    """Tell whether a folder is a preset of keras-hub."""
    return all(os.path.isfile(os.path.join(path, name)) for name in (CONFIG, WEIGHTS))


def load(path: str) -> Tensors:
    """Return the tensors of a preset by name; raise ModelError if it is damaged, or does not fit.

    Its pixels must be scaled by ImageNet's mean and deviation, if it says how.
    """
    config = os.path.join(path, CONFIG)
    _check(config, _document(config))
    pixels = os.path.join(path, PIXELS)
    if os.path.isfile(pixels):
        _check_pixels(pixels, _document(pixels))
    file = os.path.join(path, WEIGHTS)
    try:
        with h5py.File(file) as data:
            return dict(_tensors(file, data))
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise ModelError(
            f"{file}: found no readable weights of Keras ({error}); copy or download it again"
        ) from error


def _document(path: str) -> Mapping[str, Any]:
    try:
        found = documents.parse(storage.read(path)[0])
    except (DsbuildError, ValueError) as error:
        raise ModelError(f"{path}: found no readable JSON ({error})") from error
    return found if isinstance(found, Mapping) else {}


def _config(found: Any) -> tuple[str, Mapping[str, Any]]:
    """Return the class and the arguments of a serialised object of Keras."""
    if not isinstance(found, Mapping) or not isinstance(found.get("config"), Mapping):
        return "", {}
    return str(found.get("class_name")), found["config"]


def _check(path: str, document: Mapping[str, Any]) -> None:
    name, config = _config(document)
    if name == "DeepLabV3Backbone":
        name, config = _config(config.get("image_encoder"))
    if name != "ResNetBackbone":
        raise ModelError(
            f"{path}: found a preset of {name or 'no known model'}, expected a DeepLabV3Backbone "
            "with a ResNetBackbone, or a ResNetBackbone"
        )
    for key, expected in _RESNET.items():
        if config.get(key) != expected:
            raise ModelError(
                f"{path}: found {key} {config.get(key)!r}, expected {expected!r}: only its ResNets "
                "of version 1 with bottlenecks are those of resnet50_v1_5 and resnet101_v1_5"
            )


def _check_pixels(path: str, document: Mapping[str, Any]) -> None:
    _, config = _config(document)
    _, converter = _config(config.get("image_converter"))
    for key, expected in (("scale", _SCALE), ("offset", _OFFSET)):
        given = converter.get(key)
        if given is None and not converter:
            continue
        given = given if given is not None else (1.0 if key == "scale" else 0.0)
        try:
            same = np.allclose(given, expected, rtol=1e-3)
        except (TypeError, ValueError):
            same = False
        if not same:
            raise ModelError(
                f"{path}: found pixels with {key} {given}, expected "
                f"{[round(part, 4) for part in expected]}, ImageNet's mean and deviation"
            )


def _tensors(path: str, data: h5py.File) -> Iterator[tuple[str, Tensor]]:
    groups: list[h5py.Group] = []
    data.visititems(lambda _, it: groups.append(it) if isinstance(it, h5py.Group) else None)
    seen = set()
    for group in groups:
        if not len(group) or not all(isinstance(it, h5py.Dataset) for it in group.values()):
            continue
        if group.name.startswith("/optimizer/") or "seed_generator" in group.name:
            continue
        layer, kinds = group.attrs.get("name"), _KINDS.get(len(group), ())
        if not isinstance(layer, str) or not kinds or layer in seen:
            raise ValueError(f"{group.name}: it does not say the name of its layer; save it again")
        seen.add(layer)
        for number, kind in enumerate(kinds):
            yield f"{layer}.{kind}", _tensor(path, group[str(number)])


def _tensor(path: str, data: h5py.Dataset) -> Tensor:
    if data.external:
        raise ValueError(f"{data.name}: its values are in another file")
    name, narrow = data.name, data.attrs.get("dtype") == "bfloat16"
    axes = (3, 2, 0, 1) if data.ndim == 4 else tuple(range(data.ndim))

    def read() -> Values:
        with h5py.File(path) as again:
            found = np.asarray(again[name])
        flat = tensors.values(found.tobytes(), "bfloat16") if narrow else found
        return np.transpose(np.asarray(flat, np.float32).reshape(found.shape), axes)

    return Tensor(tuple(data.shape[axis] for axis in axes), read)
