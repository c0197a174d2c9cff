"""How RGB of 0..255 is scaled for a backbone: formulas by name, and what each maps to 0.

Sources: `keras.applications.imagenet_utils.preprocess_input`, whose names these are, for `tf`,
`caffe` and `torch`; `keras.applications.EfficientNetV2S` for `128`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from keras import ops

from dsbuild.train.model.places import Tensor

_MEANS = (103.939, 116.779, 123.68)  # of ImageNet, in the order BGR
_CENTRES = (123.675, 116.28, 103.53)  # of ImageNet, R, G and B, times 255
_DEVIATIONS = (58.395, 57.12, 57.375)


@dataclass(frozen=True)
class Scaling:
    """A formula for pixels.

    Attributes:
      of: takes RGB of 0..255 (..., 3).
      fill: the R, G and B that it maps to 0. Images are padded with them, since convolutions pad
        with 0, so that all padding is of one colour.
    """

    of: Callable[[Tensor], Tensor]
    fill: tuple[float, float, float]


def _torch(pixels: Tensor) -> Tensor:
    centres, deviations = (
        ops.convert_to_tensor(values, pixels.dtype) for values in (_CENTRES, _DEVIATIONS)
    )
    return (pixels - centres) / deviations


def _caffe(pixels: Tensor) -> Tensor:
    return ops.flip(pixels, -1) - ops.convert_to_tensor(_MEANS, pixels.dtype)


SCALINGS = {
    "tf": Scaling(lambda pixels: pixels / 127.5 - 1, (127.5, 127.5, 127.5)),
    "torch": Scaling(_torch, _CENTRES),
    "caffe": Scaling(_caffe, (_MEANS[2], _MEANS[1], _MEANS[0])),
    "128": Scaling(lambda pixels: pixels / 128 - 1, (128.0, 128.0, 128.0)),
    "unit": Scaling(lambda pixels: pixels / 255, (0.0, 0.0, 0.0)),
    "raw": Scaling(lambda pixels: pixels, (0.0, 0.0, 0.0)),
}
