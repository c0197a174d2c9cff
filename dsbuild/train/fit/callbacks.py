"""What happens beside the steps of a training: scores, checkpoints, averaged weights."""

import contextlib
import csv
import io
import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from dsbuild import storage
from dsbuild.errors import TrainError
from dsbuild.train import checkpoint, runs
from dsbuild.train.metrics.confusion import Confusion
from dsbuild.train.model import named

_KEPT = ("best", "wait", "cooldown_counter")  # states of Keras' callbacks


class Averaged:
    """Puts the averaged weights into a model for a while, where its optimiser has some.

    The model's own come back as they were, bit for bit.
    """

    def __init__(self, model: keras.Model):
        self._model = model
        optimiser = getattr(model.optimizer, "inner_optimizer", model.optimizer)
        self._optimiser = optimiser if optimiser.use_ema else None

    @contextlib.contextmanager
    def weights(self) -> Iterator[bool]:
        """Have the averaged weights within; tell whether there are some."""
        if self._optimiser is None:
            yield False
            return
        moved = self._model.trainable_variables
        own = [np.array(keras.ops.convert_to_numpy(one)) for one in moved]
        self._optimiser.finalize_variable_values(moved)
        try:
            yield True
        finally:
            for variable, value in zip(moved, own, strict=True):
                variable.assign(value)


class _Counting(keras.callbacks.Callback):
    """Knows the number of a step; asked for one, an optimiser spread over devices has several."""

    def __init__(self, every: int):
        super().__init__()
        self._every, self._before = every, 0

    def on_epoch_begin(self, epoch, logs=None):
        """Count the steps of all legs before."""
        self._before = epoch * self._every


class Sound(_Counting):
    """Stops where the loss is no number, before anything of it is kept."""

    def on_train_batch_end(self, batch, logs=None):
        """Raise TrainError."""
        if not math.isfinite(logs["loss"]):
            raise TrainError(_unsound(self._before + batch + 1, f"the loss is {logs['loss']}"))


def _unsound(step: int, found: str) -> str:
    return (
        f"step {step:,}: {found}, expected a number; lower the rate, clip gradients, or warm up; "
        "checkpoints that were written before stand"
    )


class Chance(_Counting):
    """Draws the random numbers of a step from seed and step, where the generator is global.

    Dropout on torch draws from such a one, which no variable of the model holds: a run that is
    taken up again would have other numbers.
    """

    def __init__(self, seed: int, every: int):
        super().__init__(every)
        self._seed = seed

    def on_train_batch_begin(self, batch, logs=None):
        """Seed the generators of Python, NumPy and torch."""
        if keras.backend.backend() == "torch":
            chance = np.random.SeedSequence([self._seed, self._before + batch])
            keras.utils.set_random_seed(int(chance.generate_state(1)[0]))


class MovingAverages(_Counting):
    """Lets batch normalisations forget what they began with, however short the training is.

    Their momentum follows the step, step / (9 + step), up to the one of the settings, as that of
    TensorFlow's `ExponentialMovingAverage` with `num_updates`: moving averages are of the last
    tenth of the steps so far, in which the weights were nearly those that are scored.
    """

    def __init__(self, model: keras.Model, momentum: float, every: int):
        super().__init__(every)
        self._most = momentum
        self._variable = keras.Variable(0.0, trainable=False, name="momentum", autocast=False)
        for layer in named(model, ""):
            if isinstance(layer, keras.layers.BatchNormalization):
                # Past Keras, which would take it for a weight of the layer.
                object.__setattr__(layer, "momentum", self._variable)

    def on_train_batch_begin(self, batch, logs=None):
        """Set the momentum of this step."""
        step = self._before + batch + 1
        self._variable.assign(min(self._most, step / (9 + step)))


class HardShare(_Counting):
    """Lets the share of hard pixels fall from 1 over some steps, as DeepLab does."""

    def __init__(self, variable: Any, share: float, steps: int, every: int):
        super().__init__(every)
        self._variable, self._share, self._steps = variable, share, steps

    def on_train_batch_begin(self, batch, logs=None):
        """Set the share of this step."""
        done = min((self._before + batch) / self._steps, 1.0)
        self._variable.assign(1 - (1 - self._share) * done)


