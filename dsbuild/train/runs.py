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
import platform
from dataclasses import dataclass
from typing import Any

import keras

from dsbuild import __version__, storage
from dsbuild.errors import TrainError
from dsbuild.train import checkpoint, model
from dsbuild.train.checkpoint import Values
from dsbuild.train.dataset import Facts
from dsbuild.train.described import RUN, SETTINGS, absolute, described, exists, json_bytes
from dsbuild.train.model.seeds import layer_seeds
from dsbuild.train.settings import Settings

LOG = "log.csv"
METRICS = "metrics.json"
EVENTS = "events"
LAST, BEST = "last.npz", "best.npz"
ROOM = ".dsbuild"  # the folder of the lock
AVERAGED = "averaged/"  # prefix of averaged weights in a checkpoint

_SAME = (  # settings that are arguments of `model.build` under the same name
    "backbone",
    "output_stride",
    "dilate_first",
    "pixels",
    "width",
    "width_multiple",
    "rates",
    "depth",
    "separable",
    "decoder",
    "aspp_window",
    "gradient",
    "merge",
    "align_corners",
    "multi_grid",
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
    for name in ("gradient", "pyramid", "auxiliary"):
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
    before, data = described(run)
    if not exists(run, LAST):
        return False
    if data.task == "segmentation":  # earlier versions kept any crop
        before = dataclasses.replace(before, crop=before.aligned)
    given, kept = settings.document(), before.document()
    other = [name for name in kept | given if kept.get(name) != given.get(name)]
    if other:
        has, found = (
            ", ".join(f"{name} {values.get(name)!r}" for name in other) for values in (kept, given)
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
    description = ({} if data is None else {"data": absolute(data)}) | {
        "facts": facts.document(),
        "architecture": architecture(settings, facts),
        "versions": versions(),
    }
    storage.write_all(
        {
            storage.join(run, SETTINGS): json_bytes(settings.document()),
            storage.join(run, RUN): json_bytes(description),
        }
    )


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
    settings, facts = described(run)
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
    names = [name for name in (which or BEST, which or LAST) if exists(run, name)]
    if not names:
        raise TrainError(f"{run}: found no weights yet; run `dsbuild train` to its first score")
    return storage.join(run, names[0])
