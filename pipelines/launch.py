"""Run a pipeline for a user: workers have dsbuild, a failure is one line, Ctrl-C cancels."""

import contextlib
import logging
import re
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import (
    GoogleCloudOptions,
    PipelineOptions,
    StandardOptions,
    TestOptions,
)

from dsbuild import storage
from dsbuild.errors import DsbuildError
from dsbuild.pipelines import package
from dsbuild.pipelines.options import DATAFLOW, IN_PROCESS

_ERROR = re.compile(
    r"^dsbuild\.(?:errors|example)\.\w+: (?P<text>.*?)(?: \[while running .*)?$", re.MULTILINE
)
# Libraries by which Beam speaks to services; what they raise is about those, not about us.
_SERVICES = ("google", "grpc", "requests", "urllib3")


def is_dry(options: PipelineOptions) -> bool:
    """Tell whether a graph is to be made and checked, and nothing else."""
    return bool(options.view_as(TestOptions).dry_run)


def run(
    options: PipelineOptions,
    graph: Callable[[beam.Pipeline], Any],
    note: Callable[[str], None] = lambda _: None,
) -> Any:
    """Run the pipeline that `graph` makes, and wait for its end; return Beam's result.

    Returns None where nothing ran yet, since the options ask for a template or for a dry
    run. Raises a DsbuildError for whatever a user can mend.
    """
    with _clear(options), _quiet():
        _look_at_places(options)
        with tempfile.TemporaryDirectory(prefix="dsbuild-") as folder:
            package.bring(options, folder)
            pipeline = made(options)
            graph(pipeline)
            result = pipeline.run()
        if is_dry(options) or not getattr(result, "has_job", True):
            return None
        with _watched(result, options, note):
            result.wait_until_finish()
        return result


def made(options: PipelineOptions) -> beam.Pipeline:
    """Return a pipeline; raise DsbuildError where its runner misses an option."""
    try:
        return beam.Pipeline(options=options)
    except ValueError as error:
        raise DsbuildError(f"options of Beam: {' '.join(str(error).split())}") from error


def _look_at_places(options: PipelineOptions) -> None:
    """Raise StorageError where the driver cannot stage; Beam tries a missing bucket for minutes."""
    cloud = options.view_as(GoogleCloudOptions)
    if options.view_as(StandardOptions).runner == DATAFLOW and not is_dry(options):
        for place in {cloud.temp_location, cloud.staging_location} - {None}:
            storage.is_folder(place)


@contextlib.contextmanager
def _watched(result: Any, options: PipelineOptions, note: Callable[[str], None]) -> Iterator[None]:
    """Name a job of Dataflow; cancel any at Ctrl-C, since the folder's lock ends with us."""
    if hasattr(result, "job_id"):
        cloud = options.view_as(GoogleCloudOptions)
        note(
            f"job {result.job_id()} runs: https://console.cloud.google.com/dataflow/jobs/"
            f"{cloud.region}/{result.job_id()}?project={cloud.project}"
        )
    try:
        yield
    except KeyboardInterrupt:
        with contextlib.suppress(Exception):
            result.cancel()
        raise


@contextlib.contextmanager
def _clear(options: PipelineOptions) -> Iterator[None]:
    """Raise what failed as one DsbuildError; a bug keeps its traceback."""
    runner = options.view_as(StandardOptions).runner
    try:
        yield
    except Exception as error:
        # In other processes only the text of the traceback is left of an error.
        found = [*_ERROR.finditer(f"dsbuild.errors.{type(error).__name__}: {error}")]
        if isinstance(error, DsbuildError) or len(found) > 1:
            raise DsbuildError(found[-1]["text"]) from error
        lines = [line for line in str(error).splitlines() if line.strip()]
        if "No module named 'dsbuild" in str(error):
            raise DsbuildError(
                f"{runner}: its workers have no dsbuild; their image has to hold it, or leave "
                "--sdk_container_image and --setup_file away, so that they are sent it"
            ) from error
        if type(error).__name__ == "DataflowRuntimeException":
            raise DsbuildError(f"{runner}: {_of_job(lines)}") from error
        room = type(error).__module__.partition(".")[0]
        # A worker's bug comes with its traceback as text, what Beam says of a service without.
        told = isinstance(error, RuntimeError) and "Traceback" not in str(error)
        if runner != IN_PROCESS and (told or isinstance(error, OSError) or room in _SERVICES):
            text = lines[0] if lines else f"no answer ({type(error).__name__})"
            raise DsbuildError(
                f"{runner}: {text}; check its options, buckets, rights, and the network"
            ) from error
        raise


def _of_job(lines: list[str]) -> str:
    """Return what the service says of a failed job: its state, and its last line."""
    state, last = lines[0].removesuffix(", Error:"), lines[-1]
    why = "the service says no more" if last in (lines[0], "None") else last.rstrip(".")
    return f"{state}: {why}; finished shards are kept: run the same command again to resume"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep Beam's log to itself: what a user can mend is raised, and said once."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(before)
