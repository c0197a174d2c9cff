"""The names of torchvision's ConvNeXt, and the layers of Keras' that have the same weights.

Source: torchvision 0.28, `models.convnext`. Its last normalisation follows the pooling there; here
it is applied to each feature, as in `keras.applications`.
"""

from dsbuild.train.weights.origin import Rules


def rules() -> Rules:
    """Return the rules of a ConvNeXt with any number of blocks."""
    found: Rules = (
        (r"features\.0\.0", "backbone_stem_conv"),
        (r"features\.0\.1", "backbone_stem_layernorm"),
        (r"classifier\.0", "backbone_layernorm"),
    )
    for stage in range(4):
        block = rf"features\.{2 * stage + 1}\.(\d+)"
        name = rf"backbone_stage_{stage}_block_\1"
        found += (
            (block, f"{name}_layer_scale"),
            (rf"{block}\.block\.0", f"{name}_depthwise_conv"),
            (rf"{block}\.block\.2", f"{name}_layernorm"),
            (rf"{block}\.block\.3", f"{name}_pointwise_conv_1"),
            (rf"{block}\.block\.5", f"{name}_pointwise_conv_2"),
        )
    for number in range(3):
        down = rf"features\.{2 * number + 2}"
        found += (
            (rf"{down}\.0", f"backbone_downsampling_layernorm_{number}"),
            (rf"{down}\.1", f"backbone_downsampling_conv_{number}"),
        )
    return found
