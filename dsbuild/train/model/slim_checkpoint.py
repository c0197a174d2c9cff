"""Load DeepLab's published checkpoints, which TF-slim wrote, by the names of variables.

    <scope>/weights, biases                                           of a convolution
    <scope>_depthwise/depthwise_weights, <scope>_pointwise/weights    of a separable convolution
    <scope>/BatchNorm/{gamma,beta,moving_mean,moving_variance}

Backbones are `xception_41`, 65 and 71, `resnet_v1_50` and 101 in their beta form, and
`MobilenetV2`; the head is `image_pooling`, `aspp0` and so on.
Source: the variables that google-research's DeepLab declares.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import keras

from dsbuild.errors import ModelError

if TYPE_CHECKING:
    import tensorflow as tf

# Scopes of slim, names of layers here, and the name of the normalisation after each.
_SCOPES = (
    (r"xception_(?:41|65|71)/(.+)", r"backbone_\1", "{}_bn"),
    (r"resnet_v1_(?:50|101)/(.+)", r"backbone_\1", "{}_bn"),
    (r"MobilenetV2/Conv", "backbone_Conv1", "backbone_bn_Conv1"),
    (r"MobilenetV2/expanded_conv/(\w+)", r"backbone_expanded_conv_\1", "{}_BN"),
    (r"MobilenetV2/expanded_conv_(\d+)/(\w+)", r"backbone_block_\1_\2", "{}_BN"),
    (r"image_pooling", "aspp_pooling", "{}_bn"),
    (r"aspp(\d.*)", r"aspp_\1", "{}_bn"),
    (r"concat_projection", "aspp_projection", "{}_bn"),
    (r"decoder/feature_projection0", "decoder_low", "{}_bn"),
    (r"decoder/decoder_conv(\d.*)", r"decoder_\1", "{}_bn"),
    (r"logits/semantic", "logits", "{}_bn"),
)
# Output channels of convolutions of MobileNetV2 at width 1.
_CHANNELS = {
    "Conv": 32,
    "expanded_conv/project": 16,
    "expanded_conv_1/project": 24,
    "expanded_conv_3/project": 32,
    "expanded_conv_6/project": 64,
    "expanded_conv_10/project": 96,
    "expanded_conv_13/project": 160,
}
_VARIABLES = {"weights": "kernel", "depthwise_weights": "kernel", "biases": "bias"}
_FIRST, _LAST = "backbone_", "logits/"
_RANDOM = "seed_generator"  # states of random generators, which are no weights


@dataclass(frozen=True)
class Loaded:
    """The result of loading a checkpoint.

    Attributes:
      loaded: paths of the model's variables that got values.
      missing: paths of variables that the checkpoint has no value for; they are unchanged.
      resized: paths of the last layer's variables if the checkpoint has another number of classes;
        they are unchanged.
      unused: names in the checkpoint without a variable in the model, such as an optimiser's, or
        outside the prefixes.
    """

    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    resized: tuple[str, ...]
    unused: tuple[str, ...]


def load(model: keras.Model, checkpoint: str, *prefixes: str) -> Loaded:
    """Load the values of a checkpoint into a model of `model.build`, all that fit or none.

    Args:
      model: with an Xception or a beta ResNet of DeepLab's, or `mobilenet_v2`; published
        checkpoints of the latter have no decoder and no rates.
      checkpoint: a path without `.index` and `.data-...`.
      prefixes: of the layers to load, such as `backbone_`. Default: all.

    Raises ModelError if there is no checkpoint, if it has nothing for the model's backbone, or if
    a variable has another shape, except in the last layer.
    """
    import tensorflow as tf

    reader, shapes = _opened(checkpoint)
    variables = {
        variable.path: variable for variable in model.variables if _RANDOM not in variable.path
    }
    targets = {target: name for name in sorted(shapes) if (target := path(name)) is not None}
    if not any(target in variables and target.startswith(_FIRST) for target in targets):
        raise ModelError(
            f"{checkpoint}: found no variable of the model's backbone among {len(shapes)}, such as "
            f"{min(shapes, default='none')}, expected xception_65/... or MobilenetV2/..., and a "
            "model with that backbone"
        )
    names = {
        target: name
        for target, name in targets.items()
        if target in variables and target.startswith(prefixes or "")
    }
    resized = [
        target for target, name in names.items() if shapes[name] != list(variables[target].shape)
    ]
    for target in resized:
        if not target.startswith(_LAST):
            raise ModelError(
                f"{checkpoint}: {names[target]}: found shape {tuple(shapes[names[target]])}, "
                f"expected {tuple(variables[target].shape)} for {target}{_remedy(target)}"
            )
    if resized:  # its bias may have the same shape by chance
        resized = [target for target in names if target.startswith(_LAST)]
    loaded = [target for target in names if target not in resized]
    try:
        values = {target: reader.get_tensor(names[target]) for target in loaded}
    except (tf.errors.OpError, IndexError, RuntimeError, ValueError) as error:
        raise ModelError(f"{checkpoint}: found damaged values ({error})") from error
    for target, value in values.items():
        variables[target].assign(value)
    return Loaded(
        loaded=tuple(loaded),
        missing=tuple(target for target in variables if target not in names),
        resized=tuple(resized),
        unused=tuple(sorted(set(shapes) - set(names.values()))),
    )


def _opened(checkpoint: str) -> tuple["tf.train.CheckpointReader", Mapping[str, list[int]]]:
    """Return a reader of a checkpoint, and the shapes of its variables by name."""
    import tensorflow as tf

    if not os.path.isfile(f"{checkpoint}.index"):
        raise ModelError(
            f"{checkpoint}: found no {os.path.basename(checkpoint)}.index beside it, expected the "
            "path of a checkpoint, such as model.ckpt"
        )
    try:
        reader = tf.train.load_checkpoint(checkpoint)
        return reader, reader.get_variable_to_shape_map()
    except (tf.errors.OpError, ValueError) as error:
        raise ModelError(f"{checkpoint}: found no readable checkpoint ({error})") from error


def _remedy(target: str) -> str:
    """Return how to load the rest if a variable of the head has another shape."""
    if target.startswith(_FIRST):
        return ""
    return (
        "; load its backbone alone with --initialize backbone, or give the model the same head, "
        "such as --no-decoder --rates ''"
    )


def multiple(checkpoint: str, width: float) -> int:
    """Return what the channels of a MobileNetV2 of this width are multiples of: 1, or else 8.

    DeepLab rounds them to multiples of 1 if its depth multiplier is not 1.
    """
    import tensorflow as tf

    try:
        shapes = tf.train.load_checkpoint(checkpoint).get_variable_to_shape_map()
    except (tf.errors.OpError, ValueError):
        return 8  # `load` names the problem
    channels = [shapes.get(f"MobilenetV2/{scope}/weights", [0])[-1] for scope in _CHANNELS]
    return 1 if channels == [int(count * width + 0.5) for count in _CHANNELS.values()] else 8


def path(name: str) -> str | None:
    """Return the path here of a variable of slim's; None if there is none."""
    scope, _, variable = name.rpartition("/")
    scope = scope.replace("xception_module/", "")
    normalised = scope.endswith("/BatchNorm")
    scope = scope.removesuffix("/BatchNorm")
    here = variable if normalised else _VARIABLES.get(variable)
    if here is None:
        return None
    for pattern, layer, normalisation in _SCOPES:
        if match := re.fullmatch(pattern, scope):
            layer = match.expand(layer).replace("/", "_")
            return f"{normalisation.format(layer) if normalised else layer}/{here}"
    return None
