"""Read checkpoints of `torch.save` without PyTorch, and without running what they name.

A checkpoint is a pickle whose tensors refer to storages by key. Since PyTorch 1.6 it is a zip:

    <name>/data.pkl       the pickle
    <name>/data/<key>     the bytes of a storage, little-endian
    <name>/byteorder      `little`, in newer files

Before, it was a file of pickles: a magic number, the version, about the system, the object itself,
the keys; then for each key the number of values, 8 bytes, and the values.

A pickle calls what it names. Here every name gets a stand-in: those of tensors and dictionaries
return values, and all others return an object that does nothing, whatever it is called with.
"""

import collections
import pickle
import pickletools
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

import numpy as np

from dsbuild.errors import ModelError
from dsbuild.train.weights import tensors
from dsbuild.train.weights.tensors import Tensor, Tensors, Values

ENDINGS = (".pth", ".pt")
_MAGIC = 0x1950A86A20F9469CFC6C
_OLD = pickle.dumps(_MAGIC, 2)
_PICKLE = "/data.pkl"
_PLACES = ("PUT", "BINPUT", "LONG_BINPUT")
_MOST = 1 << 28  # bytes of a pickle without the storages
_DTYPES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
}


@dataclass(frozen=True)
class _Storage:
    """Values of one type that tensors refer to; `read` returns their bytes."""

    dtype: str
    count: int
    read: Callable[[], bytes]


@dataclass(frozen=True)
class _Stored:
    """A tensor in a storage; offset and strides count values."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def __post_init__(self) -> None:
        whole = [self.offset, *self.shape, *self.strides]
        if len(self.shape) != len(self.strides) or not all(
            isinstance(number, int) and number >= 0 for number in whole
        ):
            raise ValueError("a tensor has no valid shape")
        pairs = zip(self.shape, self.strides, strict=True)
        last = self.offset + sum((side - 1) * stride for side, stride in pairs)
        if 0 not in self.shape and last >= self.storage.count:
            raise ValueError("a tensor is larger than its storage")

    def values(self) -> Values:
        """Return the values, float32."""
        flat = tensors.values(self.storage.read(), self.storage.dtype)
        steps = [4 * stride for stride in self.strides]
        found = np.lib.stride_tricks.as_strided(flat[self.offset :], self.shape, steps)
        return np.array(found, np.float32)


class _Inert:
    """Stands in for whatever a pickle names: takes everything, does nothing."""

    def __new__(cls, *_: object, **__: object) -> "_Inert":
        return super().__new__(cls)

    def __init__(self, *_: object, **__: object) -> None: ...

    def __setstate__(self, _: object) -> None: ...

    def __setitem__(self, _: object, __: object) -> None: ...

    def append(self, _: object) -> None:
        """Drop an item of a list."""

    def extend(self, _: object) -> None:
        """Drop the items of a list."""

    def add(self, _: object) -> None:
        """Drop an item of a set."""


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: object) -> _Stored:
    if not isinstance(storage, _Storage):
        raise ValueError("a tensor has no storage")
    return _Stored(storage, offset, tuple(shape), tuple(strides))


def _first(value: object, *_: object) -> object:
    return value


_STAND_INS: Mapping[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch", "Size"): tuple,
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _first,
    ("torch._utils", "_rebuild_parameter_with_state"): _first,
    **{("torch", name): dtype for name, dtype in _DTYPES.items()},
}


class _Unpickler(pickle.Unpickler):
    """Builds values from a pickle; `storage` returns the storage of a type, a key and a count."""

    def __init__(self, file: IO[bytes], storage: Callable[[str, str, int], _Storage]) -> None:
        super().__init__(file, encoding="utf-8")
        self._file, self._storage = file, storage

    def load(self) -> object:
        """Return the next value; raise ValueError for a place that would take much memory.

        The memory of a pickle is a table as long as its largest place, and each place that is
        used takes a byte or more of the pickle.
        """
        file, start = self._file, self._file.tell()
        for code, place, at in pickletools.genops(file):
            if code.name in _PLACES and isinstance(place, int) and place > (at or 0) - start:
                raise ValueError(f"its pickle uses place {place:,} of its memory, expected less")
        file.seek(start)
        return super().load()

    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in of a name."""
        return _STAND_INS.get((module, name), _Inert)

    def persistent_load(self, key: Any) -> _Storage:
        """Return the storage that a tensor refers to."""
        if not isinstance(key, tuple) or len(key) < 5 or key[0] != "storage":
            raise ValueError("a tensor refers to no storage")
        _, dtype, name, _, count, *view = key
        if dtype not in tensors.DTYPES:
            raise ValueError("a tensor has values of an unknown type")
        if not isinstance(count, int) or count < 0 or any(part is not None for part in view):
            raise ValueError(f"storage {name}: it has no size, or is part of another")
        return self._storage(dtype, str(name), count)


