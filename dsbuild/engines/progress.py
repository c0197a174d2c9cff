"""The progress bar of a job, on a terminal only."""

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

from dsbuild.storage import safe_text


@contextlib.contextmanager
def aside() -> Iterator[None]:
    """Take bars off the terminal while a line is printed."""
    tqdm = sys.modules.get("tqdm")
    with tqdm.tqdm.external_write_mode(sys.stderr) if tqdm else contextlib.nullcontext():
        yield


class Bar(contextlib.AbstractContextManager["Bar"]):
    """A progress bar over samples, with MB/s of what was written."""

    def __init__(self, samples: int, title: str, unit: str, quiet: bool) -> None:
        self._bar: Any = None  # tqdm has no types
        self._samples = self._bytes = 0
        if quiet or not sys.stderr.isatty():
            return
        from tqdm import tqdm  # here, since it takes longer to import than many builds to plan

        class Unwatched(tqdm):  # type: ignore[type-arg]
            monitor_interval = 0  # the monitor's thread would only redraw a bar that stands still

        title, unit = safe_text.text(title), f" {safe_text.text(unit)}"
        self._bar = Unwatched(total=samples, desc=title, unit=unit, leave=False, delay=0.2)

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def advance(self, samples: int, size: int) -> None:
        """Count what was done since the last call, in this process."""
        self.show(self._samples + samples, self._bytes + size)

    def show(self, samples: int, size: int) -> None:
        """Show what was done in all."""
        if self._bar is None:
            return
        step, self._samples, self._bytes = samples - self._samples, samples, size
        seconds = self._bar.format_dict["elapsed"]
        if seconds and size:
            self._bar.set_postfix_str(f"{size / 1e6 / seconds:.1f} MB/s", refresh=False)
        self._bar.update(step)
