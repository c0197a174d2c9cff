"""Weights of DeepLab's published checkpoints, which TF-slim wrote, by the names of variables.

    <scope>/weights, biases                                    of a convolution
    <scope>_depthwise/depthwise_weights, <scope>_pointwise/weights    of a separable one
    <scope>/BatchNorm/{gamma,beta,moving_mean,moving_variance}

Backbones are `xception_65` and `MobilenetV2`; the head is `image_pooling`, `aspp0` and so on.
Source: the variables that google-research's DeepLab declares.
"""

import os
import re
from dataclasses import dataclass

import keras

from dsbuild.errors import ModelError

# Scopes of slim and layers here, with what the name of the normalisation ends in.
_SCOPES = (
    (r"xception_65/(.+)", r"backbone_\1", "{}_bn"),
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
# Channels that convolutions of MobileNetV2 give at width 1.
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
_RANDOM = "seed_generator"  # no weight


@dataclass(frozen=True)
class Loaded:
    """What came of loading a checkpoint.

    Attributes:
      loaded: paths of the model's variables that have the checkpoint's values.
      missing: paths of those that the checkpoint has nothing for, which stay as they were.
      resized: paths of the last layer's, which stay as they were, since the checkpoint has
        another number of classes.
      unused: names in the checkpoint that the model has no variable for, such as an
        optimiser's, or that were not asked for.
    """

    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    resized: tuple[str, ...]
    unused: tuple[str, ...]


def load(model: keras.Model, checkpoint: str, *prefixes: str) -> Loaded:
    """Give a model of `model.build` the values of a checkpoint, all that fit or none.

    Args:
      model: of the backbone `xception_65`, or `mobilenet_v2`; published ones of the latter
        have no decoder and no rates.
      checkpoint: a path without `.index` and `.data-...`.
      prefixes: of the layers that are loaded, such as `backbone_`; all, where there are none.

    Raises ModelError where there is no checkpoint, where it has nothing for the model's backbone,
    or where a variable but the last layer's has another shape.
    """
    import tensorflow as tf

    if not os.path.isfile(f"{checkpoint}.index"):
        raise ModelError(
            f"{checkpoint}: found no {os.path.basename(checkpoint)}.index beside it, expected the "
            "path of a checkpoint, such as model.ckpt"
        )
    try:
        reader = tf.train.load_checkpoint(checkpoint)
        shapes = reader.get_variable_to_shape_map()
    except (tf.errors.OpError, ValueError) as error:
        raise ModelError(f"{checkpoint}: found no readable checkpoint ({error})") from error
    variables = {variable.path: variable for variable in model.variables}
    variables = {target: kept for target, kept in variables.items() if _RANDOM not in target}
    targets = {path(name): name for name in sorted(shapes)}
    if not any(target in variables for target in targets if target and target.startswith(_FIRST)):
        raise ModelError(
            f"{checkpoint}: found no variable of the model's backbone among {len(shapes)}, such as "
            f"{min(shapes, default='none')}, expected xception_65/... or MobilenetV2/..., and a "
            "model of that backbone"
        )
    found = {
        target: name
        for target, name in targets.items()
        if target in variables and target.startswith(prefixes or "")
    }
    resized = [
        target for target, name in found.items() if shapes[name] != list(variables[target].shape)
    ]
    for target in resized:
        if not target.startswith(_LAST):
            raise ModelError(
                f"{checkpoint}: {found[target]}: found shape {tuple(shapes[found[target]])}, "
                f"expected {tuple(variables[target].shape)}, that of {target}{_remedy(target)}"
            )
    if resized:  # a bias of one class fits by chance only where its kernel does
        resized = [target for target in found if target.startswith(_LAST)]
    loaded = [target for target in found if target not in resized]
    try:
        values = {target: reader.get_tensor(found[target]) for target in loaded}
    except (tf.errors.OpError, IndexError, RuntimeError, ValueError) as error:
        raise ModelError(f"{checkpoint}: found damaged values ({error})") from error
    for target, value in values.items():
        variables[target].assign(value)
    return Loaded(
        loaded=tuple(loaded),
        missing=tuple(target for target in variables if target not in found),
        resized=tuple(resized),
        unused=tuple(sorted(set(shapes) - set(found.values()))),
    )


def _remedy(target: str) -> str:
    """Return what loads the rest where a variable of the head has another shape."""
    if target.startswith(_FIRST):
        return ""
    return (
        "; take its backbone alone by --initialize backbone, or give the model its head, such as "
        "--no-decoder --rates ''"
    )


def multiple(checkpoint: str, width: float) -> int:
    """Return which multiples the channels of a MobileNetV2 of this width are of: 1, or else 8.

    DeepLab rounds them to 1 where its depth multiplier is not 1.
    """
    import tensorflow as tf

    try:
        found = tf.train.load_checkpoint(checkpoint).get_variable_to_shape_map()
    except (tf.errors.OpError, ValueError):
        return 8  # `load` says what is wrong
    there = [found.get(f"MobilenetV2/{scope}/weights", [0])[-1] for scope in _CHANNELS]
    return 1 if there == [int(count * width + 0.5) for count in _CHANNELS.values()] else 8


def path(name: str) -> str | None:
    """Return the path here of a variable of slim's; None for one that has none."""
    scope, _, variable = name.rpartition("/")
    scope = scope.replace("xception_module/", "")
    normalised = scope.endswith("/BatchNorm")
    scope = scope.removesuffix("/BatchNorm")
    if not normalised:
        variable = _VARIABLES.get(variable)
    for pattern, layer, normalisation in _SCOPES:
        if variable and (found := re.fullmatch(pattern, scope)):
            layer = found.expand(layer).replace("/", "_")
            return f"{normalisation.format(layer) if normalised else layer}/{variable}"
    return None
