"""The engine of Apache Beam: each task of a job is one element of a pipeline.

Tasks and results are files in a folder that all workers reach, so the graph of a pipeline stays
small however many there are; runners refuse graphs of several megabytes.
"""

import contextlib
import functools
import pickle
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions

from dsbuild import storage
from dsbuild.engines import Job, Result, Task
from dsbuild.errors import DsbuildError, NoFileError
from dsbuild.pipelines import run as launch
from dsbuild.pipelines.processes import at, settle, token

# For monitoring only: repeated work is counted twice.
_DONE = Metrics.counter("dsbuild", "done")
_BYTES = Metrics.counter("dsbuild", "bytes")
_WORKERS = ("direct_num_workers", "num_workers", "max_num_workers")


@dataclass(frozen=True)
class Beam:
    """Runs jobs on a runner of Beam, with the options of its pipelines."""

    options: PipelineOptions
    task_seconds: float = 0.32

    @property
    def workers(self) -> int:
        """How many workers the options ask for; 1 if they do not say."""
        options = self.options.get_all_options()
        return max(options.get(name) or 1 for name in _WORKERS)

    def map(self, job: Job[Task, Result]) -> list[Result]:
        """Return the results of a job in the order of its tasks."""
        tasks = list(job.tasks)
        if not tasks:
            return []
        with scratch(self.options) as folder:
            for i, task in enumerate(tasks):
                keep(task, folder, f"task-{i}")
            work = functools.partial(_work, folder=folder, work=job.work, driver=token())
            launch.run(
                self.options,
                lambda root: (
                    root | beam.Create(range(len(tasks))) | beam.Reshuffle() | beam.Map(work)
                ),
                where=lambda lost: where([job.named(tasks[i]) for i in lost]),
            )
            return [kept(folder, f"result-{i}") for i in range(len(tasks))]


def _work(i: int, folder: str, work: Callable[..., Any], driver: str) -> None:
    settle(driver)
    with at(i):
        keep(work(kept(folder, f"task-{i}"), advance), folder, f"result-{i}")


def where(lost: Iterable[str]) -> str:
    """Say which tasks, by name, a dead worker was working on."""
    return f"it was working on {', '.join(filter(None, lost)) or 'none of its tasks'}"


def advance(done: int, size: int) -> None:
    """Count progress, in the unit of the job and in bytes, for monitoring."""
    launch.going()
    _DONE.inc(done)
    _BYTES.inc(size)


@contextlib.contextmanager
def scratch(options: PipelineOptions) -> Iterator[str]:
    """Give a folder for the files of a pipeline, below --temp_location; remove it at the end."""
    place = options.view_as(GoogleCloudOptions).temp_location
    if place is None:
        with tempfile.TemporaryDirectory(prefix="dsbuild-") as folder:
            yield folder
        return
    folder = storage.join(place, f"dsbuild-{uuid.uuid4().hex}")
    try:
        yield folder
    finally:
        storage.remove_folder(folder)


def keep(value: Any, folder: str, name: str) -> None:
    """Write a value as a file."""
    storage.write(storage.join(folder, name), pickle.dumps(value))


def kept(folder: str, name: str) -> Any:
    """Return the value that a file of a pipeline holds."""
    try:
        return pickle.loads(storage.read(storage.join(folder, name))[0])
    except NoFileError as error:
        raise DsbuildError(
            f"{error}: the workers of the pipeline see other files; set --temp_location to a "
            "folder that all of them reach"
        ) from error
