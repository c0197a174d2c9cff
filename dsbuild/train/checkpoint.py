"""Checkpoints: the variables of a model in one .npz file, written whole or not at all.

    <path of a variable>    its value
    meta                    JSON about the checkpoint, such as its step

Values are stored bit for bit; NumPy alone can read them.
"""

import io
import json
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from dsbuild import storage
from dsbuild.errors import StorageError, TrainError
from dsbuild.format.documents import fits

Values = dict[str, NDArray[Any]]  # by the paths of variables

_META = "meta"
# TypeError: NumPy returns a lone array, not an archive, for an .npy file.
_DAMAGED = (EOFError, KeyError, OSError, TypeError, ValueError, zipfile.BadZipFile, zlib.error)
_SEEDS = "seed_generator"  # Keras numbers these through a whole process


def names(variables: Iterable[keras.Variable], prefix: str = "") -> dict[str, keras.Variable]:
    """Return variables by path; the states of random generators are numbered in order."""
    named: dict[str, keras.Variable] = {}
    for variable in variables:
        path = variable.path
        if _SEEDS in path:
            path = f"{_SEEDS}/{sum(name.startswith(prefix + _SEEDS) for name in named)}"
        named[prefix + path] = variable
    return named


def weights(model: keras.Model) -> dict[str, keras.Variable]:
    """Return the variables of a model by path, without the states of random generators."""
    named = names(model.variables)
    return {name: variable for name, variable in named.items() if not name.startswith(_SEEDS)}


def save(path: str, variables: Mapping[str, Any], meta: Mapping[str, Any]) -> None:
    """Write the values of variables, or arrays, and `meta`; replace an existing file."""
    data = io.BytesIO()
    values: dict[str, Any] = {
        name: np.asarray(ops.convert_to_numpy(value)) for name, value in variables.items()
    }
    values[_META] = np.frombuffer(json.dumps(meta).encode(), np.uint8)
    np.savez(data, **values)
    storage.write_all({path: data.getvalue()})


def load(path: str) -> tuple[Values, dict[str, Any]]:
    """Return values by name, and the meta data; raise TrainError if it is not a checkpoint."""
    try:
        data, _ = storage.read(path)
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            values = dict(file)
        meta = json.loads(values.pop(_META).tobytes())
        if not fits(meta, {"step": int}):
            raise ValueError("it has no step")
        return values, meta
    except StorageError:
        raise
    except _DAMAGED as error:
        raise TrainError(
            f"{path}: found no complete checkpoint of dsbuild ({error}); use the other of best.npz "
            "and last.npz if that is intact, or train again"
        ) from error


def restore(
    path: str, variables: Mapping[str, keras.Variable], values: Mapping[str, NDArray[Any]]
) -> None:
    """Assign values to variables, all or none.

    Raises TrainError if the values belong to another model, or are not all finite.
    """
    for name, variable in variables.items():
        value = values.get(name)
        if value is None or value.shape != tuple(variable.shape):
            found = "nothing" if value is None else f"shape {value.shape}"
            raise TrainError(
                f"{path}: {name}: found {found}, expected shape {tuple(variable.shape)}; the "
                "checkpoint belongs to another model"
            )
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise TrainError(
                f"{path}: {name}: found NaN or infinite values, expected finite ones; use another "
                "checkpoint, or train again"
            )
    for name, variable in variables.items():
        variable.assign(values[name])
