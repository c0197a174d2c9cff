"""The folder of a run: its settings, the facts of its data, its weights and scores.

settings.json      the settings
run.json           the data set's facts and its folder, the architecture, versions
log.csv            one line per checkpoint
last.npz           weights, their averages, the optimiser's state, the step: what a run resumes from
best.npz           the weights of the best score
metrics.json       the final metrics, written when the run is finished
events/            for TensorBoard, on request
"""

import dataclasses
import importlib.metadata
import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras

from dsbuild import __version__, storage
from dsbuild.errors import ShardError, TrainError
from dsbuild.format import manifest
from dsbuild.train import checkpoint, dataset, model
from dsbuild.train.checkpoint import Values
from dsbuild.train.dataset import Facts
from dsbuild.train.model.seeds import layer_seeds
from dsbuild.train.settings import Settings
from dsbuild.train.settings import read as read_settings

SETTINGS = "settings.json"
RUN = "run.json"
LOG = "log.csv"
METRICS = "metrics.json"
EVENTS = "events"
LAST, BEST = "last.npz", "best.npz"
ROOM = ".dsbuild"  # the folder of the lock
_DATA = "tfrecord"  # the folder of TFRecords, if none is named
AVERAGED = "averaged/"  # prefix of averaged weights in a checkpoint

_SAME = (  # settings that are arguments of `model.build` under the same name
    "backbone",
    "output_stride",
    "width",
    "width_multiple",
    "rates",
    "depth",
    "separable",
    "decoder",
    "gradient",
    "merge",
    "align_corners",
    "dropout",
    "momentum",
)


@dataclass(frozen=True)
class Trained:
    """A model with its weights, and what it was trained on.

    Attributes:
      model: takes RGB of 0..255 and returns logits, see `model.build`.
      settings: those of the run.
      facts: those of its data.
      step: the training step of the weights.
    """

    model: keras.Model
    settings: Settings
    facts: Facts
    step: int


def architecture(settings: Settings, facts: Facts) -> dict[str, Any]:
    """Return the arguments of `model.build` for a data set."""
    classes = len(facts.classes)
    if settings.sigmoid and classes != 2:
        raise TrainError(f"sigmoid: found {classes} classes, expected 2")
    for name in ("gradient", "pyramid"):
        value, default = getattr(settings, name), getattr(Settings, name)
        if facts.task != "segmentation" and value != default:
            raise TrainError(f"{name}: found {value!r}, expected {default!r} for classification")
    return {name: getattr(settings, name) for name in _SAME} | {
        "classes": 1 if settings.sigmoid else classes,
        "scales": settings.pyramid,
        "task": facts.task,
        "synchronized": settings.synchronized and keras.backend.backend() == "tensorflow",
    }


def resumable(run: str, settings: Settings, facts: Facts) -> bool:
    """Tell whether the folder of a run has a checkpoint to resume from.

    Raises TrainError if the folder is something else, or has other settings or data. A run that
    was stopped before its first checkpoint may start again with others.
    """
    if not storage.is_folder(run) and storage.stamp(run) is not None:
        raise TrainError(f"{run}: found a file, expected the folder of a run; name another")
    if not (storage.is_folder(run) and set(storage.names(run)) - {ROOM}):
        return False
    before, data = _described(run)
    if not _exists(run, LAST):
        return False
    if data.task == "segmentation":  # earlier versions kept any crop
        before = dataclasses.replace(before, crop=before.aligned)
    given, kept = settings.document(), before.document()
    other = [name for name in kept if kept[name] != given[name]]
    if other:
        has, found = (
            ", ".join(f"{name} {values[name]!r}" for name in other) for values in (kept, given)
        )
        raise TrainError(
            f"{run}: this run has {has}; found {found}; give the same settings to resume it, or "
            "another folder"
        )
    if data.digest != facts.digest:
        raise TrainError(
            f"{run}: this run was trained on other data, or the data has been built again since; "
            "give another folder"
        )
    return True


def begin(run: str, settings: Settings, facts: Facts, data: str | None = None) -> None:
    """Write the description of a run into its folder; remove what an earlier start left there.

    `data` is the folder that it is trained on.
    """
    storage.remove(*(storage.join(run, name) for name in (LAST, BEST, LOG, METRICS)))
    storage.remove_folder(storage.join(run, EVENTS))
    description = ({} if data is None else {"data": _absolute(data)}) | {
        "facts": facts.document(),
        "architecture": architecture(settings, facts),
        "versions": versions(),
    }
    storage.write_all(
        {
            storage.join(run, SETTINGS): _json(settings.document()),
            storage.join(run, RUN): _json(description),
        }
    )


