"""Map the tensors of an origin onto the variables of a model: all that fit exactly, or none."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import keras
import numpy as np

from dsbuild.errors import ModelError, words
from dsbuild.train.model.deeplab import named
from dsbuild.train.settings import Settings
from dsbuild.train.weights import origins
from dsbuild.train.weights.origin import Origin
from dsbuild.train.weights.tensors import Tensor, Tensors, Values

# The last name of a tensor -> the variable of a layer here.
_VARIABLES = {
    "weight": ("kernel", "gamma"),
    "bias": ("bias", "beta"),
    "running_mean": ("moving_mean",),
    "running_var": ("moving_variance",),
    "layer_scale": ("gamma",),
}
_COUNTED = "num_batches_tracked"
_WRAPPERS = ("module.", "model.", "_orig_mod.", "net.")  # of data parallel and other trainers
_JOIN = "aspp_projection/kernel"  # here its input begins with the pooled features, there it ends so
_LAST = ("logits", "auxiliary_logits")
_BLOCKS = re.compile(r"(?:(?:.*\.)?layer3\.|stack2_block)(\d+)[._](?:1_conv|conv1)\.weight")


@dataclass(frozen=True)
class Mapped:
    """The values for the variables of a model.

    Attributes:
      origin: where they are from.
      values: by the paths of variables.
      random: the parts of the model that get none, such as `decoder`.
      left: what of the file is not loaded, and why.
    """

    origin: Origin
    values: Mapping[str, Values]
    random: tuple[str, ...]
    left: tuple[str, ...]


def mapped(
    model: keras.Model, path: str, tensors: Tensors, settings: Settings, prefix: str = ""
) -> Mapped:
    """Return the values that a file of another origin has for a model.

    Args:
      model: of `model.build`.
      path: of the file, for errors.
      tensors: those of the file.
      settings: those that the model was built with.
      prefix: of the layers to load.

    Raises ModelError if the file's origin is unknown, if it does not fit the model exactly, or if
    a value is NaN or infinite.
    """
    origin = made_by(path, tensors)
    tensors = _unwrapped(tensors)
    layers = {layer.name: layer for layer in named(model, "") if layer.weights}
    _fits(path, origin, tensors, settings, prefix)
    targets, left = _targets(path, origin, tensors, layers)
    given = (part for part in origin.parts if any(name.startswith(part) for name in targets))
    parts = tuple(part for part in given if part.startswith(prefix))
    own = {
        variable.path: variable
        for layer in layers.values()
        for variable in layer.weights
        if layer.name.startswith(parts)
    }
    renewed = _renewed(own, targets, tensors)
    own = {target: variable for target, variable in own.items() if target not in renewed}
    targets = {target: name for target, name in targets.items() if target not in renewed}
    for part in parts:
        _complete(path, part, origin, own, targets)
    values = {
        target: _converted(f"{path}: {targets[target]}", target, tensors[targets[target]], variable)
        for target, variable in own.items()
    }
    _rescale(origin, layers, values)
    loaded = {target.rpartition("/")[0] for target in values}
    kinds = (name.partition("_")[0] for name in layers if name not in loaded)
    return Mapped(origin, values, tuple(dict.fromkeys(kinds)), left)


def made_by(path: str, tensors: Tensors) -> Origin:
    """Return the origin of a file; raise ModelError if it is unknown, or cannot be loaded."""
    if not tensors:
        raise ModelError(f"{path}: found no tensor, expected those of a model; use another file")
    origin = origins.of(_unwrapped(tensors))
    if origin is None:
        known = dict.fromkeys(one.name for one in origins.ORIGINS if not one.refused)
        raise ModelError(
            f"{path}: found names such as {min(tensors)}, expected those of {', '.join(known)}"
        )
    if origin.refused:
        raise ModelError(f"{path}: found {origin.name}, which cannot be loaded: {origin.refused}")
    return origin


def _renewed(
    own: Mapping[str, keras.Variable], targets: Mapping[str, str], tensors: Tensors
) -> set[str]:
    """Return the variables of last layers that have other classes in the file."""
    return {
        target
        for layer in _LAST
        if f"{layer}/kernel" in own and f"{layer}/kernel" in targets
        if tensors[targets[f"{layer}/kernel"]].shape[0] != own[f"{layer}/kernel"].shape[-1]
        for target in (f"{layer}/kernel", f"{layer}/bias")
    }


def _unwrapped(tensors: Tensors) -> Tensors:
    """Return tensors without the prefixes that data parallel and other trainers add to all."""
    for wrapper in _WRAPPERS:
        if all(name.startswith(wrapper) for name in tensors):
            return _unwrapped({name.removeprefix(wrapper): it for name, it in tensors.items()})
    return tensors


def _fits(path: str, origin: Origin, tensors: Tensors, settings: Settings, prefix: str) -> None:
    """Raise ModelError if the backbone is another, or settings are not those of the origin."""
    numbers = [int(match[1]) for name in tensors if (match := _BLOCKS.fullmatch(name))]
    backbone = origin.backbone or origins.DEPTHS.get(max(numbers, default=-1) + 1)
    if numbers and backbone is None:
        raise ModelError(
            f"{path}: found {origin.name} with {max(numbers) + 1} blocks in the third stage, "
            "expected a ResNet-50 with 6 or a ResNet-101 with 23"
        )
    if backbone is not None and backbone != settings.backbone:
        raise ModelError(
            f"{path}: found weights of {backbone}, expected those of {settings.backbone}; give "
            f"--backbone {backbone}"
        )
    alone = prefix.startswith("backbone_")
    for name, value in {**origin.needs, **({} if alone else origin.head)}.items():
        if settings.output_stride == 32 and name == "dilate_first":  # then nothing is dilated
            continue
        if getattr(settings, name) != value:
            option = name.replace("_", "-")
            given = "" if isinstance(value, bool) else " " + ",".join(map(str, value))
            raise ModelError(
                f"{path}: {origin.name} computes the same only with {name} {value}, found "
                f"{getattr(settings, name)}; give --{option}{given}"
            )


def _targets(
    path: str, origin: Origin, tensors: Tensors, layers: Mapping[str, keras.layers.Layer]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the paths of variables -> names in the file, and why others are left."""
    targets: dict[str, str] = {}
    left: dict[str, None] = {}
    window = any(layer.startswith("aspp_window") for layer in layers)
    for name in tensors:
        module, _, last = name.rpartition(".")
        layer, why = origin.layer(module, window), origin.reason(module)
        if last == _COUNTED:
            continue
        if layer is None and why is None:
            raise ModelError(
                f"{path}: found {name}, which {origin.name} does not have: the file is of a "
                "variant of it that cannot be loaded"
            )
        if layer is None:
            left |= {why: None} if why else {}
        elif layer in layers:
            own = {variable.path.rpartition("/")[2] for variable in layers[layer].weights}
            here = [each for each in _VARIABLES.get(last, ()) if each in own]
            targets[f"{layer}/{here[0] if here else last}"] = name
        else:
            targets[f"{layer}/{last}"] = name
    return targets, tuple(left)


