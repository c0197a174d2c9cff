"""Progress of a training for people: a bar, and a line after each leg."""

import time
from collections.abc import Callable

import keras

from dsbuild import engines
from dsbuild.train.fit.callbacks import Logs
from dsbuild.train.fit.checkpoints import Checkpoints

NAMES = {"mean_iou": "mIoU", "accuracy": "accuracy"}  # of scores
Talk = Callable[[str], None]


class ProgressLines(keras.callbacks.Callback):
    """Shows a bar on a terminal, and prints a line after each leg."""

    def __init__(
        self,
        talk: Talk,
        checkpoints: Checkpoints,
        score: str,
        legs: int,
        every: int,
        batch: int,
        quiet: bool,
    ) -> None:
        super().__init__()
        self._quiet = quiet
        self._talk, self._checkpoints, self._score = talk, checkpoints, score
        self._legs, self._every, self._batch = legs, every, batch
        self._seconds: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Open the bar."""
        self._begun = time.monotonic()
        title = f"step {epoch * self._every:,} of {self._legs * self._every:,}"
        self._bar = engines.Bar(self._every * self._batch, title, "images", self._quiet)
        self._bar.__enter__()

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Move the bar."""
        self._bar.advance(self._batch, 0)

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Print the line."""
        self._bar.__exit__(None, None, None)
        self._seconds.append(time.monotonic() - self._begun)
        # Only the first leg includes tracing.
        seconds = self._seconds[1:] or self._seconds
        left = (self._legs - epoch - 1) * sum(seconds) / len(seconds)
        step = f"{(epoch + 1) * self._every:,} of {self._legs * self._every:,}"
        name, score = NAMES[self._score], logs.get(f"val_{self._score}")
        words = [f"step {step}", f"loss {logs['loss']:.4f}", f"{name} {logs[self._score]:.3f}"]
        if score is not None:
            best, at = self._checkpoints.best, self._checkpoints.best_step
            words.append(f"val {name} {score:.3f} (best {best:.3f} at {at:,})")
        words += [f"rate {logs['rate']:.2g}", f"{logs['images_per_second']:.1f} images/s"]
        self._talk("  ".join([*words, f"{clock(left)} left"]))


def clock(seconds: float) -> str:
    """Return a duration as people write it.

    >>> clock(3725)
    '1:02:05'
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
