"""The first weights of a training: from ImageNet, DeepLab, other trainers, or a run."""

import dataclasses
import os
from collections.abc import Callable

import keras

from dsbuild import storage
from dsbuild.errors import TrainError, nearest
from dsbuild.train import checkpoint, described, model, runs
from dsbuild.train.dataset import Facts
from dsbuild.train.model import slim_checkpoint
from dsbuild.train.model.backbones import scaling
from dsbuild.train.settings import Settings
from dsbuild.train.weights import files, zoo
from dsbuild.train.weights.mapping import Mapped

IMAGENET = "imagenet"
_LAST = "logits/"
_AUXILIARY = "auxiliary_"  # which most runs do not have
_PREFIXES = {"all": "", "backbone": "backbone_"}  # of the variables to load
_NEW_LAYER = "the last layer has other classes and starts from random weights"


def _is_run(path: str) -> bool:
    return storage.stamp(storage.join(path, described.SETTINGS)) is not None


def _is_slim(path: str) -> bool:
    return os.path.isfile(f"{path}.index")


def backbone(settings: Settings) -> dict[str, str]:
    """Return the weights that a backbone is built with, for `model.build`.

    Raises TrainError if there is nothing that could be weights.
    """
    path = zoo.located(settings.weights)
    if not path or _is_run(path) or _is_slim(path) or files.kind(path):
        return {}
    if path != IMAGENET and not os.path.isfile(path):
        raise TrainError(
            f"weights: {path}: found no file, no keras-hub preset, no DeepLab checkpoint "
            f"({path}.index) and no run, expected one of them, {IMAGENET}, or a name of published "
            f"weights: {', '.join(zoo.PUBLISHED)}{nearest(path, zoo.PUBLISHED)}"
        )
    return {"weights": path}


def fitted(settings: Settings) -> Settings:
    """Return the settings as the weights need them: how channels are rounded and pixels scaled.

    Raises TrainError if pixels are to be scaled otherwise.
    """
    path = zoo.located(settings.weights)
    if settings.width != 1 and path and _is_slim(path):
        multiple = slim_checkpoint.multiple(path, settings.width)
        settings = dataclasses.replace(settings, width_multiple=multiple)
    own, theirs = scaling(settings.backbone), _pixels(path, settings.backbone)
    _expect(settings.weights, theirs, settings.pixels)
    chosen = settings.pixels or theirs
    return dataclasses.replace(settings, pixels=None if chosen == own else chosen)


def _pixels(path: str, backbone: str) -> str | None:
    """Return how weights expect pixels to be scaled; None if they do not say."""
    if path and _is_run(path):
        before = described.settings_of(path)
        return scaling(before.backbone, before.pixels)
    if path == IMAGENET or (path and _is_slim(path)):
        return scaling(backbone)
    return files.pixels(path) if path and files.kind(path) else None


def _expect(weights: str, theirs: str | None, pixels: str | None) -> None:
    """Raise TrainError if pixels are scaled otherwise than weights expect."""
    if theirs and pixels and theirs != pixels:
        raise TrainError(
            f"pixels: found {pixels}, but {weights} was trained with {theirs}; leave --pixels out, "
            f"or with --from-run say --pixels {theirs}"
        )


def load(
    network: keras.Model, settings: Settings, facts: Facts, talk: Callable[[str], None]
) -> None:
    """Load the weights of a checkpoint or of another run into a model, and freeze layers.

    The last layer keeps its random weights if the classes differ.
    """
    path, prefix = zoo.located(settings.weights), _PREFIXES[settings.initialize]
    theirs = _pixels(path, settings.backbone)
    _expect(settings.weights, theirs, scaling(settings.backbone, settings.pixels))
    if path and _is_slim(path):
        talk(_slim_line(path, slim_checkpoint.load(network, path, prefix)))
    elif path and _is_run(path):
        _load_run(network, path, prefix, facts, talk)
    elif path and files.kind(path):
        talk(_foreign_line(path, files.load(network, path, settings, prefix), settings.pixels))
    if settings.freeze:
        model.freeze(network, *settings.freeze)
    if settings.freeze_batch_norm:
        model.freeze_batch_norm(network)
        kinds = {type(layer) for layer in model.named(network, _PREFIXES["backbone"])}
        if keras.layers.BatchNormalization not in kinds:
            talk(
                f"freeze_batch_norm: {settings.backbone} has no batch normalisation; only that of "
                "the head, if it has some, is frozen"
            )


def _slim_line(path: str, result: slim_checkpoint.Loaded) -> str:
    words = [f"{path}: loaded {len(result.loaded)} variables"]
    if result.missing:
        words.append(f"{len(result.missing)} variables of the model start from random weights")
    if result.resized:
        words.append(_NEW_LAYER)
    return "; ".join(words)


def _foreign_line(path: str, result: Mapped, pixels: str | None) -> str:
    words = [f"{path}: {result.origin.name}: loaded {len(result.values)} variables"]
    if result.random:
        words.append(f"{', '.join(result.random)} start from random weights")
    if result.left:
        words.append(f"not loaded: {', '.join(result.left)}")
    if pixels:
        words.append(f"pixels are scaled as {pixels}")
    return "; ".join(words)


def _load_run(
    network: keras.Model, path: str, prefix: str, facts: Facts, talk: Callable[[str], None]
) -> None:
    values, _ = runs.weights(runs.file_of(path))
    variables = checkpoint.weights(network)
    other_classes = described.facts_of(path).classes != facts.classes or any(
        name in values and values[name].shape != tuple(variables[name].shape)
        for name in variables
        if name.startswith(_LAST)
    )
    variables = {name: value for name, value in variables.items() if name.startswith(prefix)}
    loaded = {
        name: variable
        for name, variable in variables.items()
        if not (other_classes and name.startswith(_LAST))
        and (name in values or not name.startswith(_AUXILIARY))
    }
    checkpoint.restore(path, loaded, values)
    renewed = any(name.startswith(_LAST) for name in variables.keys() - loaded.keys())
    talk(f"{path}: loaded {len(loaded)} variables" + (f"; {_NEW_LAYER}" if renewed else ""))
