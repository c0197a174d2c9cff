"""What a Keras model is compiled with: a loss of the registry, and a score over an epoch."""

import inspect
from typing import Any

import keras
import numpy as np
from keras import ops

from dsbuild.errors import TrainError
from dsbuild.train.dataset import Facts
from dsbuild.train.fit.losses import LOSSES, Tensor


class _Part(keras.losses.Loss):
    """A loss that is given: what Keras makes of it for one of several devices."""

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return the loss."""
        return y_pred


_PART = _Part(name="part")


@keras.saving.register_keras_serializable("dsbuild")
class Loss(keras.losses.Loss):
    """A loss by its name in `LOSSES`, with its options, for `compile`.

    `Loss("cross_entropy", class_weights=weights, share=0.25)`. Weights of classes are given here,
    since Keras' `class_weight` fails on dense labels; sample weights of `fit` are weights of
    pixels, or of images. `share` may be a `keras.Variable`, which a callback sets.
    Raises TrainError for a name or an option that the loss does not have.
    """

    def __init__(self, kind: str, name: str | None = None, **options: Any):
        super().__init__(name=name or kind)
        if kind not in LOSSES:
            raise TrainError(f"loss {kind!r}: found no such, expected {', '.join(LOSSES)}")
        known = set(inspect.signature(LOSSES[kind]).parameters)
        known -= {"labels", "logits", "pixel_weights"}
        for option in options.keys() - known:
            raise TrainError(
                f"loss {kind}: found option {option}, expected {', '.join(sorted(known))}"
            )
        self.kind, self.options = kind, options

    def __call__(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> Tensor:
        """Return the loss of labels and logits, a scalar.

        Keras' own call would multiply what is a mean already with the weights of pixels. Where
        a step is spread over devices, each has its part of the loss, which is one for all.
        """
        loss = LOSSES[self.kind](y_true, y_pred, pixel_weights=sample_weight, **self.options)
        loss = ops.reshape(loss, (1,))  # Keras leaves scalars as they are
        return _PART(loss, loss)

    def get_config(self) -> dict[str, Any]:
        """Return what makes this loss again; a variable as it stands."""
        options = {name: _plain(value) for name, value in self.options.items()}
        return {"kind": self.kind, "name": self.name, **options}


def _plain(value: Any) -> Any:
    """Return an option for JSON."""
    if value is None or isinstance(value, int | float):
        return value
    if isinstance(value, keras.Variable) or ops.is_tensor(value):
        value = ops.convert_to_numpy(value)
    return np.asarray(value).tolist()


@keras.saving.register_keras_serializable("dsbuild")
class MeanIoU(keras.metrics.MeanIoU):
    """Mean IoU of labels and logits over an epoch, `Confusion.mean_iou` to float32.

    Takes labels (n, h, w) or (n, h, w, 1) and logits (n, h, w, c); one logit is that of class 1
    against class 0. Pixels are counted in int64. As in Keras, labels outside the classes are
    left out, and nothing counted is 0.
    """

    def __init__(self, classes: int, ignore: int | None = 255, name: str = "mean_iou", **kwargs):
        super().__init__(
            num_classes=classes,
            ignore_class=ignore,
            name=name,
            dtype=kwargs.pop("dtype", None) or "int64",
            sparse_y_pred=False,
            **kwargs,
        )

    def update_state(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> Any:
        """Count the pixels of a batch."""
        return super().update_state(y_true, _each(y_pred, self.num_classes), sample_weight)

    def get_config(self) -> dict[str, Any]:
        """Return what makes this metric again."""
        return {"classes": self.num_classes, "ignore": self.ignore_class, "name": self.name}


def metric(known: Facts) -> keras.metrics.Metric:
    """Return what tells during a training how it goes: `Facts.score` of labels and logits."""
    if known.score == "mean_iou":
        return MeanIoU(len(known.classes), known.padding)
    return Accuracy(len(known.classes), name="accuracy")


@keras.saving.register_keras_serializable("dsbuild")
class Accuracy(keras.metrics.SparseCategoricalAccuracy):
    """Share of images whose label (n,) is the class of their logits (n, c), as of `MeanIoU`."""

    def __init__(self, classes: int = 2, name: str = "accuracy", **options: Any):
        super().__init__(name=name, **options)
        self.classes = classes

    def update_state(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> Any:
        """Count the images of a batch."""
        return super().update_state(y_true, _each(y_pred, self.classes), sample_weight)

    def get_config(self) -> dict[str, Any]:
        """Return what makes this metric again."""
        return {**super().get_config(), "classes": self.classes}


def _each(logits: Tensor, classes: int) -> Tensor:
    """Return a logit of each class, also where one stands for class 1 against class 0."""
    if logits.shape[-1] > 1 or classes == 1:
        return logits
    return ops.concatenate([ops.zeros_like(logits), logits], -1)
