"""How an audit is done: folds and the training of each, or the model of a finished run."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsbuild import storage
from dsbuild.errors import TrainError
from dsbuild.format import manifest
from dsbuild.format.documents import dump
from dsbuild.format.folder import Folder
from dsbuild.reader import records, splits
from dsbuild.train import described, image_range, runs
from dsbuild.train.audit.defaults import FOLDS, SETTINGS, SIDE
from dsbuild.train.audit.folds import Division
from dsbuild.train.dataset import Facts
from dsbuild.train.settings import Settings

PLAN = "plan.json"
FORMAT = 1  # of confidences; raised when the same plan gives others
_MOST = 100  # folds
_FEW = 5  # classes that a note names

Note = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A plan of an audit.

    Attributes:
      run: the folder of a run whose model judges; None to train one model per fold.
      folds: how many, 1 with a run.
      settings: of the training of each fold; split and val are of no account.
      split: what to audit, such as `train` or `train[:10%]+val`; empty for all labelled records,
        or with a run for those that it was not trained on.
      group: see `folds.divide`.
      seed: of the division into folds.
      side: longest side, in pixels, at which images are predicted.
    """

    run: str | None = None
    folds: int = FOLDS
    settings: Settings = field(default_factory=lambda: Settings(**SETTINGS))
    split: str = ""
    group: str = ""
    seed: int = 0
    side: int = SIDE

    def __post_init__(self) -> None:
        least = 2 if self.run is None else 1
        if not least <= self.folds <= _MOST:
            raise TrainError(f"folds: found {self.folds}, expected {least} to {_MOST}")
        if self.side < 1:
            raise TrainError(f"side: found {self.side}, expected at least 1")


def check(how: Plan, folder: Folder, facts: Facts, out: str) -> None:
    """Raise TrainError if the data cannot be audited, or not with the model of the run."""
    if storage.inside(out, folder.path):
        raise TrainError(
            f"{out}: found a folder inside the data, {folder.path}, expected another; name one by "
            "--out"
        )
    if facts.task != "segmentation":
        raise TrainError(
            f"{folder.path}: found images by class, expected labels of pixels; the learned audit "
            "compares regions"
        )
    facts.learnable(folder.path)
    if how.run is not None:
        settings, own = described.described(how.run)
        own.expect(facts, folder.path)
        image_range.expect(settings, folder)


def wanted(how: Plan, folder: Folder) -> dict[str, NDArray[np.bool_]]:
    """Return split -> which of its records to audit: bool (n,)."""
    counts = _counts(folder)
    return _masks(splits.ranges(how.split or "+".join(counts), counts), counts)


def trained(how: Plan, folder: Folder, facts: Facts) -> dict[str, NDArray[np.bool_]]:
    """Return split -> which of its records the run was trained on; nothing of other data."""
    if how.run is None:
        return {}
    settings, own = described.described(how.run)
    if own.digest != facts.digest:
        return {}
    counts = _counts(folder)
    return _masks(splits.ranges(settings.split, counts), counts)


def _counts(folder: Folder) -> dict[str, int]:
    return {name: sum(files.values()) for name, files in records.find(folder).items()}


def _masks(
    ranges: Iterable[splits.Range], counts: Mapping[str, int]
) -> dict[str, NDArray[np.bool_]]:
    made: dict[str, NDArray[np.bool_]] = {}
    for one in ranges:
        mask = made.setdefault(one.split, np.zeros(counts[one.split], bool))
        mask[one.start : one.stop] = True
    return made