def recognises(path: str) -> bool:
    """Tell whether a file is a checkpoint of `torch.save`."""
    with open(path, "rb") as file:
        if file.read(len(_OLD)) == _OLD:
            return True
    try:
        with zipfile.ZipFile(path) as file:
            return any(name.endswith(_PICKLE) for name in file.namelist())
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile):
        return False


def load(path: str) -> Tensors:
    """Return the tensors of a checkpoint by name; raise ModelError if it is damaged or has none.

    If it holds more than a state dict, such as an optimiser's state, its largest dictionary of
    tensors is the one that counts.
    """
    try:
        with open(path, "rb") as file:
            found = (_old if file.read(len(_OLD)) == _OLD else _zipped)(path)
    except Exception as error:  # a damaged pickle raises many kinds
        if isinstance(error, ModelError):
            raise
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"{path}: found no readable PyTorch checkpoint ({why}); copy or download it again"
        ) from error
    stored = max(_dictionaries(found), key=len, default={})
    if not stored:
        raise ModelError(
            f"{path}: found no tensors by name; expected a PyTorch checkpoint that holds a state "
            "dict, as `torch.save(model.state_dict(), path)` writes"
        )
    return {name: Tensor(tensor.shape, tensor.values) for name, tensor in stored.items()}


def _dictionaries(found: object, deeper: bool = True) -> Sequence[Mapping[str, _Stored]]:
    """Return the tensors of a dictionary by name, and of those in it but an optimiser's."""
    if not isinstance(found, Mapping):
        return []
    named = {key: value for key, value in found.items() if isinstance(key, str)}
    own = {key: value for key, value in named.items() if isinstance(value, _Stored)}
    below = [
        each
        for key, value in named.items()
        if deeper and "optim" not in key
        for each in _dictionaries(value, deeper=False)
    ]
    return [own, *below]


def _zipped(path: str) -> object:
    with zipfile.ZipFile(path) as file:
        entries = {entry.filename: entry for entry in file.infolist()}
        (pickled,) = (name for name in entries if name.endswith(_PICKLE))
        root = pickled.removesuffix(_PICKLE)
        order = f"{root}/byteorder"
        if order in entries and entries[order].file_size < 20 and file.read(order) != b"little":
            raise ValueError("its numbers are not little-endian")
        if entries[pickled].file_size > _MOST:
            raise ValueError(f"its pickle has {entries[pickled].file_size:,} bytes")

        def storage(dtype: str, key: str, count: int) -> _Storage:
            name = f"{root}/data/{key}"
            if name not in entries or entries[name].file_size != count * tensors.size(dtype):
                raise ValueError(f"{name} is missing, or has another size than its tensors say")

            def read() -> bytes:
                with zipfile.ZipFile(path) as again:
                    return again.read(name)

            return _Storage(dtype, count, read)

        with file.open(pickled) as data:
            return _Unpickler(data, storage).load()


def _old(path: str) -> object:
    places: dict[str, tuple[str, int]] = {}  # key -> type and number of values
    starts: dict[str, int] = {}

    def storage(dtype: str, key: str, count: int) -> _Storage:
        if places.setdefault(key, (dtype, count)) != (dtype, count):
            raise ValueError(f"storage {key}: it has two types or sizes")

        def read() -> bytes:
            with open(path, "rb") as again:
                again.seek(starts[key])
                return again.read(count * tensors.size(dtype))

        return _Storage(dtype, count, read)

    with open(path, "rb") as file:
        _, _, _, found, keys = (_Unpickler(file, storage).load() for _ in range(5))
        if not isinstance(keys, list) or set(keys) != set(places):
            raise ValueError("its list of storages is damaged")
        for key in keys:
            dtype, count = places[key]
            if int.from_bytes(file.read(8), "little") != count:
                raise ValueError(f"storage {key}: its size is damaged")
            starts[key] = file.tell()
            file.seek(count * tensors.size(dtype), 1)
        end = file.tell()
        if file.seek(0, 2) < end:
            raise ValueError("the file ends within a storage")
    return found
