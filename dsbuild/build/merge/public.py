"""`dsbuild.merge`: a whole merge as one call."""

import os
from collections.abc import Callable, Collection, Sequence

from dsbuild import engines
from dsbuild.build.merge import run
from dsbuild.build.merge.run import Merge
from dsbuild.engines import Engine

Path = str | os.PathLike[str]


def _silent(_: str) -> None:
    """Say nothing."""


def merge(
    builds: Sequence[Path],
    out: Path,
    *,
    map: Path | None = None,
    ignore: str = "ignore",
    drop: str | Collection[str] = (),
    overwrite: bool = False,
    dry_run: bool = False,
    runner: str | Engine = "local",
    scheduler: str | None = None,
    workers: int | None = None,
    quiet: bool = True,
    note: Callable[[str], None] = _silent,
) -> Merge:
    """Merge finished builds into one as `dsbuild merge` does, with the same options and defaults.

    The same call finishes a merge that was stopped. Nothing is printed.

    Args:
      builds: folders of TFRecords, two or more; a text `NAME=PATH` also names one.
      out: the folder to write.
      map: a TOML, JSON, TSV or CSV that says which class each class of a build becomes; None if
        all builds have the same classes.
      ignore: the class of the map whose pixels are ignored.
      drop: extras and features to leave out, one or several.
      overwrite: whether to remove all that dsbuild wrote to `out` before.
      dry_run: whether to check everything and write nothing.
      runner: "local"; "dask", with its `scheduler`; or an engine.
      scheduler: address of a Dask scheduler, such as "tcp://host:8786".
      workers: processes; None for all cores.
      quiet: whether to hide the progress bar.
      note: called with each line that the command prints as a note.

    Returns:
      The classes and what became them, and what was written.

    Raises:
      PlanError: for builds or a map that do not fit together, and for a label value that has no
        place in the merge; nothing was written then.
      ShardError: for a damaged build.
      StorageError: if something cannot be read or written.
    """
    return run.merge(
        [os.fspath(build) for build in builds],
        os.fspath(out),
        map=None if map is None else os.fspath(map),
        ignore=ignore,
        drop=(drop,) if isinstance(drop, str) else tuple(drop),
        overwrite=overwrite,
        dry_run=dry_run,
        engine=engines.chosen(runner, scheduler, workers, quiet, note),
        note=note,
    )
