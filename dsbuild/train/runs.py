"""The folder of a run: what was asked for, what it stands on, and the weights it came to.

settings.json      the settings
run.json           the data set's facts, the architecture, versions
log.csv            a line a score
last.npz           weights, averages of them, the optimiser's state, the step: where a run goes on
best.npz           the weights of the best score
metrics.json       what the run came to
events/            for TensorBoard, where it is asked for
"""

import dataclasses
import importlib.metadata
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from dsbuild import __version__, storage
from dsbuild.errors import ShardError, TrainError
from dsbuild.format import manifest
from dsbuild.train import checkpoint, dataset, model, settings
from dsbuild.train.dataset import Facts
from dsbuild.train.settings import Settings

SETTINGS, RUN, LOG, METRICS, EVENTS = (
    "settings.json",
    "run.json",
    "log.csv",
    "metrics.json",
    "events",
)
LAST, BEST = "last.npz", "best.npz"
ROOM = ".dsbuild"  # of the lock
AVERAGED = "averaged/"  # before the paths of weights


@dataclass(frozen=True)
class Trained:
    """A model with its weights, and what it was trained on.

    Attributes:
      model: takes RGB of 0..255 and gives logits, see `model.build`.
      settings: of the run.
      facts: of its data.
      step: after which the weights were kept.
    """

    model: keras.Model
    settings: Settings
    facts: Facts
    step: int


def architecture(asked: Settings, known: Facts) -> dict[str, Any]:
    """Return the settings of `model.build` for a data set."""
    classes = len(known.classes)
    if asked.sigmoid and classes != 2:
        raise TrainError(f"sigmoid: found {classes} classes, expected 2")
    pixels = known.task == "segmentation"
    for name in ("gradient", "pyramid"):
        value, default = getattr(asked, name), getattr(Settings, name)
        if not pixels and value != default:
            raise TrainError(
                f"{name}: found {value!r}, expected {default!r} where images are one class"
            )
    same = (
        "backbone",
        "output_stride",
        "width",
        "width_multiple",
        "rates",
        "depth",
        "separable",
        "decoder",
    )
    same += ("gradient", "merge", "align_corners", "dropout", "momentum")
    return {name: getattr(asked, name) for name in same} | {
        "classes": 1 if asked.sigmoid else classes,
        "scales": asked.pyramid,
        "task": known.task,
        "synchronized": asked.synchronized and keras.backend.backend() == "tensorflow",
    }


def stands(run: str, asked: Settings, known: Facts) -> bool:
    """Tell whether the folder of a run has a checkpoint to go on from.

    Raises TrainError where the folder is of something else, or of other settings or data. A run
    that was broken off before its first checkpoint may begin with others.
    """
    if not storage.is_folder(run) and storage.stamp(run) is not None:
        raise TrainError(f"{run}: found a file, expected the folder of a run; name another")
    if not (storage.is_folder(run) and set(storage.names(run)) - {ROOM}):
        return False
    was, had = _described(run)
    if not _stands(run, LAST):
        return False
    here = asked.document()
    if had.task == "segmentation":  # by a version that took any crop
        was = dataclasses.replace(was, crop=was.aligned)
    other = {name: one for name, one in was.document().items() if one != here[name]}
    if other:
        has, found = (
            ", ".join(f"{name} {values[name]!r}" for name in other) for values in (other, here)
        )
        raise TrainError(
            f"{run}: its run has {has}; found {found}; give the same settings to go on, or another "
            "folder"
        )
    if had.digest != known.digest:
        raise TrainError(
            f"{run}: its run is of other data, or the data was built anew; give another folder"
        )
    return True


def begin(run: str, asked: Settings, known: Facts) -> None:
    """Write what a run is into its folder; remove what one has left that ended before its time."""
    storage.remove(*(storage.join(run, name) for name in (LAST, BEST, LOG, METRICS)))
    storage.remove_folder(storage.join(run, EVENTS))
    about = {
        "facts": known.document(),
        "architecture": architecture(asked, known),
        "versions": versions(),
    }
    storage.write_all(
        {
            storage.join(run, SETTINGS): _text(asked.document()),
            storage.join(run, RUN): _text(about),
        }
    )


def versions() -> dict[str, str]:
    """Return what the numbers of a run may depend on, by name."""
    found = {"dsbuild": __version__, "python": platform.python_version()}
    found["backend"] = keras.backend.backend()
    for name in ("keras", "numpy", "tensorflow", "tensorflow_cpu", "torch"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def load(run: str, which: str | None = None, output_stride: int | None = None) -> Trained:
    """Return the model of a run with its best weights, or the last where none were scored.

    `which` is BEST or LAST. With an output stride the same weights compute finer or coarser
    features than they were trained with. Raises TrainError where there is no run, or none with
    weights.
    """
    asked, known = _described(run)
    path = file_of(run, which)
    if output_stride is not None:
        asked = dataclasses.replace(asked, output_stride=output_stride)
    # To share statistics among devices is of training, and of TensorFlow alone.
    network = model.build(**architecture(asked, known) | {"synchronized": False})
    values, meta = weights(path)
    checkpoint.restore(path, checkpoint.weights(network), values)
    return Trained(network, asked, known, meta["step"])


def weights(path: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the weights of a checkpoint that a model is used with, averaged ones if it has some.

    The second value is what belongs to it, such as its step.
    """
    values, meta = checkpoint.load(path)
    averaged = {
        name.removeprefix(AVERAGED): one
        for name, one in values.items()
        if name.startswith(AVERAGED)
    }
    return values | averaged, meta


def file_of(run: str, which: str | None = None) -> str:
    """Return the path of the weights of a run; raise TrainError where it has none yet."""
    found = [name for name in (which or BEST, which or LAST) if _stands(run, name)]
    if not found:
        raise TrainError(f"{run}: found no weights yet; run `dsbuild train` to its first score")
    return storage.join(run, found[0])


def facts_of(run: str) -> Facts:
    """Return the facts of the data of a run."""
    return _described(run)[1]


def settings_of(run: str) -> Settings:
    """Return the settings of a run."""
    return _described(run)[0]


def _stands(run: str, name: str) -> bool:
    return storage.stamp(storage.join(run, name)) is not None


def _described(run: str) -> tuple[Settings, Facts]:
    """Return the settings of a run, and the facts of its data."""
    if not _stands(run, SETTINGS) or not _stands(run, RUN):
        raise TrainError(f"{run}: found no {SETTINGS} and {RUN}, expected the folder of a run")
    asked, about = (_parsed(storage.join(run, name)) for name in (SETTINGS, RUN))
    path = storage.join(run, RUN)
    found = about.get("facts") if isinstance(about, Mapping) else None
    return settings.read(asked, storage.join(run, SETTINGS)), dataset.read(found, path)


def _parsed(path: str) -> Any:
    try:
        return manifest.parse(storage.read(path)[0], path)
    except ShardError as error:
        raise TrainError(f"{path}: found damaged JSON; train again into another folder") from error


def _text(document: Any) -> bytes:
    return json.dumps(document, indent=2).encode() + b"\n"
