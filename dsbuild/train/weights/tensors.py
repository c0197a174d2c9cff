"""Named tensors of a file of weights, each read when it is needed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float32]


@dataclass(frozen=True)
class Tensor:
    """A tensor of a file.

    Attributes:
      shape: its shape.
      read: returns its values; raises ModelError if the file has not all of them.
    """

    shape: tuple[int, ...]
    read: Callable[[], Values]


Tensors = Mapping[str, Tensor]

_BFLOAT16 = "bfloat16"  # which NumPy does not have: the upper half of a float32
DTYPES = {
    "float64": "<f8",
    "float32": "<f4",
    "float16": "<f2",
    _BFLOAT16: "<u2",
    "int64": "<i8",
    "int32": "<i4",
    "int16": "<i2",
    "int8": "i1",
    "uint8": "u1",
    "bool": "?",
}


def size(dtype: str) -> int:
    """Return the bytes of one value, by the name of its type in DTYPES."""
    return np.dtype(DTYPES[dtype]).itemsize


def values(data: bytes, dtype: str) -> Values:
    """Return little-endian bytes as numbers (n,)."""
    found = np.frombuffer(data, DTYPES[dtype])
    if dtype == _BFLOAT16:
        return (found.astype(np.uint32) << 16).view(np.float32)
    return found.astype(np.float32)
