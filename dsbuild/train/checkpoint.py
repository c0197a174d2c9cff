"""Variables of a model as one file of NumPy's, written whole or not at all.

    <path of a variable>    its value
    meta                    JSON: what belongs to it, such as the step

Numbers are what they were, bit for bit; any Python with NumPy reads it.
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

from dsbuild import storage
from dsbuild.errors import StorageError, TrainError
from dsbuild.format.documents import fits

_META = "meta"
# TypeError: a file of one array is no archive.
_DAMAGED = (EOFError, KeyError, OSError, TypeError, ValueError, zipfile.BadZipFile, zlib.error)
_SEEDS = "seed_generator"  # Keras numbers these through a whole process


def names(variables: Iterable[keras.Variable], prefix: str = "") -> dict[str, keras.Variable]:
    """Return variables by their paths; the states of random numbers by their order."""
    found: dict[str, keras.Variable] = {}
    for variable in variables:
        path = variable.path
        if _SEEDS in path:
            path = f"{_SEEDS}/{sum(name.startswith(prefix + _SEEDS) for name in found)}"
        found[prefix + path] = variable
    return found


def weights(model: keras.Model) -> dict[str, keras.Variable]:
    """Return the variables of a model but for the states of random numbers, by their paths."""
    found = names(model.variables)
    return {name: one for name, one in found.items() if not name.startswith(_SEEDS)}


def save(path: str, variables: Mapping[str, Any], meta: Mapping[str, Any]) -> None:
    """Write the values of variables, or arrays, and `meta`, over a file that is there."""
    data = io.BytesIO()
    values = {name: np.asarray(ops.convert_to_numpy(one)) for name, one in variables.items()}
    text = json.dumps(meta).encode()
    np.savez(data, **values, **{_META: np.frombuffer(text, np.uint8)})
    storage.write_all({path: data.getvalue()})


def load(path: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return name -> value, and what belongs to it; raise TrainError where it is no checkpoint."""
    try:
        data, _ = storage.read(path)
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            values = dict(file)
        meta = json.loads(values.pop(_META).tobytes())
        if not fits(meta, {"step": int}):
            raise ValueError("no step in it")
        return values, meta
    except StorageError:
        raise
    except _DAMAGED as error:
        raise TrainError(
            f"{path}: found no whole checkpoint of dsbuild ({error}); where the other one of best "
            "and last is whole, take that, else train again"
        ) from error


def restore(
    path: str, variables: Mapping[str, keras.Variable], values: Mapping[str, np.ndarray]
) -> None:
    """Give variables their values, all or none.

    Raises TrainError where they are those of another model, or not all numbers.
    """
    for name, variable in variables.items():
        found = values.get(name)
        if found is None or found.shape != tuple(variable.shape):
            was = "nothing" if found is None else f"shape {found.shape}"
            raise TrainError(
                f"{path}: {name}: found {was}, expected shape {tuple(variable.shape)}; it is of "
                "another model"
            )
        if found.dtype.kind == "f" and not np.isfinite(found).all():
            raise TrainError(
                f"{path}: {name}: found values that are no numbers, expected finite ones; take "
                "another checkpoint, or train again"
            )
    for name, variable in variables.items():
        variable.assign(values[name])
