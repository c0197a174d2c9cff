"""Engines that tests make of functions, and whole builds by array jobs."""

import concurrent.futures
import contextlib
import dataclasses
import multiprocessing
from collections.abc import Callable, Iterator
from typing import Any

from dsbuild.engines import Job, Local


@dataclasses.dataclass(frozen=True)
class Mapped:
    """An engine that maps by a function of a job."""

    run: Callable[[Job], list[Any]]
    workers: int = 1
    task_seconds: float = 0.32

    def map(self, job: Job) -> list[Any]:
        """Return the function's results."""
        return self.run(job)


@contextlib.contextmanager
def standing(workers: int) -> Iterator[Mapped]:
    """Give an engine of fresh interpreters that live as long as the block.

    For tests whose point is that other processes do the work, not how these start and end.
    """
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(workers, spawn) as pool:

        def run(job: Job) -> list[Any]:
            given = [pool.submit(_done, job.work, task) for task in job.tasks]
            return [one.result(timeout=120) for one in given]

        yield Mapped(run, workers)


def _done(work: Callable[..., Any], task: Any) -> Any:
    """Do one task, and count nothing."""
    return work(task, _uncounted)


def _uncounted(samples: int, size: int) -> None:
    pass


def fine(workers: int) -> Local:
    """Return an engine for which tasks of a single sample pay."""
    return Local(workers, task_seconds=0.0)
