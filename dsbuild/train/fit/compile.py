"""The loss and the metric that a Keras model is compiled with."""

import inspect
import re
from typing import Any

import keras
import numpy as np
from keras import backend, ops

from dsbuild.errors import TrainError
from dsbuild.train import loss_terms
from dsbuild.train.dataset import Facts
from dsbuild.train.fit import counted
from dsbuild.train.fit.losses import LOSSES
from dsbuild.train.model.places import Tensor


class _Part(keras.losses.Loss):
    """Hands a finished loss to Keras, which scales it for each of several devices."""

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return the loss."""
        return y_pred


_PART = _Part(name="part")


@keras.saving.register_keras_serializable("dsbuild")
class Loss(keras.losses.Loss):
    """A loss by its name in `LOSSES`, or a sum such as `ce+0.5*dice`, for `compile`.

    `Loss("cross_entropy", class_weights=weights, share=0.25)`. Class weights are given here, since
    Keras' `class_weight` fails on dense labels; sample weights of `fit` are weights of pixels, or
    of images. `share` may be a `keras.Variable`, which a callback sets. Each term of a sum takes
    the options that it has. With `sigmoid`, logits are single, of class 1 against class 0, and
    losses of several classes see both.
    Raises TrainError for an unknown name or option.
    """

    def __init__(
        self, kind: str, name: str | None = None, sigmoid: bool = False, **options: Any
    ) -> None:
        kind = loss_terms.named(kind)
        super().__init__(name=name or re.sub(r"\W+", "_", kind))
        self.terms = loss_terms.terms(kind)
        taken = {term: _options(term.name) for term in self.terms}
        known = set().union(*taken.values())
        for option in options.keys() - known:
            raise TrainError(
                f"loss {kind}: found option {option}, expected {', '.join(sorted(known))}"
            )
        self.kind, self.sigmoid, self.options = kind, sigmoid, options
        self._of = {
            term: {name: options[name] for name in options.keys() & taken[term]}
            for term in self.terms
        }

    def __call__(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> Tensor:
        """Return the loss of labels and logits, a scalar.

        Keras' own call would multiply a finished mean by the weights of pixels. When a step is
        spread over devices, each has its part of a loss that is the same for all.
        """
        both = _each(y_pred, 2) if self.sigmoid else y_pred
        loss = sum(
            term.weight
            * LOSSES[term.name](
                y_true,
                y_pred if term.name in loss_terms.BINARY else both,
                pixel_weights=sample_weight,
                **self._of[term],
            )
            for term in self.terms
        )
        loss = ops.reshape(loss, (1,))  # Keras leaves scalars as they are
        return _PART(loss, loss)

    @property
    def separable(self) -> bool:
        """Whether the loss is a mean over the pixels that count."""
        share = self.options.get("share", 1)
        names = {term.name for term in self.terms}
        return names <= loss_terms.PIXELWISE and isinstance(share, int | float) and share >= 1

    def number(self, y_true: Tensor, sample_weight: Tensor | None = None) -> Tensor:
        """Return what the loss of a batch divides by if it is separable: at least 1."""
        factors = self.options.get("class_weights")
        return counted.number(y_true, self.options.get("ignore", 255), factors, sample_weight)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of this loss; a variable by its current value."""
        options = {name: _plain(value) for name, value in self.options.items()}
        return {"kind": self.kind, "name": self.name, "sigmoid": self.sigmoid, **options}


def _options(name: str) -> set[str]:
    """Return the names of the options of a loss."""
    return set(inspect.signature(LOSSES[name]).parameters) - {"labels", "logits", "pixel_weights"}


def _plain(value: Any) -> Any:
    """Return an option as JSON can hold it."""
    if value is None or isinstance(value, int | float):
        return value
    if isinstance(value, keras.Variable) or ops.is_tensor(value):
        value = ops.convert_to_numpy(value)
    return np.asarray(value).tolist()


@keras.saving.register_keras_serializable("dsbuild")
class MeanIoU(keras.metrics.MeanIoU):
    """Mean IoU of labels and logits over an epoch; equals `Confusion.mean_iou` to float32.

    Takes labels (n, h, w) or (n, h, w, 1) and logits (n, h, w, c); a single logit is that of class
    1 against class 0. Pixels are counted in int64. As in Keras, labels outside the classes are
    skipped, and the result is 0 if nothing was counted.
    """

    def __init__(
        self, classes: int, ignore: int | None = 255, name: str = "mean_iou", **options: Any
    ) -> None:
        super().__init__(
            num_classes=classes,
            ignore_class=ignore,
            name=name,
            dtype=options.pop("dtype", None) or "int64",
            sparse_y_pred=True,
            **options,
        )

    def update_state(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> Tensor:
        """Count the pixels of a batch."""
        found = _largest(_each(y_pred, self.num_classes))
        if sample_weight is not None:
            return super().update_state(y_true, found, sample_weight)
        label, predicted = (ops.reshape(ops.cast(one, "int32"), (-1,)) for one in (y_true, found))
        counts = ops.logical_and(label >= 0, label < self.num_classes)
        if self.ignore_class is not None:
            counts = ops.logical_and(counts, label != self.ignore_class)
        cells = self.num_classes**2  # and one for the pixels that do not count
        places = ops.where(counts, label * self.num_classes + predicted, cells)
        pixels = _counts(places, cells + 1)[:cells]
        square = ops.reshape(pixels, (self.num_classes, self.num_classes))
        return self.total_cm.assign(self.total_cm + ops.cast(square, self.dtype))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of this metric."""
        return {"classes": self.num_classes, "ignore": self.ignore_class, "name": self.name}


def metric(facts: Facts) -> keras.metrics.Metric:
    """Return the metric of a training, `Facts.score`, of labels and logits."""
    if facts.score == "mean_iou":
        return MeanIoU(len(facts.classes), facts.padding)
    return Accuracy(len(facts.classes), name="accuracy")


@keras.saving.register_keras_serializable("dsbuild")
class Accuracy(keras.metrics.SparseCategoricalAccuracy):
    """Share of images whose label (n,) is the class of their logits (n, c), one or several."""

    def __init__(self, classes: int = 2, name: str = "accuracy", **options: Any) -> None:
        super().__init__(name=name, **options)
        self.classes = classes

    def update_state(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> Tensor:
        """Count the images of a batch."""
        return super().update_state(y_true, _each(y_pred, self.classes), sample_weight)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of this metric."""
        return {**super().get_config(), "classes": self.classes}


def _largest(logits: Tensor) -> Tensor:
    """Return the first of the largest logits (..., c) of each pixel: int32 (...)."""
    if backend.backend() == "tensorflow":
        import tensorflow as tf

        if not tf.config.list_physical_devices("GPU"):  # on CPUs argmax takes twice as long
            return ops.top_k(logits, 1)[1][..., 0]
    return ops.cast(ops.argmax(logits, -1), "int32")


def _counts(places: Tensor, size: int) -> Tensor:
    """Return how often each whole number from 0 to size - 1 is in a list (n,): (size,)."""
    if backend.backend() == "tensorflow":
        import tensorflow as tf

        # A constant size, unlike that of `bincount`, can be compiled.
        return tf.raw_ops.DenseBincount(input=places, size=size, weights=tf.zeros([0], tf.int64))
    return ops.bincount(places, minlength=size)


def _each(logits: Tensor, classes: int) -> Tensor:
    """Return one logit per class, also if a single logit is that of class 1 against class 0."""
    if logits.shape[-1] > 1 or classes == 1:
        return logits
    return ops.concatenate([ops.zeros_like(logits), logits], -1)
