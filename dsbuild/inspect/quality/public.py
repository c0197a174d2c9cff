"""`dsbuild.check`: the quality sheet of a folder as one call."""

import os
import warnings

from dsbuild import engines
from dsbuild.engines import Engine
from dsbuild.errors import StorageError
from dsbuild.format.folder import PathLike
from dsbuild.inspect.quality import rules as rule_sets
from dsbuild.inspect.quality import sheet
from dsbuild.inspect.quality.sheet import Sheet

Path = str | os.PathLike[str]


def check(
    path: PathLike = "tfrecord",
    *,
    rules: Path | None = None,
    against: PathLike | None = None,
    html: Path | None = None,
    runner: str | Engine = "local",
    scheduler: str | None = None,
    workers: int | None = None,
    quiet: bool = True,
) -> Sheet:
    """Return a verdict on TFRecords by rules, as `dsbuild check PATH --json` prints it.

    Nothing is printed. The sheet is kept in a folder that dsbuild wrote, for `dsbuild inspect`.

    Args:
      path: a folder of TFRecords, or one file.
      rules: a TOML file with limits; None for the default rules.
      against: a build to compare the shares of the classes with.
      html: file to write the sheet to as a page.
      runner: "local"; "dask", with its `scheduler`; or an engine.
      scheduler: address of a Dask scheduler, such as "tcp://host:8786".
      workers: processes; None for all cores.
      quiet: whether to hide the progress bar.

    Returns:
      A document whose "verdict" is "pass", "warn" or "fail", with that of each rule.

    Raises:
      PlanError: for a rule that does not exist, or a limit that makes no sense.
      ShardError: if there is no TFRecord.

    Example:
      >>> dsbuild.check("tfrecord")["rules"][0]["rule"]
      'damage'
    """
    chosen = rule_sets.Rules() if rules is None else rule_sets.load(os.fspath(rules))
    engine = engines.chosen(runner, scheduler, workers, quiet)
    made = sheet.check(path, chosen, against, engine)
    if html is not None:
        from dsbuild.inspect.html import run, sheet_page

        run.write(os.fspath(html), sheet_page.page(made))
    try:
        sheet.keep(made)
    except StorageError as error:  # the caller has the sheet, and it can be made again
        warnings.warn(f"the sheet is not kept: {error}", stacklevel=2)
    return made
