"""What every engine is: a map of a job over its tasks, with its own workers and progress."""

from typing import Protocol

from dsbuild.engines.job import Job, Result, Task


class Engine(Protocol):
    """Maps jobs. `tests/engines/test_conformance.py` says what each one has to do."""

    @property
    def workers(self) -> int:
        """How many tasks it does at once."""
        ...

    @property
    def task_seconds(self) -> float:
        """How long a task should take at least, to be worth what the engine adds to it."""
        ...

    def map(self, job: Job[Task, Result]) -> list[Result]:
        """Return the results in the order of the tasks.

        The first error ends the job and is raised: a DsbuildError if a user can do something about
        it. Ctrl-C ends the job too. Afterwards nothing of the job goes on in this process.
        """
        ...


def batch(engine: Engine, seconds: float) -> int:
    """Return how many items, of so many seconds each, make a task that is worth its overhead."""
    return max(1, round(engine.task_seconds / seconds))
