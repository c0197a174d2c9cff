"""The backbones by name: how they are built, where their features are, and their weights."""

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
from keras import applications, layers

from dsbuild.errors import ModelError
from dsbuild.train.model import aligned_xception, atrous, convnext, resnet_beta, resnet_v1_5

PREFIX = "backbone_"


@dataclass(frozen=True)
class Backbone:
    """A model of stride 32 without its top, and where its features are.

    Attributes:
      build: builds it, with random weights or, if it has some, those of ImageNet.
      low, high: layers whose outputs are the features of stride 4 and of stride 32; without a name
        the model's output.
      pixels: how its weights expect pixels to be scaled, one of SCALINGS.
      depth: channels of the head that suits it.
      published: whether it comes from keras.applications, which has ImageNet weights.
      wide: whether it has other widths than 1.
      auxiliary: the layer whose output, of stride 16, an auxiliary head takes; empty for none.
      options: more arguments of `build`.
      grid: the last layers with windows, whose atrous rates multi-grid changes.
      plain: makes the model that is used of the one that `build` returns, whose weights it has.
    """

    build: Callable[..., keras.Model]
    low: str
    high: str
    pixels: str = "tf"
    depth: int = 256
    published: bool = True
    wide: bool = False
    auxiliary: str = ""
    grid: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    plain: Callable[[keras.Model], keras.Model] | None = None


def tiny() -> keras.Model:
    """Return a model of 0.05 M parameters at stride 32, for tests and first tries."""
    image = x = keras.Input((None, None, 3))
    for number, filters in enumerate((16, 32, 64, 96, 128), 1):
        kind = layers.Conv2D if number == 1 else layers.SeparableConv2D
        x = layers.ZeroPadding2D(1, name=f"block{number}_pad")(x)
        x = kind(filters, 3, 2, use_bias=False, name=f"block{number}_conv1")(x)
        x = layers.BatchNormalization(name=f"block{number}_bn1")(x)
        x = layers.ReLU(name=f"block{number}_relu1")(x)
        if number > 1:
            x = layers.SeparableConv2D(
                filters, 3, padding="same", use_bias=False, name=f"block{number}_conv2"
            )(x)
            x = layers.BatchNormalization(name=f"block{number}_bn2")(x)
            x = layers.ReLU(name=f"block{number}_relu2")(x)
    return keras.Model(image, x, name="tiny")


def _resnet(build: Callable[..., keras.Model], units: int) -> Backbone:
    """Return a ResNet of Keras with this many units in its last but one stage."""
    return Backbone(
        build,
        "conv2_block3_out",
        "conv5_block3_out",
        pixels="caffe",
        auxiliary=f"conv4_block{units}_out",
        grid=tuple(f"conv5_block{number}_2_conv" for number in (1, 2, 3)),
    )


def _resnet_v1_5(build: Callable[..., keras.Model], unit: int) -> Backbone:
    """Return a ResNet of version 1.5 whose third stage, of stride 16, ends with this unit."""
    return Backbone(
        build,
        resnet_v1_5.LOW,
        resnet_v1_5.HIGH,
        pixels="torch",
        published=False,
        auxiliary=f"layer3_{unit}_relu3",
        grid=resnet_v1_5.GRID,
    )


def _beta(build: Callable[..., keras.Model], unit: int) -> Backbone:
    """Return a ResNet-v1-beta whose third block has stride 16 up to this unit."""
    return Backbone(
        build,
        resnet_beta.LOW,
        resnet_beta.HIGH,
        published=False,
        auxiliary=f"block3_unit_{unit}_bottleneck_v1_relu",
        grid=resnet_beta.GRID,
    )


def _xception(build: Callable[..., keras.Model], low: str) -> Backbone:
    grid = aligned_xception.GRID
    return Backbone(build, low, aligned_xception.HIGH, published=False, grid=grid)


