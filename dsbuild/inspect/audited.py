"""`dsbuild.audit`: a whole learned audit as one call."""

import os
from collections.abc import Callable
from typing import Any

from dsbuild import fields
from dsbuild.errors import PlanError, nearest
from dsbuild.format.folder import Folder, PathLike
from dsbuild.inspect import suspects_labelme
from dsbuild.inspect.html import run as pages
from dsbuild.inspect.html import suspects_page
from dsbuild.train.audit import run as auditing
from dsbuild.train.audit.defaults import MOST, TRAININGS
from dsbuild.train.audit.plan import Plan, settings
from dsbuild.train.audit.run import Found
from dsbuild.train.settings import Settings

Path = str | os.PathLike[str]
Talk = Callable[[str], None]


def _silent(_: str) -> None:
    """Say nothing."""


def beside(path: str) -> str:
    """Return the folder of an audit of data if nobody names one."""
    base = path.rstrip("/")
    return "audit" if base.endswith(".") else f"{base}-audit"


def audit(
    path: PathLike = "tfrecord",
    *,
    learn: bool = False,
    run: Path | None = None,
    out: Path | None = None,
    split: str = "",
    folds: int | None = None,
    group: str | None = None,
    side: int | None = None,
    most: int = MOST,
    seed: int = 0,
    samples: int | None = None,
    labelme: Path | None = None,
    from_run: Path | None = None,
    quiet: bool = True,
    note: Talk = _silent,
    talk: Talk = print,
    **options: Any,
) -> Found:
    """Find label errors as `dsbuild audit PATH` does, with the same options and defaults.

    The same call continues an audit that was stopped. Nothing is printed.

    Args:
      path: a folder that dsbuild wrote.
      learn: whether to train a model per fold, on the other folds.
      run: a finished run whose model judges instead.
      out: folder of the audit; by default the data's name with "-audit".
      split: what to audit, such as "train[:10%]+val"; by default all labelled records, or with
        `run` those that it was not trained on.
      folds: number of folds, by default 4.
      group: what stays in one fold: "folder", or a pattern (regex) of keys.
      side: longest side, in pixels, at which images are judged, by default 513.
      most: suspects in the list.
      seed: seed for the folds and the trainings.
      samples: suspects that the page shows as pictures, by default 48.
      labelme: folder for LabelMe files of the listed suspects.
      from_run: a run whose settings the trainings take.
      quiet: whether to print no lines and show no progress.
      note: called with each line that the command prints as a note.
      talk: called with each line about a training, unless `quiet`.
      options: settings of the trainings: backbone, weights, crop, rates, batch, epochs, rate,
        image_range.

    Returns:
      `suspects`, the most likely errors first, and `report`, which `audit.json` holds.

    Raises:
      PlanError: for options that are wrong or contradict each other.
      TrainError: for data that cannot be audited, and for trouble in a training.
    """
    folder = Folder.of(path)
    where = os.fspath(out or beside(folder.path))
    if learn == (run is not None):
        raise PlanError("learn, run: expected one of them")
    for name in options:
        if name not in TRAININGS:
            expected = ", ".join(TRAININGS)
            near = nearest(name, TRAININGS)
            raise PlanError(f"found option {name}, expected one of {expected}{near}")
    known = fields.named(Settings)
    asked = {known[name].name: value for name, value in options.items() if value is not None}
    chosen: dict[str, Any] = {"folds": folds, "group": group, "side": side}
    given = {name: value for name, value in chosen.items() if value is not None}
    trained = [*(given.keys() - {"side"}), *(["from_run"] if from_run else []), *asked]
    if run is not None and trained:
        word = min(trained).replace("_", "-")
        raise PlanError(f"--{word} is for the trainings of --learn; omit it with --run")
    plan = Plan(
        run=None if run is None else os.fspath(run),
        settings=settings(None if from_run is None else os.fspath(from_run), seed, asked),
        split=split,
        seed=seed,
        **given | ({} if learn else {"folds": 1}),
    )
    repair = None if labelme is None else os.fspath(labelme)
    if repair is not None:
        suspects_labelme.check(folder, repair)
    found = auditing.audit(folder, where, plan, most=most, talk=talk, note=note, quiet=quiet)
    pages.write(suspects_page.path_of(where), suspects_page.make(folder, where, samples))
    if repair is not None:
        suspects_labelme.write(folder, where, repair)
    return found
