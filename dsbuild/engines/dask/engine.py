"""The engine of a Dask cluster.

Scheduler and workers need dsbuild of the same version, workers the same folders under the same
names.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

from dsbuild.engines.dask import client
from dsbuild.engines.dask.hand import Hand
from dsbuild.engines.job import Job, Result, Task
from dsbuild.engines.process import unlogged
from dsbuild.engines.progress import Bar
from dsbuild.errors import DsbuildError


@dataclass(frozen=True)
class Dask:
    """Runs jobs on the workers of a Dask cluster.

    Attributes:
      scheduler: its address.
      quiet: show no progress bar.
      note: is called with notes on workers that are given no more.
      task_seconds: as in Engine.
      patience: seconds until the scheduler is asked again which workers there are.
      timeout: seconds to reach the scheduler, and a worker, and for their answers.
    """

    scheduler: str
    quiet: bool = True
    note: Callable[[str], None] = lambda _: None
    task_seconds: float = 0.32
    patience: float = 10.0
    timeout: float = 20.0

    @functools.cached_property
    def workers(self) -> int:
        """How many tasks the cluster does at once; raises DsbuildError if it is not ready."""
        with unlogged(), client.connected(self._place) as dask:
            return sum(client.threads(dask, self._place).values())

    @property
    def _place(self) -> client.Place:
        return client.Place(self.scheduler, self.timeout)

    def map(self, job: Job[Task, Result]) -> list[Result]:
        """Return the results in the order of the tasks; a lost worker's task is done again.

        The first error in their order ends the job and is raised again as a DsbuildError.
        """
        with (
            unlogged(),
            client.connected(self._place) as dask,
            Bar(job.samples, job.title, job.unit, self.quiet) as bar,
        ):
            from concurrent.futures import CancelledError

            from distributed.comm.core import CommClosedError

            hand = Hand(job, dask, self._place, self.note, self.patience)
            try:
                return [done.result for done in hand.play(bar.advance)]
            except (CancelledError, CommClosedError) as error:
                raise DsbuildError(
                    f"--scheduler {self.scheduler}: lost the scheduler, or it was told to cancel "
                    "this work; finished shards are kept"
                ) from error
            finally:
                hand.cancel()
