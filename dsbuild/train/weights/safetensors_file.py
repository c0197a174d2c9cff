"""Read .safetensors files.

    8 bytes       length of the header, little-endian
    header        JSON: name -> dtype, shape, data_offsets; `__metadata__` has text
    data          the tensors, at their offsets from the end of the header

Source: the format's description, github.com/huggingface/safetensors. It holds no code.
"""

import math
import os
from typing import Any

from dsbuild.errors import ModelError
from dsbuild.format.documents import fits, parse
from dsbuild.train.weights import tensors
from dsbuild.train.weights.tensors import Tensor, Tensors, Values

ENDING = ".safetensors"
_LONGEST = 100_000_000  # bytes of a header, as in the reference implementation
_METADATA = "__metadata__"
_DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}
_ENTRY = {"dtype": str, "shape": [int], "data_offsets": [int]}


def load(path: str) -> Tensors:
    """Return the tensors of a file by name; raise ModelError if it is damaged or none."""
    try:
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            room = os.fstat(file.fileno()).st_size - 8 - length
            if room < 0 or length > _LONGEST:
                raise ValueError(f"its header would have {length:,} bytes")
            header = parse(file.read(length))
        if not isinstance(header, dict):
            raise ValueError("its header is no table of tensors")
        return {
            name: _tensor(path, name, entry, 8 + length, room)
            for name, entry in header.items()
            if name != _METADATA
        }
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{path}: found no readable safetensors file ({error}); copy or download it again"
        ) from error


def _tensor(path: str, name: str, entry: Any, start: int, room: int) -> Tensor:
    if not fits(entry, _ENTRY) or min(entry["shape"], default=0) < 0:
        raise ValueError(f"{name}: its entry has no dtype, shape and offsets")
    dtype, shape = _DTYPES.get(entry["dtype"]), tuple(entry["shape"])
    if dtype is None:
        raise ValueError(f"{name}: values of type {entry['dtype']} cannot be read")
    begin, *rest = entry["data_offsets"]
    end = begin + math.prod(shape) * tensors.size(dtype)
    if rest != [end] or not 0 <= begin <= end <= room:
        raise ValueError(f"{name}: its offsets do not fit its shape, or lie outside of the file")

    def read() -> Values:
        with open(path, "rb") as file:
            file.seek(start + begin)
            data = file.read(end - begin)
        if len(data) < end - begin:
            raise ModelError(f"{path}: {name}: the file has changed while it was read")
        return tensors.values(data, dtype).reshape(shape)

    return Tensor(shape, read)
