"""The engine of this machine: the process itself, or some worker processes."""

import itertools
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from dsbuild.engines import lanes
from dsbuild.engines.job import Job, Result, Task
from dsbuild.engines.progress import Bar
from dsbuild.errors import PlanError

_START = 0.25  # seconds until another process has started

# Modules with threads of their own, which Python does not count and no fork survives.
_THREADED = ("array_record.python.array_record_module", "jax", "obstore", "tensorflow", "torch")


@dataclass(frozen=True)
class Local:
    """Runs jobs on processes of this machine.

    Attributes:
      workers: how many processes; with one, all work is done in this one.
      quiet: show no progress bar.
      task_seconds: as in Engine.
      method: how processes start, `fork` or `spawn`; empty for the faster one that is safe.
      patience: seconds in which a worker that is to stop may come to its next sample.
    """

    workers: int = 1
    quiet: bool = True
    task_seconds: float = 0.32
    method: str = ""
    patience: float = 60.0

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise PlanError(f"--workers {self.workers}: expected at least 1")

    def map(self, job: Job[Task, Result]) -> list[Result]:
        """Return the results in the order of the tasks.

        The first error stops all workers at their next sample and is raised again, as
        is Ctrl-C.
        """
        most = self.workers
        if job.seconds is not None:
            most = min(most, 1 + int(job.seconds / _START))
        tasks = iter(job.tasks)
        first = list(itertools.islice(tasks, most * job.lanes))  # no more workers than tasks
        count, tasks = len(first), itertools.chain(first, tasks)
        with Bar(job.samples, job.title, job.unit, self.quiet) as bar:
            if count <= 1:
                return [job.work(task, bar.advance) for task in tasks]
            if most == 1:
                return lanes.share(job, tasks, min(job.lanes, count), bar.advance)
            return self._spread(job, tasks, min(most, count), bar)

    def _spread(
        self, job: Job[Task, Result], tasks: Iterator[Task], count: int, bar: Bar
    ) -> list[Result]:
        from dsbuild.engines import workers  # here, since one process is often done before it is

        method = self.method or safe_method()
        return workers.spread(job, tasks, count, method, bar.show, self.patience)


def safe_method() -> str:
    """Return `fork`, which is fastest, if no thread can be cut in two by it; else `spawn`."""
    alone = sys.platform == "linux" and threading.active_count() == 1
    return "fork" if alone and sys.modules.keys().isdisjoint(_THREADED) else "spawn"
