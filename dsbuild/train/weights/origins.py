r"""Where weights come from: how each origin names its layers, and what of it fits the model here.

A rule is a pattern of a module's name and the layer here whose variables it has. What no rule
covers is listed in `left`, with the reason; anything else in a file is an error, since it shows
that the file is of another model. Sources: the modules of torchvision 0.28, VainF's
DeepLabV3Plus-Pytorch, jfzhang95's pytorch-deeplab-xception, segmentation_models_pytorch 0.6, and
keras-hub 0.32.

What has no counterpart here, or not the same one:

- a 3 x 3 convolution between pyramid and logits (torchvision and others, in DeepLabV3)
- a decoder of one 3 x 3 convolution, after features are resized by areas (VainF)
- separable convolutions without normalisation in between (segmentation_models_pytorch)
- a MobileNetV2 that pads images before the 1 x 1 convolution of a block, whose normalisation makes
  something else of the zeros (VainF, jfzhang95); or one that takes pixels of ImageNet's mean and
  deviation (torchvision)
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

Rules = tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The names of one origin.

    Attributes:
      name: what people call it.
      marks: names that all of its files have; patterns.
      rules: of modules, see above.
      left: patterns of what is not loaded, and why.
      parts: prefixes of the layers here that it fills whole, if the model has any of them.
      epsilons: prefix of layers here -> their epsilon there, if it is not that of the layer.
      needs: settings without which its weights compute something else.
      refused: why nothing of it fits; empty if something does.
    """

    name: str
    marks: tuple[str, ...]
    rules: Rules = ()
    left: Rules = ()
    parts: tuple[str, ...] = ("backbone_",)
    epsilons: Mapping[str, float] = field(default_factory=dict)
    needs: Mapping[str, bool | tuple[int, ...]] = field(default_factory=dict)
    refused: str = ""

    def made(self, names: Iterable[str]) -> bool:
        """Tell whether a file with these names is of this origin."""
        names = list(names)
        return all(any(re.fullmatch(mark, name) for name in names) for mark in self.marks)

    def layer(self, module: str) -> str | None:
        """Return the layer here of a module there; None if it has none."""
        for pattern, layer in self.rules:
            if match := re.fullmatch(pattern, module):
                return match.expand(layer)
        return None

    def reason(self, module: str) -> str | None:
        """Return why a module is not loaded, maybe empty; None if its name is unknown."""
        for pattern, why in self.left:
            if re.fullmatch(pattern, module):
                return why
        return None


def _resnet(prefix: str) -> Rules:
    """Return the rules of torchvision's ResNet under a prefix."""
    return (
        (rf"{prefix}(conv1|bn1)", r"backbone_\1"),
        (rf"{prefix}(layer\d)\.(\d+)\.((?:conv|bn)\d)", r"backbone_\1_\2_\3"),
        (rf"{prefix}(layer\d)\.(\d+)\.downsample\.0", r"backbone_\1_\2_shortcut"),
        (rf"{prefix}(layer\d)\.(\d+)\.downsample\.1", r"backbone_\1_\2_shortcut_bn"),
    )


def _pyramid(prefix: str) -> Rules:
    """Return the rules of torchvision's pyramid under a prefix."""
    return (
        (rf"{prefix}convs\.4\.1", "aspp_pooling"),
        (rf"{prefix}convs\.4\.2", "aspp_pooling_bn"),
        (rf"{prefix}convs\.([0-3])\.0", r"aspp_\1"),
        (rf"{prefix}convs\.([0-3])\.1", r"aspp_\1_bn"),
        (rf"{prefix}project\.0", "aspp_projection"),
        (rf"{prefix}project\.1", "aspp_projection_bn"),
    )


