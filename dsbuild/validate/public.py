"""`dsbuild.validate`: the whole of a validation as one call."""

import os
from collections.abc import Callable
from typing import Any

from dsbuild import engines
from dsbuild.engines import Job
from dsbuild.errors import PlanError
from dsbuild.validate import run
from dsbuild.validate.rules import Checked

Engine = Callable[[Job[Any, Checked]], list[Checked]]  # does a job's work elsewhere


def validate(
    path: str | os.PathLike[str] = "tfrecord",
    source: str | os.PathLike[str] | None = None,
    *,
    level: str = "pixels",
    runner: str | Engine = "local",
    workers: int | None = None,
    quiet: bool = True,
) -> run.Validation:
    """Check TFRecords as `dsbuild validate PATH SOURCE` does, with the same options and defaults.

    Nothing is changed or printed.

    Args:
      path: a folder that dsbuild wrote, any other folder of TFRecords, or one file.
      source: the data set that it was built from, for level="source".
      level: "frames", "records", "pixels" or "source".
      runner: "local", or a function that does the work of a job elsewhere.
      workers: processes; None for all cores.
      quiet: whether to hide the progress bar.

    Returns the problems and notes; `document()` is what the command prints with --json. Raises a
    DsbuildError for bad options or if there is no TFRecord at all.
    """
    if isinstance(runner, str) and runner != "local":
        raise PlanError(f"runner: found {runner!r}, expected local")
    engine = None if isinstance(runner, str) else runner
    root = None if source is None else os.fspath(source)
    return run.validate(os.fspath(path), level, root, workers or engines.cores(), quiet, engine)
