"""The served model: RGB in, classes out, with all preprocessing inside."""

import keras
from keras import ops

from dsbuild.train.export.layers import Classes, Laplacian
from dsbuild.train.predict import logits as sized
from dsbuild.train.runs import Trained


def served(
    trained: Trained, size: tuple[int, int] | None = None, least: int | None = None
) -> keras.Model:
    """Return the model from images uint8 (b, h, w, 3) to classes int32 (b, h, w), or (b,).

    Images have any size, or the one given. They are padded to `least`, as in a Predictor. The
    input of a gradient branch is computed from them.
    """
    if least is None:
        least = sized.least(trained.settings)
    images = keras.Input((*(size or (None, None)), 3), dtype="uint8", name="images")
    planes = [ops.cast(images, "float32")]
    if len(trained.model.inputs) > 1:
        planes.append(Laplacian(name="laplacian")(images))
    logits = sized.logits(trained, planes, least=least)
    classes = Classes(trained.settings.sigmoid, name="classes")(logits)
    return keras.Model(images, classes, name="served")
