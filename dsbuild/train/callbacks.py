"""What happens beside the steps of a training: scores, checkpoints, lines, TensorBoard."""

import contextlib
import csv
import io
import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import keras

from dsbuild import job, storage
from dsbuild.errors import TrainError
from dsbuild.train import checkpoint, runs
from dsbuild.train.scores.confusion import Confusion

NAMES = {"mean_iou": "mIoU", "accuracy": "accuracy"}  # of scores, for people
_KEPT = ("best", "wait", "cooldown_counter")  # states of Keras' callbacks
Talk = Callable[[str], None]


class Averaged:
    """Puts the averaged weights into a model for a while, where its optimiser has some."""

    def __init__(self, model: keras.Model):
        self._swap = None
        optimiser = getattr(model.optimizer, "inner_optimizer", model.optimizer)
        if optimiser.use_ema:
            self._swap = keras.callbacks.SwapEMAWeights()
            self._swap.set_model(model)

    @contextlib.contextmanager
    def weights(self) -> Iterator[None]:
        """Have the averaged weights within."""
        if self._swap is None:
            yield
            return
        self._swap.on_test_begin()
        try:
            yield
        finally:
            self._swap.on_test_end()


class Sound(keras.callbacks.Callback):
    """Stops where the loss is no number, before anything of it is kept."""

    def on_train_batch_end(self, batch, logs=None):
        """Raise TrainError."""
        if not math.isfinite(logs["loss"]):
            step = int(self.model.optimizer.iterations)
            raise TrainError(
                f"step {step:,}: the loss is {float(logs['loss'])}, expected a number; lower the "
                "rate, clip gradients, or warm up. The last checkpoint stands"
            )


class HardShare(keras.callbacks.Callback):
    """Lets the share of hard pixels fall from 1 over some steps, as DeepLab does."""

    def __init__(self, variable: Any, share: float, steps: int):
        super().__init__()
        self._variable, self._share, self._steps = variable, share, steps

    def on_train_batch_begin(self, batch, logs=None):
        """Set the share of this step."""
        done = min(int(self.model.optimizer.iterations) / self._steps, 1.0)
        self._variable.assign(1 - (1 - self._share) * done)


class Scores(keras.callbacks.Callback):
    """Measures after each leg, first of all, so that others find the scores in the logs."""

    def __init__(
        self, measure: Callable[[], Confusion] | None, averaged: Averaged, score: str, batch: int
    ):
        super().__init__()
        self._measure, self._averaged = measure, averaged
        self._score, self._batch = score, batch

    def on_epoch_begin(self, epoch, logs=None):
        """Look at the clock."""
        self._begun = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        """Add scores, rate and speed to the logs."""
        images = self.params["steps"] * self._batch
        logs["images_per_second"] = images / (time.monotonic() - self._begun)
        logs["rate"] = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        self.scored(logs)

    def scored(self, logs: dict[str, float]) -> dict[str, float]:
        """Return the logs with the scores of the weights as they are."""
        if self._measure is not None:
            with self._averaged.weights():
                found = self._measure()
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
        self.rows.append({"step": step} | {name: float(value) for name, value in logs.items()})
        if logs.get(self._score, -math.inf) > self.best:
            self.best, self.best_step = float(logs[self._score]), step
            with self._averaged.weights():
                own = checkpoint.names(self.model.variables)
                checkpoint.save(self._path(runs.BEST), own, {"step": step, "score": self.best})
        kept = {
            name: {key: getattr(one, key) for key in _KEPT if getattr(one, key, None) is not None}
            for name, one in self._kept.items()
        }
        meta = {"step": step, "best": self.best, "best_step": self.best_step}
        meta |= {"kept": kept, "rows": self.rows}
        storage.write_all({self._path(runs.LOG): _table(self.rows)})
        checkpoint.save(self._path(runs.LAST), self.variables(), meta)


def _table(rows: list[dict[str, float]]) -> bytes:
    text = io.StringIO()
    lines = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    lines.writeheader()
    lines.writerows(rows)
    return text.getvalue().encode()


class Lines(keras.callbacks.Callback):
    """Tells after each leg how it goes; within it, on a terminal, a bar."""

    def __init__(
        self, talk: Talk, kept: Checkpoints, score: str, legs: int, every: int, batch: int
    ):
        super().__init__()
        self._talk, self._kept, self._score, self._legs = talk, kept, score, legs
        self._every, self._batch = every, batch
        self._spent: list[float] = []

    def on_epoch_begin(self, epoch, logs=None):
        """Open the bar."""
        self._begun = time.monotonic()
        title = f"step {epoch * self._every:,} of {self._legs * self._every:,}"
        self._bar = job.Bar(self._every * self._batch, title, "images", False)
        self._bar.__enter__()

    def on_train_batch_end(self, batch, logs=None):
        """Move the bar."""
        self._bar.advance(self._batch, 0)

    def on_epoch_end(self, epoch, logs=None):
        """Print the line."""
        self._bar.__exit__(None, None, None)
        self._spent.append(time.monotonic() - self._begun)
        # The first leg has tracing in it, which no other has.
        spent = self._spent[1:] or self._spent
        left = (self._legs - epoch - 1) * sum(spent) / len(spent)
        step = f"{(epoch + 1) * self._every:,} of {self._legs * self._every:,}"
        name, held = NAMES[self._score], logs.get(f"val_{self._score}")
        words = [f"step {step}", f"loss {logs['loss']:.4f}", f"{name} {logs[self._score]:.3f}"]
        if held is not None:
            best, at = self._kept.best, self._kept.best_step
            words.append(f"val {name} {held:.3f} (best {best:.3f} at {at:,})")
        words += [f"rate {logs['rate']:.2g}", f"{logs['images_per_second']:.1f} images/s"]
        self._talk("  ".join([*words, f"{clock(left)} left"]))


def clock(seconds: float) -> str:
    """Return a duration as people write it.

    >>> clock(3725)
    '1:02:05'
    """
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