class Scores(keras.callbacks.Callback):
    """Measures after each leg, first of all, so that others find the scores in the logs."""

    def __init__(
        self, measure: Callable[[], Confusion] | None, averaged: Averaged, score: str, batch: int
    ):
        super().__init__()
        self._measure, self._averaged = measure, averaged
        self._score, self._batch = score, batch
        self.found: Confusion | None = None  # what was measured last

    def on_epoch_begin(self, epoch, logs=None):
        """Look at the clock."""
        self._begun = time.monotonic()

    def on_train_batch_begin(self, batch, logs=None):
        """Take down the rate of the last step."""
        if batch == self.params["steps"] - 1:
            self._rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))

    def on_epoch_end(self, epoch, logs=None):
        """Add scores, rate and speed to the logs."""
        images = self.params["steps"] * self._batch
        logs["images_per_second"] = images / (time.monotonic() - self._begun)
        logs["rate"] = self._rate
        self.scored(logs)

    def scored(self, logs: dict[str, float]) -> dict[str, float]:
        """Return the logs with the scores of the weights as they are."""
        if self._measure is not None:
            with self._averaged.weights():
                found = self.found = self._measure()
            scores = {"mean_iou": found.mean_iou, "accuracy": found.pixel_accuracy}
            if math.isnan(scores[self._score]):
                raise TrainError(
                    "val: found no labelled pixel, expected some; name another split, or none"
                )
            kept = scores if self._score == "mean_iou" else {self._score: scores[self._score]}
            logs |= {f"val_{name}": score for name, score in kept.items()}
        return logs


class Checkpoints(keras.callbacks.Callback):
    """Keeps the best weights, the line of the log, and, last, all that a run goes on by."""

    def __init__(
        self,
        run: str,
        averaged: Averaged,
        kept: dict[str, keras.callbacks.Callback],
        score: str,
        every: int,
    ):
        super().__init__()
        self._run, self._averaged, self._kept, self._every = run, averaged, kept, every
        self._score = f"val_{score}"
        self.best, self.best_step, self.rows = -math.inf, None, []
        self._meta: dict[str, Any] = {"kept": {}}

    def _path(self, name: str) -> str:
        return storage.join(self._run, name)

    def variables(self) -> dict[str, keras.Variable]:
        """Return all that a step changes, by name."""
        own = checkpoint.names(self.model.variables)
        # By number: their paths have names that Keras may number.
        moved = enumerate(self.model.optimizer.variables)
        return own | {f"optimizer/{number}": variable for number, variable in moved}

    def resume(self) -> int:
        """Take up where the last checkpoint was; return its step."""
        path = self._path(runs.LAST)
        if storage.stamp(path) is None:
            return 0
        values, self._meta = checkpoint.load(path)
        checkpoint.restore(path, self.variables(), values)
        self.best, self.best_step = self._meta["best"], self._meta["best_step"]
        self.rows = self._meta["rows"]
        return self._meta["step"]

    def state(self, name: str) -> dict[str, Any]:
        """Return what a callback had counted at the checkpoint that was taken up."""
        return self._meta["kept"].get(name, {})

    def on_train_begin(self, logs=None):
        """Give the callbacks back what they had counted; they forget it when they begin."""
        for name, one in self._kept.items():
            for key, value in self.state(name).items():
                setattr(one, key, value)

    def on_epoch_end(self, epoch, logs=None):
        """Write the files."""
        self.keep((epoch + 1) * self._every, logs)

    def keep(self, step: int, logs: dict[str, float]) -> None:
        """Write the files of a step."""
        self._check(step)
        self.rows.append({"step": step} | {name: float(value) for name, value in logs.items()})
        averaged = {}
        with self._averaged.weights() as there:
            own = checkpoint.weights(self.model)
            if logs.get(self._score, -math.inf) > self.best:
                self.best, self.best_step = float(logs[self._score]), step
                checkpoint.save(self._path(runs.BEST), own, {"step": step, "score": self.best})
            if there:
                averaged = {
                    runs.AVERAGED + one.path: np.array(keras.ops.convert_to_numpy(one))
                    for one in self.model.trainable_variables
                }
        kept = {
            name: {key: getattr(one, key) for key in _KEPT if getattr(one, key, None) is not None}
            for name, one in self._kept.items()
        }
        meta = {"step": step, "best": self.best, "best_step": self.best_step}
        meta |= {"kept": kept, "rows": self.rows}
        storage.write_all({self._path(runs.LOG): _table(self.rows)})
        checkpoint.save(self._path(runs.LAST), self.variables() | averaged, meta)

    def _check(self, step: int) -> None:
        """Raise TrainError where a weight is no number: the loss has not seen the last step's."""
        for variable in self.model.trainable_variables:
            if not np.isfinite(keras.ops.convert_to_numpy(variable)).all():
                raise TrainError(_unsound(step, f"weights of {variable.path} are no numbers"))


def _table(rows: list[dict[str, float]]) -> bytes:
    text = io.StringIO()
    lines = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    lines.writeheader()
    lines.writerows(rows)
    return text.getvalue().encode()
