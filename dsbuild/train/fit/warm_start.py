"""The weights that a training begins with: of ImageNet, of a file, of DeepLab, of another run."""

import dataclasses
import os
from collections.abc import Callable

import keras

from dsbuild import storage
from dsbuild.errors import TrainError
from dsbuild.train import checkpoint, model, runs
from dsbuild.train.dataset import Facts
from dsbuild.train.model import slim_checkpoint
from dsbuild.train.settings import Settings

IMAGENET = "imagenet"
_LAST = "logits/"
_PREFIXES = {"all": "", "backbone": "backbone_"}  # what of a checkpoint's or a run's is taken


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


def fitted(asked: Settings) -> Settings:
    """Return the settings with channels rounded as a checkpoint of DeepLab has them."""
    if asked.width == 1 or not asked.weights or not _is_slim(asked.weights):
        return asked
    return dataclasses.replace(
        asked, width_multiple=slim_checkpoint.multiple(asked.weights, asked.width)
    )


def give(network: keras.Model, asked: Settings, known: Facts, talk: Callable[[str], None]) -> None:
    """Give a model the weights of a slim checkpoint or of another run, and hold layers.

    The last layer begins anew where the classes, `known`, are others.
    """
    path, prefix = asked.weights, _PREFIXES[asked.initialize]
    if path and _is_slim(path):
        found = slim_checkpoint.load(network, path, prefix)
        talk(_told(path, found))
    elif path and _is_run(path):
        _of_run(network, path, prefix, known, talk)
    if asked.freeze:
        model.freeze(network, *asked.freeze)
    if asked.freeze_batch_norm:
        model.freeze_batch_norm(network)


def _told(path: str, found: slim_checkpoint.Loaded) -> str:
    words = [f"{path}: loaded {len(found.loaded)} variables"]
    if found.missing:
        words.append(f"{len(found.missing)} of the model begin at random")
    if found.resized:
        words.append("the last layer is of other classes and begins anew")
    return "; ".join(words)


def _of_run(
    network: keras.Model, path: str, prefix: str, known: Facts, talk: Callable[[str], None]
) -> None:
    values, _ = runs.weights(runs.file_of(path))
    variables = checkpoint.weights(network)
    other = runs.facts_of(path).classes != known.classes or any(
        name in values and values[name].shape != tuple(variables[name].shape)
        for name in variables
        if name.startswith(_LAST)
    )
    variables = {name: one for name, one in variables.items() if name.startswith(prefix)}
    wanted = {
        name: one for name, one in variables.items() if not (other and name.startswith(_LAST))
    }
    checkpoint.restore(path, wanted, values)
    talk(
        f"{path}: loaded {len(wanted)} variables"
        + ("; the last layer is of other classes and begins anew" if wanted != variables else "")
    )
