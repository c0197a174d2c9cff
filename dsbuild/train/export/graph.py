"""The model that is served: RGB in, classes out, nothing to compute beside it."""

import keras
from keras import ops

from dsbuild.train.export.layers import Classes, Laplacian
from dsbuild.train.predict import logits as sized
from dsbuild.train.runs import Trained


def served(
    trained: Trained, size: tuple[int, int] | None = None, least: int | None = None
) -> keras.Model:
    """Return the model from images uint8 (b, h, w, 3) to classes int32 (b, h, w), or (b,).

    With a size all images have it; with none, any. They are padded to `least`, as a Predictor
    does. What a gradient branch takes is computed.
    """
    if least is None:
        least = sized.least(trained.settings)
    images = keras.Input((*(size or (None, None)), 3), dtype="uint8", name="images")
    planes = [ops.cast(images, "float32")]
    if len(trained.model.inputs) > 1:
        planes.append(Laplacian(name="laplacian")(images))
    logits = sized.logits(trained, planes, least=least)
    found = Classes(trained.settings.sigmoid, name="classes")(logits)
    return keras.Model(images, found, name="served")
