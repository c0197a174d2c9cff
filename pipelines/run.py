"""Run a pipeline for a user: workers get dsbuild, a failure is one line, Ctrl-C cancels.

Beam runs in its own thread, so that we never wait for what it waits for, and do not depend on how
it handles an interruption.
"""

import contextlib
import functools
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from typing import Any, TextIO

import apache_beam as beam
from apache_beam.options.pipeline_options import (
    GoogleCloudOptions,
    PipelineOptions,
    StandardOptions,
    TestOptions,
)

from dsbuild import storage
from dsbuild.engines import Stopped, unlogged
from dsbuild.errors import DsbuildError
from dsbuild.pipelines import failures, wheel
from dsbuild.pipelines.options import DATAFLOW
from dsbuild.pipelines.processes import Gone, Processes, watched
from dsbuild.storage import temporary

_TICK = 0.1  # seconds between two looks at a running pipeline
_GRACE = 15  # seconds for Beam to end after one of its processes died
_PATIENCE = 60  # seconds for a stopped pipeline to end; its work stops at the next sample

_stopping = threading.Event()


def going() -> None:
    """Raise Stopped inside the work of a pipeline that this process is stopping."""
    if _stopping.is_set():
        raise Stopped


def is_dry(options: PipelineOptions) -> bool:
    """Return whether the graph should only be made and checked."""
    return bool(options.view_as(TestOptions).dry_run)


def run(
    options: PipelineOptions,
    graph: Callable[[beam.Pipeline], Any],
    note: Callable[[str], None] = lambda _: None,
    where: failures.Where = str,
) -> Any:
    """Run the pipeline that `graph` makes, and wait for its end; return Beam's result.

    Returns None if nothing ran because the options ask for a template or a dry run. Raises a
    DsbuildError for whatever a user can fix. `where` names tasks that were lost.
    """
    aloud = functools.partial(_aloud, note, sys.stderr)
    with (
        unlogged(),
        _folder() as folder,
        watched(folder) as processes,
        failures.clear(options, processes, where),
    ):
        _look_at_places(options)
        running = _Running(options, graph, aloud, processes, folder)
        running.start()
        _wait(running, processes)
        if running.error is not None:
            raise running.error
        return running.result if running.ran else None


class _Running(threading.Thread):
    """A running pipeline; ends with a result or an error."""

    def __init__(
        self,
        options: PipelineOptions,
        graph: Callable[[beam.Pipeline], Any],
        note: Callable[[str], None],
        processes: Processes,
        folder: str,
    ) -> None:
        super().__init__(name="dsbuild-pipeline", daemon=True)
        self._options, self._graph, self._note = options, graph, note
        self._processes, self._folder = processes, folder
        self.result: Any = None
        self.ran = False
        self.error: BaseException | None = None
        # Not join(): if it is interrupted, it takes the thread for ended (Python 3.11).
        self.ended = threading.Event()

    def run(self) -> None:
        try:
            self._run()
        except BaseException as error:
            self.error = error
        finally:
            self.ended.set()

    def _run(self) -> None:
        options = self._options
        wheel.bring(options, self._folder)
        with self._processes.runner(options) as runner:
            pipeline = made(options, runner)
            self._graph(pipeline)
            self.result = pipeline.run()
        if is_dry(options) or not getattr(self.result, "has_job", True):
            return
        if hasattr(self.result, "job_id"):
            cloud, job = options.view_as(GoogleCloudOptions), self.result.job_id()
            self._note(
                f"job {job} runs: https://console.cloud.google.com/dataflow/jobs/"
                f"{cloud.region}/{job}?project={cloud.project}"
            )
        self.result.wait_until_finish()
        self.ran = True


def _wait(running: _Running, processes: Processes) -> None:
    """Wait for a pipeline's end; on Ctrl-C cancel it, since the folder's lock ends with us."""
    died = gone = 0.0
    _stopping.clear()
    try:
        while not running.ended.wait(_TICK) and died < _GRACE and gone < _PATIENCE:
            # When a pipeline ends, its processes are gone for a moment too, but none died.
            gone += _TICK * processes.look()
            died += _TICK * bool(processes.exits)
    except KeyboardInterrupt:
        _stopping.set()
        cancel = threading.Thread(target=_cancel, args=(running.result,), daemon=True)
        cancel.start()
        processes.end()
        running.ended.wait(_PATIENCE)
        cancel.join(_GRACE)
        raise
    if not running.ended.is_set():  # Beam waits for a process that died before it reported
        processes.end()
        running.error = Gone()


def _aloud(note: Callable[[str], None], stderr: TextIO, line: str) -> None:
    with contextlib.redirect_stderr(stderr):  # which goes to the log meanwhile
        note(line)


def _cancel(result: Any) -> None:
    with contextlib.suppress(Exception):  # no result yet, or the job has ended
        result.cancel()


@contextlib.contextmanager
def _folder() -> Iterator[str]:
    with contextlib.ExitStack() as stack:
        with temporary.named():
            folder = stack.enter_context(
                tempfile.TemporaryDirectory(prefix="dsbuild-", ignore_cleanup_errors=True)
            )
        yield folder


def made(options: PipelineOptions, runner: Any = None) -> beam.Pipeline:
    """Return a pipeline; raise DsbuildError if its runner needs an option that is not given."""
    try:
        return beam.Pipeline(runner=runner, options=options)
    except ValueError as error:
        raise DsbuildError(f"options of Beam: {' '.join(str(error).split())}") from error


def _look_at_places(options: PipelineOptions) -> None:
    """Raise StorageError if the driver cannot stage: Beam retries a missing bucket for minutes."""
    cloud = options.view_as(GoogleCloudOptions)
    if options.view_as(StandardOptions).runner == DATAFLOW and not is_dry(options):
        for place in {cloud.temp_location, cloud.staging_location} - {None}:
            storage.is_folder(place)
