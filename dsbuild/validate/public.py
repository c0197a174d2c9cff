"""`dsbuild.validate`: a whole validation as one call."""

import os

from dsbuild import engines
from dsbuild.engines import Engine
from dsbuild.format.folder import PathLike
from dsbuild.validate import run


def validate(
    path: PathLike = "tfrecord",
    source: str | os.PathLike[str] | None = None,
    *,
    level: str = "pixels",
    runner: str | Engine = "local",
    scheduler: str | None = None,
    workers: int | None = None,
    quiet: bool = True,
) -> run.Validation:
    """Check TFRecords as `dsbuild validate PATH SOURCE` does, with the same options and defaults.

    Nothing is changed or printed.

    Args:
      path: a folder that dsbuild wrote, any other folder of TFRecords, or one file.
      source: the data set that it was built from; for level="source".
      level: "frames", "records", "pixels" or "source".
      runner: "local"; "dask", with its `scheduler`; or an engine.
      scheduler: address of a Dask scheduler, such as "tcp://host:8786".
      workers: processes; None for all cores.
      quiet: whether to hide the progress bar.

    Returns:
      The problems and notes; `document()` is what the command prints with --json.

    Raises:
      ShardError: if there is no TFRecord at all.
      LayoutError: if `source` is not a data set of the layout, for level="source".
      PlanError: for options that contradict each other.

    Example:
      >>> found = dsbuild.validate("tfrecord", level="records")
      >>> found.records, found.problems
      (18, ())
    """
    engine = engines.chosen(runner, scheduler, workers, quiet)
    root = None if source is None else os.fspath(source)
    return run.validate(path, level, root, engine)