def _complete(
    path: str,
    part: str,
    origin: Origin,
    own: Mapping[str, keras.Variable],
    targets: Mapping[str, str],
) -> None:
    """Raise ModelError if a part of the model has other variables than that of the file."""
    needed = {target for target in own if target.startswith(part)}
    given = {target for target in targets if target.startswith(part)}
    if needed and needed != given:
        lack, over = sorted(needed - given), sorted(given - needed)
        found = f"nothing for {lack[0]}" if lack else f"{targets[over[0]]}, for {over[0]}"
        raise ModelError(f"{path}: found {found}; {_differs(part, origin)}")


def _differs(part: str, origin: Origin) -> str:
    if part.startswith("backbone_"):
        return f"its backbone is not the one of the model; expected that of {origin.name}"
    return (
        "its head is not the one of the model; give the model the same, such as --no-separable and "
        "three --rates, or load its backbone alone with --initialize backbone"
    )


def _converted(where: str, target: str, tensor: Tensor, variable: keras.Variable) -> Values:
    """Return a tensor's values for a variable: in the order of Keras' axes, and of our features."""
    expected = tuple(variable.shape)
    axes = {4: (2, 3, 1, 0), 2: (1, 0)}.get(len(tensor.shape), tuple(range(len(tensor.shape))))
    if len(tensor.shape) == 4 and tensor.shape[1] == expected[-1] == 1:  # depthwise
        axes = (2, 3, 0, 1)
    shape = tuple(tensor.shape[axis] for axis in axes)
    if len(shape) != len(expected) and _wide(shape) == _wide(expected):
        shape = expected  # a linear layer is a 1 x 1 convolution here; scales have one axis
    if shape != expected:
        raise ModelError(
            f"{where}: found shape {shape}, expected {expected} for {target}; another --depth, "
            "--rates or --backbone may fit, or --initialize backbone"
        )
    try:
        found = np.transpose(tensor.read(), axes).reshape(shape)
    except Exception as error:  # zipfile and h5py raise many kinds for damaged files
        raise ModelError(f"{where}: found damaged values ({words(error)})") from error
    if not np.isfinite(found).all():
        raise ModelError(f"{where}: found NaN or infinite values; use another checkpoint")
    return np.roll(found, shape[-1], axis=2) if target == _JOIN else found


def _wide(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return a shape without its axes of one value."""
    return tuple(size for size in shape if size > 1)


def _rescale(
    origin: Origin, layers: Mapping[str, keras.layers.Layer], values: dict[str, Values]
) -> None:
    """Change the scales of normalisations whose epsilon was another, so that they do the same."""
    for prefix, epsilon in origin.epsilons.items():
        for name, layer in layers.items():
            if name.startswith(prefix) and f"{name}/gamma" in values:
                variance = values[f"{name}/moving_variance"].astype(np.float64)
                factor = np.sqrt((variance + layer.epsilon) / (variance + epsilon))
                values[f"{name}/gamma"] = (values[f"{name}/gamma"] * factor).astype(np.float32)
