"""Find label errors: train on all folds but one, look at that one, compare with its labels.

What every step makes is kept in the folder of the audit, so an audit that was stopped continues
with the fold, and the checkpoint, that it was at.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras

from dsbuild import engines, storage
from dsbuild.format.folder import Folder, PathLike
from dsbuild.train import dataset, runs
from dsbuild.train.audit import plan, planes, suspects
from dsbuild.train.audit.folds import Division, divide, twins
from dsbuild.train.audit.look import seen
from dsbuild.train.audit.plan import Plan
from dsbuild.train.audit.planes import Seen
from dsbuild.train.audit.ranking import ranked
from dsbuild.train.audit.suspects import Suspect, confidences, folder_of
from dsbuild.train.audit.thresholds import Thresholds
from dsbuild.train.dataset import Facts
from dsbuild.train.fit import run as fit
from dsbuild.train.predict.predictor import Predictor

_LEARNED = 0.5  # mean confidence in labels, below which a note says that models are poor

Talk = Callable[[str], None]


@dataclass(frozen=True)
class Found:
    """What an audit found: the suspects, the most likely errors first, and its report."""

    suspects: Sequence[Suspect]
    report: dict[str, Any]


def audit(
    path: PathLike,
    out: str,
    how: Plan,
    *,
    most: int = 1000,
    talk: Talk = print,
    note: Talk = lambda _: None,
    quiet: bool = False,
) -> Found:
    """Audit the labels of a folder; write the list of suspects and return it.

    Args:
      path: the folder of TFRecords that dsbuild wrote.
      out: the folder of the audit; one with the same plan and data is continued.
      how: the plan.
      most: how many suspects to list.
      talk: prints a line.
      note: prints what is worth knowing about the result.
      quiet: print no lines, and show no progress.

    Raises TrainError, or another DsbuildError, for invalid input.
    """
    folder = Folder.of(path)
    facts = dataset.of(folder)
    plan.check(how, folder, facts, out)
    classes = len(facts.classes)
    barred = twins(folder, plan.trained(how, folder, facts))
    wanted, dealt = plan.wanted(how, folder), (how.folds, how.seed, how.group)
    division = divide(folder, wanted, classes, *dealt, () if how.split else barred)
    known = len(barred & twins(folder, wanted)) if how.split and barred else 0
    made = plan.document(how, folder, facts)
    notes = plan.notes(how, folder, facts, division, known)
    for line in notes:
        note(line)
    with storage.lock(storage.join(out, runs.ROOM, "lock"), talk):
        plan.begin(out, made)
        for fold in range(division.count):
            _fold(how, made, out, folder, facts, division, fold, talk, quiet)
        thresholds = Thresholds.over(_all(out, division, quiet, "thresholds"), classes)
        if thresholds.mean < _LEARNED:
            weak = (
                f"mean confidence in the labels is {thresholds.mean:.0%}: models have learned "
                "little, and most suspects are mistakes of theirs; train longer, or from better "
                "--weights"
            )
            notes = [*notes, weak]
            note(weak)
        records = _numbered(out, division, quiet)
        found, total = ranked(records, thresholds.limits, facts.classes, most)
        report = {
            **made,
            "records": sum(division.sizes()),
            "unlabelled": division.unlabelled(),
            "repeated": division.repeated(),
            "classes": [
                {"name": name, "pixels": int(count), "threshold": value}
                for name, count, value in zip(
                    facts.classes, thresholds.counts, thresholds.values, strict=True
                )
            ],
            "limits": thresholds.limits.tolist(),
            "notes": notes,
            "suspects": total,
            "listed": len(found),
        }
        suspects.write(out, found, report)
    return Found(found, report)


def _fold(
    how: Plan,
    made: Mapping[str, Any],
    out: str,
    folder: Folder,
    facts: Facts,
    division: Division,
    fold: int,
    talk: Talk,
    quiet: bool,
) -> None:
    """Write the confidences of a fold, unless they are there."""
    unknown = [] if facts.ignore is None else [facts.ignore]
    unknown += division.unseen(fold) if how.run is None else []
    count = division.sizes()[fold]
    about = {**made, "fold": fold, "unknown": unknown, "records": count}
    path = confidences(out, fold)
    if planes.about(path) == about:
        return
    trained = _model(how, out, folder, division, fold, talk, quiet)
    title = "look" if how.run else f"look at fold {fold + 1} of {division.count}"
    with engines.Bar(count, title, "records", quiet) as bar:
        predictor = Predictor(trained)
        planes.write(
            path,
            about,
            seen(predictor, folder, division, fold, unknown, how.side, lambda: bar.advance(1, 0)),
        )
    keras.utils.clear_session(free_memory=False)


def _model(
    how: Plan, out: str, folder: Folder, division: Division, fold: int, talk: Talk, quiet: bool
) -> runs.Trained:
    """Return the model that judges a fold, trained on the other folds."""
    if how.run is not None:
        return runs.load(how.run)
    if not quiet:
        talk(f"fold {fold + 1} of {division.count}")
    run = storage.join(folder_of(out, fold), "run")
    settings = replace(how.settings, split=division.rest(fold), val="")
    fit.train(folder, run, settings, talk=talk, quiet=quiet)
    return runs.load(run)


def _numbered(out: str, division: Division, quiet: bool) -> Iterator[tuple[int, Seen]]:
    """Yield all records, each with its fold."""
    with engines.Bar(sum(division.sizes()), "rank", "records", quiet) as bar:
        for fold in range(division.count):
            for one in planes.read(confidences(out, fold)):
                yield fold, one
                bar.advance(1, 0)


def _all(out: str, division: Division, quiet: bool, title: str) -> Iterator[Seen]:
    with engines.Bar(sum(division.sizes()), title, "records", quiet) as bar:
        for fold in range(division.count):
            for one in planes.read(confidences(out, fold)):
                yield one
                bar.advance(1, 0)