def _convnext(build: Callable[..., keras.Model], block: int) -> Backbone:
    """Return a ConvNeXt whose third stage, of stride 16, ends with this block."""
    return Backbone(
        build,
        convnext.LOW,
        convnext.HIGH,
        pixels="torch",
        auxiliary=f"stage_2_block_{block}_add",
        options=_OWN_PIXELS,
        plain=convnext.plain,
    )


_OWN_PIXELS = {"include_preprocessing": False}  # which `layers.Pixels` does
BACKBONES = {
    "mobilenet_v2": Backbone(
        applications.MobileNetV2, "block_2_depthwise_relu", "block_16_project_BN", wide=True
    ),
    "mobilenet_v3_large": Backbone(
        applications.MobileNetV3Large,
        "expanded_conv_2_add",
        "expanded_conv_14_add",
        options=_OWN_PIXELS,
    ),
    "mobilenet_v3_large_960": Backbone(  # with its last 1 x 1 convolution
        applications.MobileNetV3Large,
        "expanded_conv_2_add",
        "",
        options=_OWN_PIXELS,
    ),
    "mobilenet_v3_small": Backbone(
        applications.MobileNetV3Small,
        "expanded_conv_project_bn",
        "expanded_conv_10_add",
        options=_OWN_PIXELS,
    ),
    "convnext_tiny": _convnext(applications.ConvNeXtTiny, 8),
    "convnext_small": _convnext(applications.ConvNeXtSmall, 26),
    "convnext_base": _convnext(applications.ConvNeXtBase, 26),
    "resnet50_v1_5": _resnet_v1_5(resnet_v1_5.resnet50, 5),
    "resnet101_v1_5": _resnet_v1_5(resnet_v1_5.resnet101, 22),
    "efficientnet_v2_b0": Backbone(
        applications.EfficientNetV2B0,
        "block2b_add",
        "block6h_add",
        pixels="torch",
        options=_OWN_PIXELS,
    ),
    "efficientnet_v2_b3": Backbone(
        applications.EfficientNetV2B3,
        "block2c_add",
        "block6l_add",
        pixels="torch",
        options=_OWN_PIXELS,
    ),
    "efficientnet_v2_s": Backbone(
        applications.EfficientNetV2S,
        "block2d_add",
        "block6o_add",
        pixels="128",
        options=_OWN_PIXELS,
    ),
    "resnet50": _resnet(applications.ResNet50, 6),
    "resnet101": _resnet(applications.ResNet101, 23),
    "resnet50_beta": _beta(resnet_beta.resnet_50_beta, 5),
    "resnet101_beta": _beta(resnet_beta.resnet_101_beta, 22),
    "tiny": Backbone(tiny, "block2_relu2", "block5_relu2", depth=32, published=False),
    "xception": Backbone(applications.Xception, "block3_sepconv2_bn", "block14_sepconv2_act"),
    "xception_41": _xception(aligned_xception.xception_41, aligned_xception.LOW),
    "xception_65": _xception(aligned_xception.xception_65, aligned_xception.LOW),
    "xception_71": _xception(aligned_xception.xception_71, aligned_xception.LOW_71),
}


