"""Progress of a training for people: one bar over all steps, and a line after each leg."""

import contextlib
import time
from collections.abc import Callable, Iterator

import keras

from dsbuild import engines
from dsbuild.train.fit.callbacks import Logs
from dsbuild.train.fit.checkpoints import Checkpoints

NAMES = {"mean_iou": "mIoU", "accuracy": "accuracy"}  # of scores
Talk = Callable[[str], None]


class ProgressLines(keras.callbacks.Callback, contextlib.AbstractContextManager["ProgressLines"]):
    """Shows a bar over all steps, and prints a line after each leg.

    What is left is forecast from steps and from the pauses between legs, in which scores are
    measured and checkpoints written. The first step does not count: it includes tracing.
    """

    def __init__(
        self,
        talk: Talk,
        checkpoints: Checkpoints,
        score: str,
        legs: int,
        every: int,
        val: str,
        quiet: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._quiet, self._clock = quiet, clock
        self._talk, self._checkpoints, self._score = talk, checkpoints, score
        self._legs, self._every, self._val = legs, every, val
        self._bar: engines.Bar | None = None
        self._done = 0  # steps of the whole training
        self._steps, self._seconds = -1, 0.0  # those that count: all but the first
        self._pauses: list[float] = []  # seconds of each

    def __exit__(self, *error: object) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.__exit__(*error)
            self._bar = None

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Open the bar, if this is the first leg."""
        self._done = epoch * self._every
        if self._bar is None:
            self._bar = engines.Bar(
                self._legs * self._every,
                "training",
                "steps",
                self._quiet,
                done=self._done,
                left=self.left,
                clock=self._clock,
            )
        self._at = self._clock()

    def on_train_batch_end(self, batch: int, logs: Logs) -> None:
        """Move the bar."""
        now = self._clock()
        self._steps += 1
        self._seconds += now - self._at if self._steps else 0
        self._at, self._done = now, self._done + 1
        if self._bar is not None:
            self._bar.advance(1, 0)
            self._bar.say(f"loss {logs['loss']:.4f}")

    @contextlib.contextmanager
    def scoring(self, samples: int) -> Iterator[Callable[[], None]]:
        """Show that samples are being scored; yield what to call after each."""
        title = f"scoring {self._val}"
        if self._bar is None:
            with engines.Bar(samples, title, "samples", self._quiet) as alone:
                yield lambda: alone.advance(1, 0)
            return
        bar, scored = self._bar, 0

        def advance() -> None:
            nonlocal scored
            scored += 1
            bar.say(f"{title}, {scored:,} of {samples:,}")

        bar.say(title)
        yield advance

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Print the line."""
        self._pauses.append(self._clock() - self._at)
        step = f"{self._done:,} of {self._legs * self._every:,}"
        name, score = NAMES[self._score], logs.get(f"val_{self._score}")
        words = [f"step {step}", f"loss {logs['loss']:.4f}", f"{name} {logs[self._score]:.3f}"]
        if score is not None:
            best, at = self._checkpoints.best, self._checkpoints.best_step
            words.append(f"val {name} {score:.3f} (best {best:.3f} at {at:,})")
        words += [f"rate {logs['rate']:.2g}", f"{logs['images_per_second']:.1f} images/s"]
        left = self.left()
        if left:
            words.append(f"{engines.clock(left)} left")
        with engines.aside():
            self._talk("  ".join(words))

    def left(self) -> float | None:
        """Return the seconds that are left; None if not known."""
        if self._steps < 1:
            return None
        seconds = (self._legs * self._every - self._done) * self._seconds / self._steps
        if self._pauses:
            ended = self._done // self._every
            seconds += (self._legs - ended) * sum(self._pauses) / len(self._pauses)
        return seconds
