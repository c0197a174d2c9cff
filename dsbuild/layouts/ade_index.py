"""The names of the classes of the full ADE20K, from the index that is published with it.

    index_ade20k.pkl     a pickle of a dict whose `objectnames` are the names, since 2021
    index_ade20k.mat     a MATLAB file whose `index.objectnames` are the names

A pickle can run code. Here nothing of it runs: what is no plain value becomes an empty stand-in.

Source: CSAILVision/ADE20K (README).
"""

import io
import pickle
from typing import Any

from dsbuild import storage
from dsbuild.errors import LayoutError, PlanError, missing

INDEXES = ("index_ade20k.pkl", "index_ade20k.mat")


class _Empty:
    """Stands for every object that is no plain value, such as an array."""

    def __new__(cls, *_: Any, **__: Any) -> "_Empty":
        return super().__new__(cls)

    def __setstate__(self, _: Any) -> None:
        pass

    def append(self, _: Any) -> None:
        """Take an item, as lists do."""

    def __setitem__(self, _: Any, __: Any) -> None:
        pass


class _Plain(pickle.Unpickler):
    """Reads plain values alone."""

    def find_class(self, _module: str, _name: str) -> Any:
        """Return the stand-in for whatever a pickle asks for."""
        return _Empty


def read_index(root: str) -> tuple[str, ...]:
    """Return the names of all classes by value, the first for 1.

    Names that occur several times, as two misspelt ones do, get their value in brackets. Raises
    LayoutError if there is no index, or if it holds no names.
    """
    for name in INDEXES:
        path = storage.join(root, name)
        if storage.stamp(path) is not None:
            data = storage.read_all(path)[0]
            names = _of_pickle(data, path) if name.endswith(".pkl") else _of_matlab(data, path)
            return _different(path, names)
    raise LayoutError(
        f"{root}: found neither {INDEXES[0]} nor {INDEXES[1]}, which name the classes; add one, or "
        "name them with --classes FILE, or build the 150 classes of the challenge with --target "
        "challenge"
    )


def _of_pickle(data: bytes, path: str) -> list[Any]:
    try:
        found = _Plain(io.BytesIO(data), encoding="latin1").load()
        return list(found["objectnames"])
    except Exception as error:  # a damaged pickle may raise anything
        raise _no_names(path, error) from error


def _of_matlab(data: bytes, path: str) -> list[Any]:
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise PlanError(missing("scipy", path, error)) from error
    try:
        names = loadmat(io.BytesIO(data), squeeze_me=True)["index"]["objectnames"]
        return [str(name) for name in names.item()]
    except Exception as error:  # scipy raises many kinds for damaged files
        raise _no_names(path, error) from error


def _different(path: str, names: list[Any]) -> tuple[str, ...]:
    if not names or not all(isinstance(name, str) and name.strip() for name in names):
        raise _no_names(path, "objectnames are no texts")
    short = [" ".join(name.split()) for name in names]
    return tuple(
        name if short.count(name) == 1 else f"{name} ({value})"
        for value, name in enumerate(short, start=1)
    )


def _no_names(path: str, error: object) -> LayoutError:
    return LayoutError(
        f"{path}: found no names of classes in it ({error!r:.80}); fetch it again, or name them "
        "with --classes FILE"
    )
