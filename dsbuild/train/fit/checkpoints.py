"""The callback that writes checkpoints and the log of a run, and resumes from them."""

import csv
import io
import math
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from dsbuild import storage
from dsbuild.errors import TrainError
from dsbuild.train import checkpoint, runs
from dsbuild.train.fit.callbacks import Averaged, Logs, not_finite
from dsbuild.train.settings import Settings

_COUNTS = ("best", "wait", "cooldown_counter")  # states of Keras' own callbacks


class Checkpoints(keras.callbacks.Callback):
    """Writes the best weights, then the log, and last of all what a run resumes from."""

    def __init__(
        self,
        run: str,
        averaged: Averaged,
        counting: Mapping[str, keras.callbacks.Callback],
        score: str,
        every: int,
    ) -> None:
        super().__init__()
        self._run, self._averaged, self._counting, self._every = run, averaged, counting, every
        self._score = f"val_{score}"
        self.best = -math.inf
        self.best_step: int | None = None
        self.rows: list[Logs] = []
        self._meta: dict[str, Any] = {"kept": {}}

    def _path(self, name: str) -> str:
        return storage.join(self._run, name)

    def variables(self) -> dict[str, keras.Variable]:
        """Return everything that a step changes, by name."""
        own = checkpoint.names(self.model.variables)
        # By number: their paths contain names that Keras may number.
        numbered = enumerate(self.model.optimizer.variables)
        return own | {f"optimizer/{number}": variable for number, variable in numbered}

    def resume(self) -> int:
        """Restore the last checkpoint and return its step; 0 if there is none."""
        path = self._path(runs.LAST)
        if storage.stamp(path) is None:
            return 0
        values, self._meta = checkpoint.load(path)
        checkpoint.restore(path, self.variables(), values)
        self.best, self.best_step = self._meta["best"], self._meta["best_step"]
        self.rows = self._meta["rows"]
        step: int = self._meta["step"]
        return step

    def state(self, name: str) -> Mapping[str, Any]:
        """Return the counts of a callback at the checkpoint that was resumed."""
        counts: Mapping[str, Any] = self._meta["kept"].get(name, {})
        return counts

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Give the other callbacks their counts back, which Keras resets when training begins."""
        for name, callback in self._counting.items():
            for key, value in self.state(name).items():
                setattr(callback, key, value)

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Write the files of a leg."""
        self.write((epoch + 1) * self._every, logs)

    def write(self, step: int, logs: Logs) -> None:
        """Write the files of a step."""
        self._check(step)
        self.rows.append({"step": step} | {name: float(value) for name, value in logs.items()})
        averages: checkpoint.Values = {}
        with self._averaged.weights() as averaged:
            own = checkpoint.weights(self.model)
            if logs.get(self._score, -math.inf) > self.best:
                self.best, self.best_step = float(logs[self._score]), step
                checkpoint.save(self._path(runs.BEST), own, {"step": step, "score": self.best})
            if averaged:
                averages = {
                    runs.AVERAGED + variable.path: np.array(keras.ops.convert_to_numpy(variable))
                    for variable in self.model.trainable_variables
                }
        meta = {
            "step": step,
            "best": self.best,
            "best_step": self.best_step,
            "kept": {name: _counts(callback) for name, callback in self._counting.items()},
            "rows": self.rows,
        }
        storage.write_all({self._path(runs.LOG): _table(self.rows)})
        checkpoint.save(self._path(runs.LAST), self.variables() | averages, meta)

    def _check(self, step: int) -> None:
        """Raise TrainError for a weight that is not finite: no loss has seen the last step's."""
        for variable in self.model.trainable_variables:
            if not np.isfinite(keras.ops.convert_to_numpy(variable)).all():
                found = f"weights of {variable.path} are NaN or infinite"
                raise TrainError(not_finite(step, found))


def _counts(callback: keras.callbacks.Callback) -> dict[str, Any]:
    values = {key: getattr(callback, key, None) for key in _COUNTS}
    return {key: value for key, value in values.items() if value is not None}


def _table(rows: list[Logs]) -> bytes:
    text = io.StringIO()
    lines = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    lines.writeheader()
    lines.writerows(rows)
    return text.getvalue().encode()


def legs(settings: Settings, count: int) -> tuple[int, int]:
    """Return the steps between checkpoints, and the number of checkpoints."""
    once = math.ceil(count / settings.batch)
    steps = settings.steps
    if steps is None:
        steps = math.ceil(settings.epochs * count / settings.batch)
    if not steps:
        return 0, 0
    every = min(settings.every or once, steps)
    return every, math.ceil(steps / every)
