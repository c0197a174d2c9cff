"""The layers of a served model, and what loads one that was exported for Keras."""

from typing import Any

import keras
from keras import ops

from dsbuild.errors import ModelError
from dsbuild.train.model import layers  # noqa: F401 - which register theirs

# Of R, G and B, over 2^15, as OpenCV's RGB2GRAY rounds them; all sums are exact in float32.
_GREY = (9798.0, 19235.0, 3735.0)
_UNIT = 1 << 15


@keras.saving.register_keras_serializable("dsbuild")
class Laplacian(keras.layers.Layer):
    """The Laplacian of the grey image, as `dsbuild.extras.functions.laplacian` has it."""

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
    """The classes of logits: the largest; of one logit of a sigmoid, 1 where it is above 0."""

    def __init__(self, sigmoid: bool = True, **options: Any):
        super().__init__(**options)
        self.sigmoid = sigmoid

    def get_config(self) -> dict[str, Any]:
        """Return what the layer is made of."""
        return {**super().get_config(), "sigmoid": self.sigmoid}

    def call(self, logits: Any) -> Any:
        """Return int32 (b, h, w), or (b,) of logits (b, c)."""
        if logits.shape[-1] == 1 and self.sigmoid:
            return ops.cast(logits[..., 0] > 0, "int32")
        # Keras' argmax minds -0.0 by operations on bits, which LiteRT lacks.
        return ops.cast(ops.top_k(logits, 1)[1][..., 0], "int32")

    def compute_output_shape(self, shape: tuple) -> tuple:
        """Return the shape without channels."""
        return shape[:-1]


def load_model(path: str) -> keras.Model:
    """Return a model that `dsbuild export --to keras` wrote: RGB uint8 to classes int32.

    After `import dsbuild`, `keras.saving.load_model` does as much. Nothing in the file is run:
    raises ModelError where it has code, or is no such model.
    """
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras' many readers raise many kinds for damaged files
        raise ModelError(
            f"{path}: found no model that dsbuild exported ({str(error).strip().splitlines()[0]}); "
            "give the .keras file of `dsbuild export --to keras`"
        ) from error
