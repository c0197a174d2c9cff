"""The weights that a training begins with: of ImageNet, of a file, of DeepLab, of another run."""

import os
from collections.abc import Callable

import keras

from dsbuild import storage
from dsbuild.train import checkpoint, model, runs
from dsbuild.train.model import slim
from dsbuild.train.settings import Settings

_LAST = "logits/"


def _is_run(path: str) -> bool:
    return storage.stamp(storage.join(path, runs.SETTINGS)) is not None


def _is_slim(path: str) -> bool:
    return os.path.isfile(f"{path}.index")


def backbone(asked: Settings) -> dict[str, str]:
    """Return the weights that a backbone is built with, for `model.build`."""
    if not asked.weights or _is_run(asked.weights) or _is_slim(asked.weights):
        return {}
    return {"weights": asked.weights}


def give(network: keras.Model, asked: Settings, talk: Callable[[str], None]) -> None:
    """Give a model the weights of a slim checkpoint or of another run, and hold layers."""
    path = asked.weights
    if path and _is_slim(path):
        found = slim.load(network, path)
        talk(
            f"{path}: loaded {len(found.loaded)} variables; {len(found.missing)} have nothing "
            f"there, {len(found.resized)} of the last layer are of other classes"
        )
    elif path and _is_run(path):
        best, last = (storage.join(path, name) for name in (runs.BEST, runs.LAST))
        values, _ = checkpoint.load(best if storage.stamp(best) is not None else last)
        variables = checkpoint.names(network.variables)
        other = [
            name
            for name, variable in variables.items()
            if name.startswith(_LAST)
            and name in values
            and values[name].shape != tuple(variable.shape)
        ]
        left = {name for name in variables if name.startswith(_LAST)} if other else set()
        wanted = {name: one for name, one in variables.items() if name not in left}
        checkpoint.restore(path, wanted, values)
        talk(
            f"{path}: loaded {len(wanted)} variables"
            + ("; the last layer is of other classes and begins anew" if left else "")
        )
    if asked.freeze:
        model.freeze(network, *asked.freeze)
    if asked.freeze_batch_norm:
        model.freeze_batch_norm(network)
