"""How a training goes, for people: a bar, and a line after each leg."""

import time
from collections.abc import Callable

import keras

from dsbuild import engines
from dsbuild.train.fit.callbacks import Checkpoints

NAMES = {"mean_iou": "mIoU", "accuracy": "accuracy"}  # of scores
Talk = Callable[[str], None]


class Lines(keras.callbacks.Callback):
    """Tells after each leg how it goes; within it, on a terminal, a bar."""

    def __init__(
        self,
        talk: Talk,
        kept: Checkpoints,
        score: str,
        legs: int,
        every: int,
        batch: int,
        quiet: bool,
    ):
        super().__init__()
        self._quiet = quiet
        self._talk, self._kept, self._score, self._legs = talk, kept, score, legs
        self._every, self._batch = every, batch
        self._spent: list[float] = []

    def on_epoch_begin(self, epoch, logs=None):
        """Open the bar."""
        self._begun = time.monotonic()
        title = f"step {epoch * self._every:,} of {self._legs * self._every:,}"
        self._bar = engines.Bar(self._every * self._batch, title, "images", self._quiet)
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
