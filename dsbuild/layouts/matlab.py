"""Read one array out of a MATLAB file of level 5, which MATLAB's `save` writes by default.

Source: MathWorks, MAT-File Format (data elements, tags, numeric arrays, structures).
"""

import struct
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_HEAD = 128  # bytes of text, version and byte order
_ORDERS = {b"IM": "<", b"MI": ">"}
# Kind of an element -> how its numbers are stored.
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8"}
_NUMBERS |= {12: "i8", 13: "u8"}
_MATRIX, _COMPRESSED = 14, 15  # kinds of elements
_STRUCT, _NUMERIC = 2, range(6, 16)  # classes of arrays
_MOST = 1 << 28  # bytes that a compressed array may have


class _Element(NamedTuple):
    kind: int
    data: bytes


def array(data: bytes, name: str, field: str) -> "NDArray[np.generic]":
    """Return a field of the 1 x 1 structure of a name, (h, w), in the type that stores it.

    Raises ValueError if the file is damaged, of another level, or has no such array.
    """
    order = _ORDERS.get(data[126:128])
    if order is None or len(data) < _HEAD or data[:19].startswith(b"MATLAB 7.3"):
        raise ValueError("it is no MATLAB file of level 5; save it with -v7")
    try:
        for found in _elements(data[_HEAD:], order):
            parts = _parts(found, order)
            if parts and parts[2].data == name.encode():
                return _field(parts, field, order)
    except (struct.error, zlib.error, IndexError, OverflowError) as error:
        raise ValueError(f"it is damaged: {error}") from error
    raise ValueError(f"it has no {name}")


def _elements(data: bytes, order: str) -> Iterator[_Element]:
    """Yield the elements of a file or of a matrix; raise ValueError if one is cut."""
    at = 0
    while at < len(data):
        (word,) = struct.unpack_from(f"{order}I", data, at)
        if word >> 16:  # up to four bytes are stored within the tag
            kind, size, begin, step = word & 0xFFFF, word >> 16, at + 4, 8
        else:
            kind, begin = word, at + 8
            (size,) = struct.unpack_from(f"{order}I", data, at + 4)
            step = 8 + size if kind == _COMPRESSED else 8 + -(-size // 8) * 8
        body = data[begin : begin + size]
        if len(body) < size:
            raise ValueError("it is cut")
        yield _Element(kind, body)
        at += step


def _parts(element: _Element, order: str) -> list[_Element]:
    """Return flags, sides, name and content of an array; nothing if it is none."""
    if element.kind == _COMPRESSED:
        unpacking = zlib.decompressobj()
        whole = unpacking.decompress(element.data, _MOST)
        if not unpacking.eof:
            raise ValueError("its compressed data are cut, or too large")
        element = next(_elements(whole, order), element)
    found = list(_elements(element.data, order)) if element.kind == _MATRIX else []
    return found if len(found) > 2 else []


def _field(parts: list[_Element], field: str, order: str) -> "NDArray[np.generic]":
    import numpy as np

    flags, sides, _, *rest = parts
    if flags.data[0 if order == "<" else 3] != _STRUCT or len(rest) < 2:
        raise ValueError("it is no structure")
    if np.prod(np.frombuffer(sides.data, f"{order}i4")) != 1:
        raise ValueError("it is no single structure")
    (length,) = struct.unpack_from(f"{order}i", rest[0].data)
    names = [
        rest[1].data[at : at + length].rstrip(b"\0").decode("latin-1")
        for at in range(0, len(rest[1].data), max(1, length))
    ]
    if field not in names:
        raise ValueError(f"it has no field {field}")
    inner = _parts(rest[2 + names.index(field)], order)
    if len(inner) < 4 or inner[0].data[0 if order == "<" else 3] not in _NUMERIC:
        raise ValueError(f"its field {field} holds no numbers")
    size = np.frombuffer(inner[1].data, f"{order}i4").tolist()
    kind = _NUMBERS.get(inner[3].kind)
    if kind is None:
        raise ValueError(f"its field {field} has numbers of kind {inner[3].kind}")
    values = np.frombuffer(inner[3].data, order + kind)
    if len(values) != np.prod(size):
        raise ValueError(f"its field {field} has {len(values)} numbers, expected {size}")
    found: NDArray[np.generic] = values.reshape(size, order="F")
    return found
