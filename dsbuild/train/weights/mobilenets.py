"""The names of torchvision's MobileNets, and the layers of Keras' that have the same weights.

Both pad by half a window once strides are made even (see `model.atrous`). Sources: torchvision
0.28, `models.mobilenetv2` and `models.mobilenetv3`; segmentation_models_pytorch has the first one.
"""

from dsbuild.train.weights.origin import Rules

EPSILON = 1e-5  # of the normalisations of MobileNetV2 there
_SQUEEZED = (4, 5, 6, 11, 12, 13, 14, 15)  # blocks of MobileNetV3-Large with squeeze-and-excitation


def _pair(module: str, first: int, layer: str, ending: str) -> Rules:
    """Return the rules of a convolution and the normalisation after it."""
    return (
        (rf"{module}{first}", f"backbone_{layer}"),
        (rf"{module}{first + 1}", f"backbone_{layer}{ending}"),
    )


def v3_large(prefix: str) -> Rules:
    """Return the rules of MobileNetV3-Large under a prefix, with its last 1 x 1 convolution."""
    rules = _pair(rf"{prefix}0\.", 0, "conv", "_bn") + _pair(rf"{prefix}16\.", 0, "conv_1", "_bn")
    for number in range(1, 16):
        name = f"expanded_conv_{number - 1}" if number > 1 else "expanded_conv"
        parts = ["expand"] * (number > 1) + ["depthwise"]
        parts += ["squeeze_excite"] * (number in _SQUEEZED) + ["project"]
        for place, part in enumerate(parts):
            block = rf"{prefix}{number}\.block\.{place}\."
            if part == "squeeze_excite":
                rules += ((rf"{block}fc1", f"backbone_{name}_{part}_conv"),)
                rules += ((rf"{block}fc2", f"backbone_{name}_{part}_conv_1"),)
            else:
                rules += _pair(block, 0, f"{name}_{part}", "_bn")
    return rules


def v2(prefix: str) -> Rules:
    """Return the rules of MobileNetV2 under a prefix, without its last 1 x 1 convolution."""
    rules: Rules = (
        (rf"{prefix}0\.0", "backbone_Conv1"),
        (rf"{prefix}0\.1", "backbone_bn_Conv1"),
        *_pair(rf"{prefix}1\.conv\.0\.", 0, "expanded_conv_depthwise", "_BN"),
        *_pair(rf"{prefix}1\.conv\.", 1, "expanded_conv_project", "_BN"),
    )
    for number in range(2, 18):
        block, name = rf"{prefix}{number}\.conv\.", f"block_{number - 1}"
        rules += _pair(rf"{block}0\.", 0, f"{name}_expand", "_BN")
        rules += _pair(rf"{block}1\.", 0, f"{name}_depthwise", "_BN")
        rules += _pair(block, 2, f"{name}_project", "_BN")
    return rules