def keep_data(run: str, data: str) -> None:
    """Note the folder that a run is now trained on, if it was moved since, or was never noted."""
    path = storage.join(run, RUN)
    description = _parsed(path)
    if description.get("data") != _absolute(data):
        storage.write(path, _json({**description, "data": _absolute(data)}))


def data_of(run: str, remedy: str = "dsbuild evaluate RUN DATA") -> str:
    """Return the folder that a run was trained on.

    A run of an older version does not say; then it is `tfrecord`, if there is such a folder.
    Raises TrainError if the folder is not there any more, or not known; `remedy` is the command
    that names it.
    """
    _described(run)
    data = _parsed(storage.join(run, RUN)).get("data")
    if data is None and not _exists(_DATA, manifest.NAME):
        raise TrainError(
            f"{run}: this run does not say what it was trained on; name the folder: {remedy}"
        )
    if data is not None and not (isinstance(data, str) and _exists(data, manifest.NAME)):
        raise TrainError(
            f"{run}: it was trained on {data}, where there is no finished folder of TFRecords now; "
            f"if it was moved, name the folder: {remedy}"
        )
    return data or _DATA


def _absolute(path: str) -> str:
    """Return a path or URL that means the same in every folder."""
    return storage.normal(path if storage.is_remote(path) else os.path.abspath(path))


def versions() -> dict[str, str]:
    """Return the versions that the numbers of a run may depend on, by name."""
    found = {"dsbuild": __version__, "python": platform.python_version()}
    found["backend"] = keras.backend.backend()
    for name in ("keras", "numpy", "tensorflow", "tensorflow_cpu", "torch"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def load(run: str, which: str | None = None, output_stride: int | None = None) -> Trained:
    """Return the model of a run with its best weights, or the last if none were scored.

    `which` is BEST or LAST. With an output stride the same weights compute finer or coarser
    features than in training. Raises TrainError if there is no run, or if it has no weights yet.
    """
    settings, facts = _described(run)
    path = file_of(run, which)
    if output_stride is not None:
        settings = dataclasses.replace(settings, output_stride=output_stride)
    # Only training shares statistics among devices, and only on TensorFlow.
    options = architecture(settings, facts) | {"synchronized": False}
    with layer_seeds():
        network = model.build(**options)
    values, meta = weights(path)
    checkpoint.restore(path, checkpoint.weights(network), values)
    return Trained(network, settings, facts, meta["step"])


def weights(path: str) -> tuple[Values, dict[str, Any]]:
    """Return the weights of a checkpoint to predict with: averaged ones, if it has some.

    The second value is the checkpoint's meta data, such as its step.
    """
    values, meta = checkpoint.load(path)
    averaged = {
        name.removeprefix(AVERAGED): value
        for name, value in values.items()
        if name.startswith(AVERAGED)
    }
    return values | averaged, meta


def file_of(run: str, which: str | None = None) -> str:
    """Return the path of the weights of a run; raise TrainError if it has none yet."""
    names = [name for name in (which or BEST, which or LAST) if _exists(run, name)]
    if not names:
        raise TrainError(f"{run}: found no weights yet; run `dsbuild train` to its first score")
    return storage.join(run, names[0])


def facts_of(run: str) -> Facts:
    """Return the facts of the data of a run."""
    return _described(run)[1]


def settings_of(run: str) -> Settings:
    """Return the settings of a run."""
    return _described(run)[0]


def _exists(run: str, name: str) -> bool:
    return storage.stamp(storage.join(run, name)) is not None


def _described(run: str) -> tuple[Settings, Facts]:
    """Return the settings of a run, and the facts of its data."""
    if not _exists(run, SETTINGS) or not _exists(run, RUN):
        if not storage.is_folder(run):
            raise TrainError(f"{storage.missing(run)}; expected the folder of a run")
        held = (
            "a folder of TFRecords" if _exists(run, manifest.NAME) else f"no {SETTINGS} and {RUN}"
        )
        raise TrainError(f"{run}: found {held}, expected the folder of a run of `dsbuild train`")
    settings_path, path = storage.join(run, SETTINGS), storage.join(run, RUN)
    settings, description = _parsed(settings_path), _parsed(path)
    facts = description.get("facts") if isinstance(description, Mapping) else None
    return read_settings(settings, settings_path), dataset.read(facts, path)


def _parsed(path: str) -> Any:
    try:
        return manifest.parse(storage.read(path)[0], path)
    except ShardError as error:
        raise TrainError(f"{path}: found damaged JSON; train again into another folder") from error


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, indent=2).encode() + b"\n"
