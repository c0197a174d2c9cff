"""Weights that others wrote, by the kind of their file."""

import os
from collections.abc import Callable, Mapping

import keras

from dsbuild.errors import ModelError
from dsbuild.train.settings import Settings
from dsbuild.train.weights import preset, safetensors_file, torch_file
from dsbuild.train.weights.mapping import Mapped, made_by, mapped
from dsbuild.train.weights.tensors import Tensors

_READERS: Mapping[str, Callable[[str], Tensors]] = {
    "PyTorch": torch_file.load,
    "safetensors": safetensors_file.load,
    "keras-hub": preset.load,
}


def kind(path: str) -> str | None:
    """Return which of the readers above a file or folder is for; None if it is for none."""
    if os.path.isdir(path):
        return "keras-hub" if preset.recognises(path) else None
    if not os.path.isfile(path):
        return None
    if path.endswith(safetensors_file.ENDING):
        return "safetensors"
    named = path.endswith(torch_file.ENDINGS)
    return "PyTorch" if named or torch_file.recognises(path) else None


def pixels(path: str) -> str:
    """Return how pixels are scaled for the model of a file, one of SCALINGS; raise ModelError."""
    return made_by(path, _tensors(path)).pixels


def _tensors(path: str) -> Tensors:
    reader = kind(path)
    if reader is None:
        raise ModelError(f"{path}: found no weights of {', '.join(_READERS)}")
    return _READERS[reader](path)


def load(model: keras.Model, path: str, settings: Settings, prefix: str = "") -> Mapped:
    """Load a file's weights into a model, all that fit exactly or none; see `mapping.mapped`."""
    found = mapped(model, path, _tensors(path), settings, prefix)
    for variable in model.variables:
        if variable.path in found.values:
            variable.assign(found.values[variable.path])
    return found
