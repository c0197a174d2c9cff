"""The progress of a job: a bar on a terminal, elsewhere one line now and then."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from dsbuild.storage import safe_text

_PERIOD = 30.0  # seconds between lines if stderr is no terminal; later a tenth of those so far,
_LONGEST = 600.0  # up to these: a day-long job prints some 160 lines, in a log or a notebook
_WIDEST = 100  # columns of a bar with its text
_STEPS = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3))

Clock = Callable[[], float]


@contextlib.contextmanager
def aside() -> Iterator[None]:
    """Take bars off the terminal while a line is printed."""
    tqdm = sys.modules.get("tqdm")
    with tqdm.tqdm.external_write_mode(sys.stderr) if tqdm else contextlib.nullcontext():
        yield


class Bar(contextlib.AbstractContextManager["Bar"]):
    """The progress over samples, or over anything that is counted.

    On a terminal it is a bar, which disappears at the end; otherwise a line every 30 seconds, and
    less often after the first minutes, so that the log of a long job, or a notebook, shows that it
    moves. A job of less than that prints nothing.
    """

    def __init__(
        self,
        total: int,
        title: str,
        unit: str,
        quiet: bool,
        *,
        done: int = 0,
        left: Callable[[], float | None] | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        """Begin.

        Args:
          total: how much there is to do.
          title: what is done, in a word or two.
          unit: what is counted; `bytes` are shown as MB and GB.
          quiet: show nothing.
          done: how much of it was done before.
          left: returns the seconds that are left, None if not known. Default: by the mean pace
            since the first part was done, which may include a start.
          clock: returns seconds.
        """
        self._total, self._unit = total, safe_text.text(unit)
        self._title, self._remark = safe_text.text(title), ""
        self._clock, self._left = clock, left or self._by_pace
        self._done, self._bytes = done, 0
        self._begun = self._told = clock()
        self._first: tuple[float, int] | None = None
        self._quiet = quiet
        self._bar = None if quiet or not sys.stderr.isatty() else self._drawn()

    def _drawn(self) -> Any:  # tqdm has no types
        from tqdm import tqdm  # here, since it takes longer to import than many builds to plan

        text = self._text

        class Drawn(tqdm):  # type: ignore[type-arg]
            monitor_interval = 0  # the monitor's thread would only redraw a bar that stands still

            @property
            def format_dict(self) -> dict[str, Any]:
                """Return what is shown."""
                shown = dict(super().format_dict)
                columns = min(shown["ncols"] or _WIDEST, _WIDEST)
                return {**shown, "ncols": columns, "text": text()}

        return Drawn(
            total=self._total,
            initial=self._done,
            desc=self._title,
            bar_format="{desc} {percentage:3.0f} % {bar} {text}",
            dynamic_ncols=True,
            miniters=0,  # so that a change of the remark alone is drawn, too
            leave=False,
            delay=0.2,
        )

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def advance(self, samples: int, size: int) -> None:
        """Count what was done since the last call, in this process."""
        self.show(self._done + samples, self._bytes + size)

    def show(self, samples: int, size: int) -> None:
        """Show what was done in all."""
        step, self._done, self._bytes = samples - self._done, samples, size
        if self._quiet:
            return
        now = self._clock()
        if self._first is None and step:
            self._first = now, samples
        if self._bar is not None:
            self._bar.update(step)
        elif now - self._told >= min(max(_PERIOD, (self._told - self._begun) / 10), _LONGEST):
            self._told = now
            sys.stderr.write(f"{self._title}: {self._text()}\n")
            sys.stderr.flush()

    def say(self, remark: str) -> None:
        """Show a remark beside what was done."""
        self._remark = safe_text.text(remark)
        self.advance(0, 0)

    def _by_pace(self) -> float | None:
        if self._first is None:
            return None
        begun, before = self._first
        done, seconds = self._done - before, self._clock() - begun
        return (self._total - self._done) * seconds / done if done > 0 else None

    def _text(self) -> str:
        """Return how much is done, how fast bytes are, and how long the rest takes."""
        words = [amount(self._done, self._total, self._unit)]
        moved = self._done if self._unit == "bytes" else self._bytes
        seconds = self._clock() - self._begun
        if moved and seconds:
            words.append(f"{moved / 1e6 / seconds:,.1f} MB/s")
        if self._remark:
            words.append(self._remark)
        left = self._left()
        if left is not None:
            words.append(f"{clock(left)} left")
        return ", ".join(words)


def amount(done: int, total: int, unit: str) -> str:
    """Return how much of a whole is done, as text.

    >>> amount(1234, 2913, "samples"), amount(0, 1, "files"), amount(5 * 10**7, 2 * 10**9, "bytes")
    ('1,234 of 2,913 samples', '0 of 1 file', '0.05 of 2.00 GB')
    """
    if unit == "bytes":
        name, size = next((one for one in _STEPS if total >= one[1]), ("bytes", 1.0))
        digits = 0 if size == 1 else 2 if name == "GB" else 1
        return f"{done / size:,.{digits}f} of {total / size:,.{digits}f} {name}"
    return f"{done:,} of {total:,} {unit.removesuffix('s') if total == 1 else unit}"


def clock(seconds: float) -> str:
    """Return a duration as a clock shows it.

    >>> clock(3725), clock(61)
    ('1:02:05', '1:01')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