_HUB = (
    (r"conv1_conv", "backbone_conv1"),
    (r"conv1_bn", "backbone_bn1"),
    *(
        rule
        for stage in (1, 2, 3, 4)
        for rule in (
            (rf"stack{stage - 1}_block(\d+)_([1-3])_conv", rf"backbone_layer{stage}_\1_conv\2"),
            (rf"stack{stage - 1}_block(\d+)_([1-3])_bn", rf"backbone_layer{stage}_\1_bn\2"),
            (rf"stack{stage - 1}_block(\d+)_0_conv", rf"backbone_layer{stage}_\1_shortcut"),
            (rf"stack{stage - 1}_block(\d+)_0_bn", rf"backbone_layer{stage}_\1_shortcut_bn"),
        )
    ),
)
_RESNET = r"layer4\.0\.conv3\.weight"
_WINDOW = "its 3 x 3 convolution after the pyramid"
_PADS = "its MobileNetV2 pads before the 1 x 1 convolutions, and differs at the borders of images"
_PIXELS = "its MobileNetV2 takes pixels scaled by ImageNet's mean and deviation, here -1..1"


def _jfzhang95(window: int, normalisation: int, last: int) -> Origin:
    """Return jfzhang95's DeepLab with a ResNet, by the places of its decoder's second half."""
    return Origin(
        name="jfzhang95's DeepLab",
        marks=(
            rf"backbone\.{_RESNET}",
            r"aspp\.aspp1\.atrous_conv\.weight",
            rf"decoder\.last_conv\.{last}\.weight",
        ),
        rules=(
            *_resnet(r"backbone\."),
            *((rf"aspp\.aspp{number + 1}\.atrous_conv", f"aspp_{number}") for number in range(4)),
            *((rf"aspp\.aspp{number + 1}\.bn", f"aspp_{number}_bn") for number in range(4)),
            (r"aspp\.global_avg_pool\.1", "aspp_pooling"),
            (r"aspp\.global_avg_pool\.2", "aspp_pooling_bn"),
            (r"aspp\.conv1", "aspp_projection"),
            (r"aspp\.bn1", "aspp_projection_bn"),
            (r"decoder\.conv1", "decoder_low"),
            (r"decoder\.bn1", "decoder_low_bn"),
            (r"decoder\.last_conv\.0", "decoder_0"),
            (r"decoder\.last_conv\.1", "decoder_0_bn"),
            (rf"decoder\.last_conv\.{window}", "decoder_1"),
            (rf"decoder\.last_conv\.{normalisation}", "decoder_1_bn"),
            (rf"decoder\.last_conv\.{last}", "logits"),
        ),
        parts=("backbone_", "aspp_", "decoder_", "logits"),
        needs={"dilate_first": True, "multi_grid": (1, 2, 4)},
    )


