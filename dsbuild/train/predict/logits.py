"""Logits of a trained model at the size of each image, whatever size the model sees.

If a model was trained on resized images (`Settings.resize`), it sees others resized, too. Then
images are padded with the model's mean pixel, on the right and below, to sizes of k stride + 1,
which have a feature on their first and last pixel, or of k stride if features are cells (see
`places`); the logits are cropped back.
"""

from collections.abc import Sequence

import keras
from keras import ops

from dsbuild.train.model.layers import Canvas, Scale, Spread
from dsbuild.train.model.places import Tensor
from dsbuild.train.runs import Trained
from dsbuild.train.settings import Settings

CANVAS = 513  # DeepLab's `eval_crop_size` for its published weights


def least(settings: Settings) -> int:
    """Return the smallest side that images are padded to: 513 if that was the crop, else 1."""
    return CANVAS if settings.crop == CANVAS else 1


def logits(
    trained: Trained,
    entries: Sequence[Tensor],
    scale: float = 1.0,
    *,
    least: int = 1,
    mirrored: bool = False,
) -> Tensor:
    """Return logits (b, h, w, c) of symbolic images and planes, or (b, c) for classification.

    Args:
      trained: the model whose layers are used.
      entries: RGB of 0..255 (b, h, w, 3), and with a gradient branch planes (b, h, w, 1).
      scale: factor of the size that the model sees.
      least: smallest height and width that images are padded to; rounded up to k stride + 1.
      mirrored: whether the model sees the padded image mirrored, left to right.
    """
    model, settings = trained.model, trained.settings
    pixels = model.get_layer("pixels")
    if trained.facts.task == "classification":
        seen = _scaled(entries, settings, "scaled", scale, settings.resize)
        seen = _mirrored(seen) if mirrored else seen
        if not settings.cells:
            return model(given(seen))
        whole = Canvas(1, cells=True, dtype="float32", name="canvas")(pixels(seen[0]))
        return keras.Model(pixels.output, model.output)(whole)
    seen = _scaled(entries, settings, "ranged", sides=settings.resize)
    planes = [pixels(seen[0]), *seen[1:]]
    padded = [
        Canvas(
            settings.output_stride,
            least,
            settings.cells,
            dtype="float32",
            name=f"canvas_{number}",
        )(plane)
        for number, plane in enumerate(planes)
    ]
    scaled = _scaled(padded, settings, "scaled", scale, stride=settings.output_stride)
    # Leads from the pixels of the image to those that the model sees.
    way = [entries[0], seen[0]] * bool(settings.resize) + [padded[0], scaled[0]] * (scale != 1)
    # All layers but the last resizing, which does not know how the image was padded.
    last = model.get_layer("resize")
    inside = last.input[:1] + last.input[3:]  # and the image that they belong to, if scaled
    scorer = keras.Model(given([pixels.output, *model.inputs[1:]]), inside)
    coarse, *image = scorer(given(_mirrored(scaled) if mirrored else scaled))
    if mirrored:
        coarse = ops.flip(coarse, 2)
    back = Spread(last.stride, 1, settings.align_corners, last.start, dtype="float32", name="back")
    return back([coarse, entries[0], *way, *(scaled[:1] + image if image else [])])


def _scaled(
    planes: Sequence[Tensor],
    settings: Settings,
    name: str,
    factor: float = 1.0,
    sides: Sequence[int] = (),
    stride: int = 1,
) -> list[Tensor]:
    """Return planes resized into a range of sides, if given, and by a factor."""
    if factor == 1 and not sides:
        return list(planes)
    layers = [
        Scale(
            factor,
            settings.align_corners,
            sides,
            stride,
            settings.cells,
            name=f"{name}_{number}",
            dtype="float32",
        )
        for number in range(len(planes))
    ]
    return [layer(plane) for layer, plane in zip(layers, planes, strict=True)]


def _mirrored(planes: Sequence[Tensor]) -> list[Tensor]:
    return [ops.flip(plane, 2) for plane in planes]


def given(planes: Sequence[Tensor]) -> Tensor | list[Tensor]:
    """Return inputs for Keras, which takes a single one without a list."""
    return list(planes) if len(planes) > 1 else planes[0]
