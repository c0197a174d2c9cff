"""A job: work mapped over tasks on local processes, with progress, stoppable at once."""

import contextlib
import itertools
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from dsbuild.errors import PlanError
from dsbuild.storage import safe_text

Task = TypeVar("Task")
Result = TypeVar("Result")
Advance = Callable[[int, int], None]  # (samples, bytes) done since the last call


# Modules with threads of their own, which Python does not count and no fork survives.
_THREADED = ("array_record.python.array_record_module", "jax", "obstore", "tensorflow", "torch")


class Stopped(Exception):
    """Raised inside work when the job was asked to stop."""


@dataclass(frozen=True)
class Job(Generic[Task, Result]):
    """Work over tasks: `work(task, advance)` runs in any process, in any order.

    Attributes:
      tasks: picklable, as is work; may be a stream, of which a few are held at a time.
      work: calls advance(samples, bytes) as it goes; that raises Stopped at a stop.
      samples: how many samples all tasks have, for the progress bar.
      title: what the bar says.
      unit: what the bar calls samples.
      named: returns the name of a task, for an error that is not of its data.
    """

    tasks: Iterable[Task]
    work: Callable[[Task, Advance], Result]
    samples: int
    title: str
    unit: str = "samples"
    named: Callable[[Task], str] = lambda task: str(getattr(task, "path", task))

    def run(self, workers: int = 1, quiet: bool = True) -> list[Result]:
        """Return the results in the order of the tasks.

        The first error stops all workers at their next sample and is raised again, as
        is Ctrl-C. With one worker all runs in this process.
        """
        if workers < 1:
            raise PlanError(f"--workers {workers}: expected at least 1")
        tasks = iter(self.tasks)
        first = list(itertools.islice(tasks, workers))  # no more workers than tasks
        workers, tasks = len(first), itertools.chain(first, tasks)
        with Bar(self.samples, self.title, self.unit, quiet) as bar:
            if workers <= 1:
                tune()
                return [self.work(task, bar.advance) for task in tasks]
            return self._spread(tasks, workers, bar)

    def _spread(self, tasks: Iterator[Task], count: int, bar: "Bar") -> list[Result]:
        from dsbuild.engines import (
            workers,  # here, since one process alone is often done before it is
        )

        with warnings.catch_warnings(), _without_threads_of_opencv():
            # Threads that are not Python's are those of NumPy's BLAS, which knows of forks.
            warnings.filterwarnings("ignore", "(?s).*multi-threaded", DeprecationWarning)
            return workers.spread(self.work, tasks, count, _method(), bar.show)


def _method() -> str:
    """Return how workers start: by fork, which is soonest, where no thread can be cut in two."""
    alone = sys.platform == "linux" and threading.active_count() == 1
    return "fork" if alone and sys.modules.keys().isdisjoint(_THREADED) else "spawn"


@contextlib.contextmanager
def _without_threads_of_opencv() -> Iterator[None]:
    """End OpenCV's threads for a while: a forked process would wait for its copies for ever."""
    cv2 = sys.modules.get("cv2")
    before = cv2.getNumThreads() if cv2 else 0
    if cv2:
        cv2.setNumThreads(1)
    try:
        yield
    finally:
        if cv2:
            cv2.setNumThreads(before)


@contextlib.contextmanager
def unlogged() -> Iterator[None]:
    """Keep library logs off the terminal: what a user can fix is raised and printed once."""
    import logging  # here, since one process alone has no use for it

    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def tune() -> None:
    """Keep image-sized allocations in the heap of a glibc process.

    By default each one is a fresh mapping, whose page faults cost more than decoding
    an image: the table in bench/README.md says what this buys.
    """
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(-3, 1 << 28)  # M_MMAP_THRESHOLD
        libc.mallopt(-1, 1 << 29)  # M_TRIM_THRESHOLD


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextlib.contextmanager
def aside() -> Iterator[None]:
    """Take bars off the terminal while a line is printed."""
    tqdm = sys.modules.get("tqdm")
    with tqdm.tqdm.external_write_mode(sys.stderr) if tqdm else contextlib.nullcontext():
        yield


class Bar(contextlib.AbstractContextManager):
    """A progress bar over samples, with MB/s of what was written; on a terminal only."""

    def __init__(self, samples: int, title: str, unit: str, quiet: bool):
        self._bar = None
        self._samples = self._bytes = 0
        if quiet or not sys.stderr.isatty():
            return
        from tqdm import tqdm  # here, since it takes longer to import than many builds to plan

        tqdm.monitor_interval = 0  # its thread would only redraw a bar that stands still
        title, unit = safe_text.text(title), f" {safe_text.text(unit)}"
        self._bar = tqdm(total=samples, desc=title, unit=unit, leave=False, delay=0.2)

    def __exit__(self, *error) -> None:
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
