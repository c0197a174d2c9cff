"""The weights that a training begins with: of ImageNet, of a file, of DeepLab, of another run."""

import os
from collections.abc import Callable

import keras

from dsbuild import storage
from dsbuild.errors import TrainError
from dsbuild.train import checkpoint, model, runs
from dsbuild.train.facts import Facts
from dsbuild.train.model import slim
from dsbuild.train.settings import Settings

IMAGENET = "imagenet"
_LAST = "logits/"


def _is_run(path: str) -> bool:
    return storage.stamp(storage.join(path, runs.SETTINGS)) is not None


def _is_slim(path: str) -> bool:
    return os.path.isfile(f"{path}.index")


def backbone(asked: Settings) -> dict[str, str]:
    """Return the weights that a backbone is built with, for `model.build`.

    Raises TrainError where there is nothing that could be weights.
    """
    path = asked.weights
    if not path or _is_run(path) or _is_slim(path):
        return {}
    if path != IMAGENET and not os.path.isfile(path):
        raise TrainError(
            f"weights: {path}: found no file of Keras, no checkpoint of DeepLab ({path}.index) and "
            f"no run, expected one of them, or {IMAGENET}"
        )
    return {"weights": path}


def give(network: keras.Model, asked: Settings, known: Facts, talk: Callable[[str], None]) -> None:
    """Give a model the weights of a slim checkpoint or of another run, and hold layers.

    The last layer begins anew where the classes, `known`, are others.
    """
    path = asked.weights
    if path and _is_slim(path):
        found = slim.load(network, path)
        talk(
            f"{path}: loaded {len(found.loaded)} variables; {len(found.missing)} have nothing "
            f"there, {len(found.resized)} of the last layer are of other classes"
        )
    elif path and _is_run(path):
        _of_run(network, path, known, talk)
    if asked.freeze:
        model.freeze(network, *asked.freeze)
    if asked.freeze_batch_norm:
        model.freeze_batch_norm(network)


def _of_run(network: keras.Model, path: str, known: Facts, talk: Callable[[str], None]) -> None:
    values, _ = runs.weights(runs.file_of(path))
    variables = checkpoint.weights(network)
    other = runs.facts_of(path).classes != known.classes or any(
        name in values and values[name].shape != tuple(variables[name].shape)
        for name in variables
        if name.startswith(_LAST)
    )
    wanted = {
        name: one for name, one in variables.items() if not (other and name.startswith(_LAST))
    }
    checkpoint.restore(path, wanted, values)
    talk(
        f"{path}: loaded {len(wanted)} variables"
        + ("; the last layer is of other classes and begins anew" if other else "")
    )
