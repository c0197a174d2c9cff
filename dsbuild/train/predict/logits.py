"""Logits of a trained model at the size of each image, whatever the size that the model sees.

What was trained on images that were resized (`Settings.resize`) sees others so, too. Then images
are padded with the model's mean pixel, at the right and below, to sizes of k stride + 1, at which
a feature lies on the first pixel and one on the last; and logits are cut back.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from dsbuild.train.model.layers import Canvas, Scale, Spread
from dsbuild.train.runs import Trained
from dsbuild.train.settings import Settings

CANVAS = 513  # DeepLab's `eval_crop_size`, of its published weights


def least(asked: Settings) -> int:
    """Return the least side that images are padded to: 513 where that was trained on."""
    return CANVAS if asked.crop == CANVAS else 1


def logits(
    trained: Trained,
    entries: Sequence[Any],
    scale: float = 1.0,
    *,
    least: int = 1,
    mirrored: bool = False,
) -> Any:
    """Return logits (b, h, w, c) of symbolic images and planes, or (b, c) where it classifies.

    Args:
      trained: whose layers are taken.
      entries: RGB of 0..255 (b, h, w, 3), and with a gradient branch planes (b, h, w, 1).
      scale: factor of the size that the model sees.
      least: height and width that images are padded to at least; rounded up to k stride + 1.
      mirrored: whether the model sees what is padded mirrored, left to right.
    """
    model, asked = trained.model, trained.settings
    pixels = model.get_layer("pixels")
    if trained.facts.task == "classification":
        seen = _scaled(entries, asked, "scaled", scale, asked.resize)
        return model(given(_mirrored(seen) if mirrored else seen))
    seen = _scaled(entries, asked, "ranged", sides=asked.resize)
    planes = [pixels(seen[0]), *seen[1:]]
    padded = [
        Canvas(asked.output_stride, least, dtype="float32", name=f"canvas_{number}")(plane)
        for number, plane in enumerate(planes)
    ]
    scaled = _scaled(padded, asked, "scaled", scale, stride=asked.output_stride)
    # The way from the image's pixels to those that the model sees.
    way = [entries[0], seen[0]] * bool(asked.resize) + [padded[0], scaled[0]] * (scale != 1)
    # All but what brings the model's own logits back, which cannot know of what was cut.
    last = model.get_layer("resize")
    inside = last.input[:1] + last.input[3:]  # and the image that they are of, where it was scaled
    scorer = keras.Model(given([pixels.output, *model.inputs[1:]]), inside)
    coarse, *image = scorer(given(_mirrored(scaled) if mirrored else scaled))
    if mirrored:
        coarse = ops.flip(coarse, 2)
    back = Spread(last.stride, 1, asked.align_corners, dtype="float32", name="back")
    return back([coarse, entries[0], *way, *(scaled[:1] + image if image else [])])


def _scaled(
    planes: Sequence[Any],
    asked: Settings,
    name: str,
    factor: float = 1.0,
    sides: Sequence[int] = (),
    stride: int = 1,
) -> list[Any]:
    """Return planes resized by a factor, and before that into the range of the training."""
    if factor == 1 and not sides:
        return list(planes)
    options = {"dtype": "float32"}
    return [
        Scale(factor, asked.align_corners, sides, stride, name=f"{name}_{number}", **options)(plane)
        for number, plane in enumerate(planes)
    ]


def _mirrored(planes: Sequence[Any]) -> list[Any]:
    return [ops.flip(plane, 2) for plane in planes]


def given(planes: Sequence[Any]) -> Any:
    """Return inputs as Keras has them: a list of one is no list."""
    return list(planes) if len(planes) > 1 else planes[0]