def narrowed(model: keras.Model, width: float) -> keras.Model:
    """Return MobileNetV2 with random weights and `width` times its channels, each rounded.

    This is DeepLab's rule for depth multipliers other than 1; Keras rounds to multiples of 8.
    """

    def copied(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        if type(layer) is layers.Conv2D:
            # A block expands its input channels by a whole factor.
            given = layer.input.shape[-1] if layer.name.endswith("_expand") else layer.filters
            config["filters"] = max(1, int(given * width + 0.5)) * (layer.filters // given)
        return type(layer).from_config(config)

    return keras.models.clone_model(model, clone_function=copied)


def build(
    name: str,
    output_stride: int,
    *,
    width: float = 1.0,
    multiple: int = 8,
    weights: str | None = None,
    dilate_first: bool = False,
    grid: Sequence[int] = (),
    auxiliary: bool = False,
    **batch_norm: Any,
) -> keras.Model:
    """Return a backbone: pixels (b, h, w, 3) to features of stride 4 and of the output stride.

    Args:
      name: one of BACKBONES; names of the model's layers start with PREFIX.
      output_stride: 8, 16 or 32.
      width: factor of the number of channels, if the backbone has widths.
      multiple: channels are rounded to multiples of it for widths other than 1: 8 as in Keras, 1
        as in DeepLab.
      weights: None for random ones; `imagenet`, which Keras downloads; or a file that Keras wrote
        for this backbone without its top.
      dilate_first: see `atrous.convert`.
      grid: factors for the atrous rates of its last layers with windows; none for 1.
      auxiliary: whether it also returns features for an auxiliary head, of stride 16 or of the
        output stride if that is smaller.
      batch_norm: more options of its batch normalisations, such as `momentum`.
    """
    backbone = BACKBONES[name]
    _have("multi-grid", name, bool(grid), lambda one: one.grid)
    _have("auxiliary head", name, auxiliary, lambda one: one.auxiliary)
    narrow = multiple == 1 and width != 1
    options: dict[str, Any] = {"alpha": 1.0 if narrow else width} if backbone.wide else {}
    if backbone.published:
        options |= {"include_top": False, "input_shape": (None, None, 3), "weights": None}
    options |= backbone.options
    if narrow and weights == "imagenet":
        raise ModelError(f"{name}: found no imagenet weights whose channels are multiples of 1")
    if weights == "imagenet":
        full = _imagenet(name, options | {"weights": weights})
    else:
        full = backbone.build(**options)
        if narrow:
            full = narrowed(full, width)
        if weights is not None:
            _load(full, name, weights)
    full = backbone.plain(full) if backbone.plain else full
    named = (backbone.low, backbone.high, *([backbone.auxiliary] if auxiliary else ()))
    ends = [full.get_layer(layer).output if layer else full.output for layer in named]
    return atrous.convert(
        keras.Model(full.input, ends, name="backbone"),
        output_stride,
        prefix=PREFIX,
        dilate_first=dilate_first,
        grid=dict(zip(backbone.grid, grid, strict=True)) if grid else {},
        **batch_norm,
    )


def scaling(name: str, asked: str | None = None) -> str:
    """Return how pixels are scaled for a backbone: as asked for, or as its own weights expect."""
    return asked or BACKBONES[name].pixels


def _have(what: str, name: str, asked: bool, of: Callable[[Backbone], object]) -> None:
    """Raise ModelError if a backbone does not have what is asked for."""
    if asked and not of(BACKBONES[name]):
        have = ", ".join(key for key, backbone in BACKBONES.items() if of(backbone))
        raise ModelError(f"{name}: found no {what}, which exists for {have}")


def _imagenet(name: str, options: dict[str, Any]) -> keras.Model:
    if not BACKBONES[name].published:
        have = ", ".join(key for key, backbone in BACKBONES.items() if backbone.published)
        raise ModelError(f"{name}: found no imagenet weights, which exist for {have}")
    try:
        return BACKBONES[name].build(**options)
    except Exception as error:  # Keras raises a bare one if it cannot download
        raise ModelError(
            f"{name}: the imagenet weights could not be loaded ({error}); "
            "without a network, give a file of weights"
        ) from error


def _load(model: keras.Model, name: str, path: str) -> None:
    if not os.path.isfile(path):
        raise ModelError(f"{path}: there is no such file; expected weights of {name}")
    try:
        with warnings.catch_warnings():
            # Keras only warns if a file has no value for some weights, and leaves them random.
            warnings.simplefilter("error", UserWarning)
            model.load_weights(path)
    except Exception as error:  # Keras and h5py raise many kinds for foreign or damaged files
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"{path}: expected the weights of {name} without its top, {model.count_params():,} "
            f"numbers, found others ({why})"
        ) from error