def document(how: Plan, folder: Folder, facts: Facts) -> dict[str, Any]:
    """Return what the confidences of an audit depend on, as a JSON document."""
    judge: dict[str, Any]
    if how.run is None:
        settings = how.settings.document()
        judge = {"settings": {n: v for n, v in settings.items() if n not in ("split", "val")}}
        judge["seed"] = how.seed
    else:
        weights = storage.sha256(runs.file_of(how.run))[0]
        judge = {"run": described.absolute(how.run), "weights": weights}
    made = {
        "format": FORMAT,
        "data": described.absolute(folder.path),
        "digest": facts.digest,
        "folds": how.folds,
        "group": how.group,
        "split": how.split,
        "side": how.side,
        **judge,
    }
    return dict(json.loads(dump(made)))  # as it is read back: tuples are lists


def begin(out: str, plan: Mapping[str, Any]) -> None:
    """Keep the plan of an audit in its folder; raise TrainError if that is of another one."""
    path = storage.join(out, PLAN)
    if storage.stamp(path) is None:
        there = [name for name in storage.names(out) if name != runs.ROOM]
        if there:
            raise TrainError(
                f"{out}: found {there[0]}, expected an empty folder, or that of an audit; name "
                "another by --out"
            )
        storage.write(path, described.json_bytes(plan))
        return
    before = manifest.parse(storage.read(path)[0], path)
    for name in plan:
        same = isinstance(before, Mapping) and before.get(name) == plan[name]
        if not same and name == "digest":
            raise TrainError(
                f"{out}: this audit is of other data, or the data has been built again since; name "
                "another folder by --out"
            )
        if not same and name != "data":  # which may have been moved
            raise TrainError(
                f"{out}: this audit has {_said(name, before, plan)}; found "
                f"{_said(name, plan, before)}; give the same to continue it, or another folder by "
                "--out"
            )


def _said(name: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """Return a part of a plan in words; of settings those that differ from another plan's."""
    value, others = one.get(name), other.get(name)
    if not isinstance(value, Mapping) or not isinstance(others, Mapping):
        return f"{name} {value!r}"
    differ = [key for key in value if value[key] != others.get(key)]
    return ", ".join(f"{key} {value[key]!r}" for key in differ)


def notes(how: Plan, folder: Folder, facts: Facts, division: Division, known: int) -> list[str]:
    """Return what is worth knowing first; `known` records were in the training of the run."""
    if how.run is not None and described.facts_of(how.run).digest != facts.digest:
        if described.rebuilt(how.run, folder.path):
            other = f"{folder.path} has been built again since {how.run} was trained on it, so the"
        else:
            other = f"{how.run} was trained on another build; if that has these records, too, the"
        return [
            f"{other} model may have learned from the labels that it judges here; a model repeats "
            "errors that it has learned, so --learn finds more of them"
        ]
    if how.run is not None and known:
        return [
            f"{known:,} of {sum(division.sizes()):,} records are among those that {how.run} was "
            "trained on; a model repeats errors that it has learned, so --learn finds more of them"
        ]
    if how.run is not None:
        return []
    held = division.held.sum(0)
    absent = [facts.classes[i] for i in np.flatnonzero(held == 0)]
    alone = sorted({i for fold in range(division.count) for i in division.unseen(fold)})
    made = []
    if absent:
        made.append(f"{_few(absent)}: no label has it, so it is never suggested")
    if alone:
        names = [facts.classes[i] for i in alone]
        made.append(
            f"{_few(names)}: only labels of one fold have it, so no model learned it for that fold "
            "and its regions are not judged; more folds, or another seed, may change that"
        )
    return made


def _few(names: Sequence[str]) -> str:
    more = f", and {len(names) - _FEW:,} more" if len(names) > _FEW else ""
    return f"{'class' if len(names) == 1 else 'classes'} {', '.join(names[:_FEW])}{more}"


def settings(run: str | None, seed: int, asked: Mapping[str, Any]) -> Settings:
    """Return the settings of the trainings: what is asked for, else a run's, else small ones."""
    base = described.settings_of(run).document() if run is not None else dict(SETTINGS)
    if "epochs" in asked:
        base["steps"] = None
    return Settings(**{**base, "patience": 0, "seed": seed, **asked})
