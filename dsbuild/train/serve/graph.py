"""The layers about a model that is served: RGB in, classes out, nothing to compute beside it."""

from typing import Any

import keras
from keras import ops

from dsbuild.train import sized
from dsbuild.train.runs import Trained

# Of R, G and B, over 2^15, as OpenCV's RGB2GRAY rounds them; all sums are exact in float32.
_GREY = (9798.0, 19235.0, 3735.0)
_UNIT = 1 << 15


@keras.saving.register_keras_serializable("dsbuild")
class Laplacian(keras.layers.Layer):
    """The Laplacian of the grey image, as `dsbuild.extras.planes.laplacian` has it."""

    def call(self, images: Any) -> Any:
        """Return float32 (b, h, w, 1), whole numbers, of RGB 0..255 (b, h, w, 3)."""
        images = ops.cast(images, "float32")
        weighted = images * ops.convert_to_tensor(_GREY, "float32")
        grey = ops.floor((ops.sum(weighted, -1, keepdims=True) + _UNIT // 2) / _UNIT)
        # Mirrored about the outermost pixels; a single one is its own neighbour.
        above, below = grey[:, :2][:, -1:], grey[:, -2:][:, :1]
        left, right = grey[:, :, :2][:, :, -1:], grey[:, :, -2:][:, :, :1]
        tall = ops.concatenate([above, grey, below], 1)
        wide = ops.concatenate([left, grey, right], 2)
        return tall[:, :-2] + tall[:, 2:] + wide[:, :, :-2] + wide[:, :, 2:] - 4 * grey

    def compute_output_shape(self, shape: tuple) -> tuple:
        """Return the shape with one channel."""
        return (*shape[:3], 1)


@keras.saving.register_keras_serializable("dsbuild")
class Classes(keras.layers.Layer):
    """The classes of logits: the largest; of one logit, 1 where it is above 0."""

    def call(self, logits: Any) -> Any:
        """Return int32 (b, h, w), or (b,) of logits (b, c)."""
        if logits.shape[-1] == 1:
            return ops.cast(logits[..., 0] > 0, "int32")
        # Keras' argmax minds -0.0 by operations on bits, which LiteRT lacks.
        return ops.cast(ops.top_k(logits, 1)[1][..., 0], "int32")

    def compute_output_shape(self, shape: tuple) -> tuple:
        """Return the shape without channels."""
        return shape[:-1]


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
    found = Classes(name="classes")(sized.logits(trained, planes, least=least))
    return keras.Model(images, found, name="served")
