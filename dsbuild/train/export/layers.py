"""The layers of a served model, and a loader for models that were exported for Keras."""

from typing import Any

import keras
from keras import ops

from dsbuild.errors import ModelError
from dsbuild.train.model import layers  # noqa: F401 - registers its layers
from dsbuild.train.model.places import Tensor
from dsbuild.train.model.seeds import layer_seeds

Shape = tuple[int | None, ...]

# Weights of R, G and B, over 2^15, as OpenCV's RGB2GRAY rounds them; sums are exact in float32.
_GREY = (9798.0, 19235.0, 3735.0)
_UNIT = 1 << 15


@keras.saving.register_keras_serializable("dsbuild")
class Laplacian(keras.layers.Layer):
    """The Laplacian of the grey image; equals `dsbuild.extras.functions.laplacian`."""

    def call(self, images: Tensor) -> Tensor:
        """Return whole numbers, float32 (b, h, w, 1), for RGB 0..255 (b, h, w, 3)."""
        images = ops.cast(images, "float32")
        weighted = images * ops.convert_to_tensor(_GREY, "float32")
        grey = ops.floor((ops.sum(weighted, -1, keepdims=True) + _UNIT // 2) / _UNIT)
        # Mirrored about the outermost pixels; a single pixel is its own neighbour.
        above, below = grey[:, :2][:, -1:], grey[:, -2:][:, :1]
        left, right = grey[:, :, :2][:, :, -1:], grey[:, :, -2:][:, :, :1]
        tall = ops.concatenate([above, grey, below], 1)
        wide = ops.concatenate([left, grey, right], 2)
        return tall[:, :-2] + tall[:, 2:] + wide[:, :, :-2] + wide[:, :, 2:] - 4 * grey

    def compute_output_shape(self, shape: Shape) -> Shape:
        """Return the shape with one channel."""
        return (*shape[:3], 1)


@keras.saving.register_keras_serializable("dsbuild")
class Classes(keras.layers.Layer):
    """The classes of logits: the largest logit, or with a single sigmoid logit 1 if above 0."""

    def __init__(self, sigmoid: bool = True, **options: Any) -> None:
        super().__init__(**options)
        self.sigmoid = sigmoid

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the layer."""
        return {**super().get_config(), "sigmoid": self.sigmoid}

    def call(self, logits: Tensor) -> Tensor:
        """Return int32 (b, h, w), or (b,) for logits (b, c)."""
        if logits.shape[-1] == 1 and self.sigmoid:
            return ops.cast(logits[..., 0] > 0, "int32")
        # Keras' argmax handles -0.0 with operations on bits, which LiteRT does not have.
        return ops.cast(ops.top_k(logits, 1)[1][..., 0], "int32")

    def compute_output_shape(self, shape: Shape) -> Shape:
        """Return the shape without channels."""
        return shape[:-1]


def load_model(path: str) -> keras.Model:
    """Return a model that `dsbuild export --to keras` wrote: RGB uint8 to classes int32.

    After `import dsbuild`, `keras.saving.load_model` does the same. No code in the file is run:
    raises ModelError if it contains code, or is not such a model.
    """
    try:
        with layer_seeds():
            return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras' readers raise many kinds for damaged files
        raise ModelError(
            f"{path}: found no model exported by dsbuild ({str(error).strip().splitlines()[0]}); "
            "give the .keras file of `dsbuild export --to keras`"
        ) from error