ORIGINS = (
    Origin(
        name="torchvision's DeepLabV3",
        marks=(rf"backbone\.{_RESNET}", r"classifier\.0\.convs\.0\.0\.weight"),
        rules=(
            *_resnet(r"backbone\."),
            *_pyramid(r"classifier\.0\."),
            (r"aux_classifier\.0", "auxiliary_0"),
            (r"aux_classifier\.1", "auxiliary_0_bn"),
            (r"aux_classifier\.4", "auxiliary_logits"),
        ),
        left=((r"classifier\.[1-4]", _WINDOW),),
        parts=("backbone_", "aspp_", "auxiliary_"),
    ),
    Origin(
        name="torchvision's DeepLabV3",
        marks=(r"backbone\.1\.block\.0\.0\.weight", r"classifier\.0\.convs\.0\.0\.weight"),
        refused="its MobileNetV3 takes pixels scaled by ImageNet's mean and deviation, here -1..1",
    ),
    Origin(
        name="torchvision's FCN",
        marks=(rf"backbone\.{_RESNET}", r"classifier\.4\.weight", r"classifier\.0\.weight"),
        rules=_resnet(r"backbone\."),
        left=((r"classifier\.[0-4]", "its head"), (r"aux_classifier\.[0-4]", "")),
    ),
    Origin(
        name="torchvision's ResNet",
        marks=(_RESNET, r"conv1\.weight"),
        rules=_resnet(""),
        left=(("fc", ""),),
    ),
    Origin(
        name="torchvision's MobileNetV2",
        marks=(r"features\.1\.conv\.0\.0\.weight",),
        refused=_PIXELS,
    ),
    Origin(
        name="VainF's DeepLabV3Plus",
        marks=(rf"backbone\.{_RESNET}", r"classifier\.aspp\.convs\.0\.0\.weight"),
        rules=(
            *_resnet(r"backbone\."),
            *_pyramid(r"classifier\.aspp\."),
            (r"classifier\.project\.0", "decoder_low"),
            (r"classifier\.project\.1", "decoder_low_bn"),
        ),
        left=((r"classifier\.classifier\..+", "its decoder, which has one 3 x 3 convolution"),),
        parts=("backbone_", "aspp_", "decoder_low"),
    ),
    Origin(
        name="VainF's DeepLabV3",
        marks=(rf"backbone\.{_RESNET}", r"classifier\.classifier\.0\.convs\.0\.0\.weight"),
        rules=_resnet(r"backbone\.") + _pyramid(r"classifier\.classifier\.0\."),
        left=((r"classifier\.classifier\.[1-4]", _WINDOW),),
        parts=("backbone_", "aspp_"),
    ),
    Origin(
        name="VainF's DeepLab with MobileNetV2",
        marks=(r"backbone\.low_level_features\.0\.0\.weight", r"classifier\..+\.weight"),
        refused=_PADS,
    ),
    _jfzhang95(4, 5, 8),
    _jfzhang95(3, 4, 6),  # before it had dropout
    Origin(
        name="jfzhang95's DeepLab with MobileNetV2",
        marks=(r"backbone\.low_level_features\.0\.0\.weight", r"aspp\.aspp1\.atrous_conv\.weight"),
        refused=_PADS,
    ),
    Origin(
        name="jfzhang95's DeepLab with Xception or DRN",
        marks=(r"aspp\.aspp1\.atrous_conv\.weight",),
        refused="its backbone differs from Xception-65 in activations and normalisations",
    ),
    Origin(
        name="segmentation_models_pytorch's DeepLabV3Plus",
        marks=(rf"encoder\.{_RESNET}", r"decoder\.aspp\.0\.convs\.0\.0\.weight"),
        rules=_resnet(r"encoder\."),
        left=((r"(?:decoder|segmentation_head|classification_head)\..+", "its head"),),
        needs={"dilate_first": True},
    ),
    Origin(
        name="segmentation_models_pytorch's DeepLabV3",
        marks=(rf"encoder\.{_RESNET}", r"decoder\.(?:0|aspp)\.convs\.[13]\.0\.weight"),
        rules=_resnet(r"encoder\.") + _pyramid(r"decoder\.(?:0|aspp)\."),
        left=(
            (r"decoder\.(?:[12]|conv|bn)|segmentation_head\.0", _WINDOW),
            (r"classification_head\..+", ""),
        ),
        parts=("backbone_", "aspp_"),
        needs={"dilate_first": True},
    ),
    Origin(
        name="keras-hub's DeepLabV3",
        marks=(r"stack3_block0_3_conv\.weight", r"aspp_conv_1\.weight"),
        rules=(
            *_HUB,
            (r"conv_pooling", "aspp_pooling"),
            (r"bn_pooling", "aspp_pooling_bn"),
            *((f"aspp_conv_{number + 1}", f"aspp_{number}") for number in range(9)),
            *((f"aspp_bn_{number + 1}", f"aspp_{number}_bn") for number in range(9)),
            (r"conv_projection", "aspp_projection"),
            (r"bn_projection", "aspp_projection_bn"),
            (r"decoder_conv", "decoder_low"),
            (r"decoder_norm", "decoder_low_bn"),
        ),
        left=((r"segmentation_head_(?:conv|norm)", "its decoder, which has a 1 x 1 convolution"),),
        parts=("backbone_", "aspp_", "decoder_low"),
        epsilons={"aspp_": 1e-3, "decoder_low": 1e-3},
    ),
    Origin(
        name="keras-hub's ResNet",
        marks=(r"stack3_block0_3_conv\.weight",),
        rules=_HUB,
    ),
    Origin(
        name="segmentation_models_pytorch's model",
        marks=(rf"encoder\.{_RESNET}", r"decoder\..+"),
        rules=_resnet(r"encoder\."),
        left=((r"(?:decoder|segmentation_head|classification_head)\..+", "its head"),),
    ),
)
DEPTHS = {6: "resnet50_v1_5", 23: "resnet101_v1_5"}  # blocks of the third stage -> backbone


def of(names: Iterable[str]) -> Origin | None:
    """Return the origin of a file by the names in it; None if it is not known."""
    names = list(names)
    return next((origin for origin in ORIGINS if origin.made(names)), None)
