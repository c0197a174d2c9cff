"""Engines that tests make of functions, and whole builds by array jobs."""

import dataclasses
from collections.abc import Callable
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


def fine(workers: int) -> Local:
    """Return an engine for which tasks of a single sample pay."""
    return Local(workers, task_seconds=0.0)
