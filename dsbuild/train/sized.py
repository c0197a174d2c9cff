"""Logits of a trained model at the size of each image, whatever the size that the model sees.

What was trained on images that were resized (`Settings.resize`) sees others so, too.
"""

from collections.abc import Sequence
from typing import Any

import keras

from dsbuild.train.model.layers import ResizeLike, Scale
from dsbuild.train.runs import Trained


def logits(trained: Trained, entries: Sequence[Any], scale: float = 1.0) -> Any:
    """Return logits (b, h, w, c) of symbolic images and planes, or (b, c) where it classifies.

    Args:
      trained: whose layers are taken.
      entries: RGB of 0..255 (b, h, w, 3), and with a gradient branch planes (b, h, w, 1).
      scale: factor of the size that the model sees.
    """
    model, asked = trained.model, trained.settings
    if scale == 1 and not asked.resize:
        return model(given(entries))
    seen = [
        Scale(scale, asked.align_corners, asked.resize, dtype="float32", name=f"planes_{number}")(
            entry
        )
        for number, entry in enumerate(entries)
    ]
    if trained.facts.task == "classification":
        return model(given(seen))
    # What the model resizes at its end: once is enough, and to the image's size.
    coarse = keras.Model(given(model.inputs), model.get_layer("resize").input[0])
    resized = ResizeLike(asked.align_corners, dtype="float32", name="resize_back")
    return resized([coarse(given(seen)), entries[0]])


def given(planes: Sequence[Any]) -> Any:
    """Return inputs as Keras has them: a list of one is no list."""
    return list(planes) if len(planes) > 1 else planes[0]
