"""Callbacks of a training: checks, schedules, and scores between its steps."""

import contextlib
import math
import time
from collections.abc import Callable, Iterator

import keras
import numpy as np

from dsbuild.errors import TrainError
from dsbuild.train.metrics.confusion import Confusion
from dsbuild.train.model import named

Logs = dict[str, float]


class Averaged:
    """Puts the averaged weights into a model for a while, if its optimiser keeps some.

    The model's own weights come back bit for bit.
    """

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        optimiser = getattr(model.optimizer, "inner_optimizer", model.optimizer)
        self._optimiser = optimiser if optimiser.use_ema else None

    @contextlib.contextmanager
    def weights(self) -> Iterator[bool]:
        """Use the averaged weights in the block; yield whether there are any."""
        if self._optimiser is None:
            yield False
            return
        trainable = self._model.trainable_variables
        own = [np.array(keras.ops.convert_to_numpy(variable)) for variable in trainable]
        self._optimiser.finalize_variable_values(trainable)
        try:
            yield True
        finally:
            for variable, value in zip(trainable, own, strict=True):
                variable.assign(value)


class StepCounter(keras.callbacks.Callback):
    """Counts steps itself: an optimiser spread over devices has several counters."""

    def __init__(self, every: int) -> None:
        super().__init__()
        self._every, self._before = every, 0

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Count the steps of all legs before this one."""
        self._before = epoch * self._every


class FiniteLoss(StepCounter):
    """Stops training on a NaN or infinite loss, before a checkpoint is written."""

    def on_train_batch_end(self, batch: int, logs: Logs) -> None:
        """Raise TrainError if the loss is not finite."""
        if not math.isfinite(logs["loss"]):
            raise TrainError(not_finite(self._before + batch + 1, f"the loss is {logs['loss']}"))


def not_finite(step: int, found: str) -> str:
    """Return the message of a training that has diverged."""
    return (
        f"step {step:,}: {found}, expected a finite number; lower the rate, clip gradients, or "
        "warm up; earlier checkpoints remain valid"
    )


class MovingAverages(StepCounter):
    """Lets batch normalisation forget its initial statistics, however short the training is.

    Its momentum at a step is step / (9 + step), up to the momentum of the settings, like that of
    TensorFlow's `ExponentialMovingAverage` with `num_updates`: the moving averages cover the last
    tenth of the steps so far, whose weights were close to those that are scored. If steps are
    computed in parts, each of which moves the averages, they still cover as many steps.
    """

    def __init__(self, model: keras.Model, momentum: float, every: int, parts: int = 1) -> None:
        super().__init__(every)
        self._most, self._parts = momentum, parts
        self._variable = keras.Variable(0.0, trainable=False, name="momentum", autocast=False)
        for layer in named(model, ""):
            if isinstance(layer, keras.layers.BatchNormalization):
                # Past Keras' own setter, which would make it a weight of the layer.
                object.__setattr__(layer, "momentum", self._variable)

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Set the momentum of this step."""
        step = self._before + batch + 1
        self._variable.assign(min(self._most, step / (9 + step)) ** (1 / self._parts))


class HardShare(StepCounter):
    """Lowers the share of hard pixels from 1 over some steps, as DeepLab does."""

    def __init__(self, variable: keras.Variable, share: float, steps: int, every: int) -> None:
        super().__init__(every)
        self._variable, self._share, self._steps = variable, share, steps

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Set the share of this step."""
        done = min((self._before + batch) / self._steps, 1.0)
        self._variable.assign(1 - (1 - self._share) * done)


class Scores(keras.callbacks.Callback):
    """Measures after each leg, before all other callbacks, which find the scores in the logs."""

    def __init__(
        self, measure: Callable[[], Confusion] | None, averaged: Averaged, score: str, batch: int
    ) -> None:
        super().__init__()
        self._measure, self._averaged = measure, averaged
        self._score, self._batch = score, batch
        self.latest: Confusion | None = None

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Start the clock."""
        self._begun = time.monotonic()

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Note the learning rate of the leg's last step."""
        if batch == self.params["steps"] - 1:
            self._rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Add scores, rate and speed to the logs."""
        images = self.params["steps"] * self._batch
        logs["images_per_second"] = images / (time.monotonic() - self._begun)
        logs["rate"] = self._rate
        self.scored(logs)

    def scored(self, logs: Logs) -> Logs:
        """Return the logs with the scores of the current weights."""
        if self._measure is not None:
            with self._averaged.weights():
                confusion = self.latest = self._measure()
            scores = {"mean_iou": confusion.mean_iou, "accuracy": confusion.pixel_accuracy}
            if math.isnan(scores[self._score]):
                raise TrainError(
                    "val: found no labelled pixel, expected some; name another split, or none"
                )
            logged = scores if self._score == "mean_iou" else {self._score: scores[self._score]}
            logs |= {f"val_{name}": score for name, score in logged.items()}
        return logs
