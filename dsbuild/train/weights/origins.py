r"""Where weights come from: how each origin names its layers, and what of it fits the model here.

Sources: the modules of torchvision 0.28, VainF's
DeepLabV3Plus-Pytorch, jfzhang95's pytorch-deeplab-xception, segmentation_models_pytorch 0.6, and
keras-hub 0.32.

What has no counterpart here, or not the same one:

- a 3 x 3 convolution between pyramid and logits (torchvision and others, in DeepLabV3), unless the
  model has one, too
- a decoder of one 3 x 3 convolution, after features are resized by areas (VainF)
- separable convolutions without normalisation in between (segmentation_models_pytorch)
- a MobileNetV2 that pads images before the 1 x 1 convolution of a block, whose normalisation makes
  something else of the zeros (VainF, jfzhang95)
"""

from collections.abc import Iterable

from dsbuild.train.weights import convnexts, mobilenets
from dsbuild.train.weights.origin import Origin, Rules


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
_LAST = "its last 1 x 1 convolution"


def _after(prefix: str) -> Rules:
    """Return the rules of what follows the pyramid in DeepLabV3 as torchvision has it."""
    return (
        (rf"{prefix}1", "aspp_window"),
        (rf"{prefix}2", "aspp_window_bn"),
        (rf"{prefix}4", "logits"),
    )


def _convnext(backbone: str, block: int) -> Origin:
    """Return torchvision's ConvNeXt, by the last block of its third stage."""
    return Origin(
        name="torchvision's ConvNeXt",
        marks=(rf"features\.5\.{block}\.layer_scale",),
        rules=convnexts.rules(),
        left=((r"classifier\.2", ""),),
        backbone=backbone,
    )


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
        window=_after(r"classifier\."),
        left=((r"classifier\.[1-4]", _WINDOW),),
        parts=("backbone_", "aspp_", "auxiliary_", "logits"),
    ),
    Origin(
        name="torchvision's DeepLabV3 with MobileNetV3",
        marks=(r"backbone\.16\.0\.weight", r"classifier\.0\.convs\.0\.0\.weight"),
        rules=(*mobilenets.v3_large(r"backbone\."), *_pyramid(r"classifier\.0\.")),
        window=_after(r"classifier\."),
        left=((r"classifier\.[1-4]", _WINDOW), (r"aux_classifier\.[0-4]", "")),
        parts=("backbone_", "aspp_", "logits"),
        needs={"dilate_first": True},
        head={"rates": (12, 24, 36)},
        backbone="mobilenet_v3_large_960",
    ),
    Origin(
        name="torchvision's MobileNetV3",
        marks=(r"features\.16\.0\.weight", r"features\.1\.block\.0\.0\.weight"),
        rules=mobilenets.v3_large(r"features\."),
        left=((r"classifier\.\d", ""),),
        backbone="mobilenet_v3_large_960",
    ),
    _convnext("", 26),  # small or base, which differ in channels
    _convnext("convnext_tiny", 8),
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
        rules=mobilenets.v2(r"features\."),
        left=((r"features\.18\.[01]", _LAST), (r"classifier\.\d", "")),
        epsilons={"backbone_": mobilenets.EPSILON},
        backbone="mobilenet_v2",
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
        window=_after(r"classifier\.classifier\."),
        left=((r"classifier\.classifier\.[1-4]", _WINDOW),),
        parts=("backbone_", "aspp_", "logits"),
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
        window=(
            (r"decoder\.(?:1|conv)", "aspp_window"),
            (r"decoder\.(?:2|bn)", "aspp_window_bn"),
            (r"segmentation_head\.0", "logits"),
        ),
        left=(
            (r"decoder\.(?:[12]|conv|bn)|segmentation_head\.0", _WINDOW),
            (r"classification_head\..+", ""),
        ),
        parts=("backbone_", "aspp_", "logits"),
        needs={"dilate_first": True},
    ),
    Origin(
        name="segmentation_models_pytorch's DeepLab with MobileNetV2",
        marks=(
            r"encoder\.features\.1\.conv\.0\.0\.weight",
            r"decoder\.(?:0|aspp|aspp\.0)\.convs\.0\.0\.weight",
        ),
        rules=mobilenets.v2(r"encoder\.features\."),
        left=(
            (r"encoder\.features\.18\.[01]", _LAST),
            (r"(?:decoder|segmentation_head|classification_head)\..+", "its head"),
        ),
        epsilons={"backbone_": mobilenets.EPSILON},
        needs={"dilate_first": True},
        backbone="mobilenet_v2",
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
    Origin(
        name="segmentation_models_pytorch's model",
        marks=(r"encoder\.features\.1\.conv\.0\.0\.weight", r"decoder\..+"),
        rules=mobilenets.v2(r"encoder\.features\."),
        left=(
            (r"encoder\.features\.18\.[01]", _LAST),
            (r"(?:decoder|segmentation_head|classification_head)\..+", "its head"),
        ),
        epsilons={"backbone_": mobilenets.EPSILON},
        backbone="mobilenet_v2",
    ),
)
DEPTHS = {6: "resnet50_v1_5", 23: "resnet101_v1_5"}  # blocks of the third stage -> backbone


def of(names: Iterable[str]) -> Origin | None:
    """Return the origin of a file by the names in it; None if it is not known."""
    names = list(names)
    return next((origin for origin in ORIGINS if origin.made(names)), None)
