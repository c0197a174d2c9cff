"""The tf.train.Example message in protobuf's wire format, without TensorFlow.

    Example  { Features features = 1; }
    Features { map<string, Feature> feature = 1; }
    Feature  { oneof { BytesList = 1; FloatList = 2; Int64List = 3; } }
    each list { repeated value = 1; }          floats and integers packed

Source: tensorflow/core/example/{example,feature}.proto; protobuf.dev, Encoding.
"""

import functools
import hashlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from dsbuild.errors import ShardError

Value = bytes | int | float | Sequence[bytes] | np.ndarray
Parsed = list[bytes] | np.ndarray | None

_UNSIGNED = (1 << 64) - 1
_BYTES, _FLOAT, _INT64 = 1, 2, 3  # field numbers of Feature's oneof
_SHORT = 16  # bytes of a value that is likely to come again


def serialize(features: Mapping[str, Value]) -> bytes:
    """Return the Example of features, names sorted.

    A value is bytes, an int or a float (each a list of one), a sequence of bytes, or a 1-D array:
    integers become an Int64List, floats a FloatList. The result equals
    `tf.train.Example.SerializeToString(deterministic=True)`, so equal features are equal bytes in
    every process.
    """
    entries = []
    for name, key in _ranked(tuple(features)):
        value = features[name]
        if isinstance(value, int) or (isinstance(value, bytes) and len(value) <= _SHORT):
            entries.append(_small(key, value))
        else:
            entries += _wrap(1, [key, *_wrap(2, _feature(value))])
    return b"".join(_wrap(1, entries))


@functools.lru_cache(1024)  # sizes and formats are the same in most records
def _small(key: bytes, value: int | bytes) -> bytes:
    return b"".join(_wrap(1, [key, *_wrap(2, _feature(value))]))


@functools.lru_cache(1024)
def _ranked(names: tuple[str, ...]) -> tuple[tuple[str, bytes], ...]:
    """Return names in the order of the map's entries, each with its encoded key."""
    # protobuf's upb sorts names by their bytes, but puts a name after those that begin with it:
    # `a/b` before `a`. UTF-8 text never has 0xFF, so it can mark that end.
    ranked = sorted(names, key=lambda name: name.encode() + b"\xff")
    return tuple((name, b"".join(_wrap(1, [name.encode()]))) for name in ranked)


def _feature(value: Value) -> list[bytes]:
    if isinstance(value, bytes):
        return _wrap(_BYTES, _wrap(1, [value]))
    if isinstance(value, int):
        return _wrap(_INT64, _wrap(1, [_varint(value & _UNSIGNED)]))
    if isinstance(value, float):
        value = np.array([value], np.float32)
    if isinstance(value, np.ndarray):
        if value.ndim != 1 or value.dtype.kind not in "iuf":
            raise TypeError(f"expected a 1-D array of numbers, found {value.dtype} {value.shape}")
        if value.dtype.kind == "f":
            kind, packed = _FLOAT, value.astype("<f4").tobytes()
        else:
            kind, packed = _INT64, pack_varints(value)
        return _wrap(kind, _wrap(1, [packed]) if packed else [])
    return _wrap(_BYTES, [part for item in value for part in _wrap(1, [item])])


def _wrap(number: int, parts: list[bytes]) -> list[bytes]:
    """Return a length-delimited field as parts: joined once, so an image is copied once."""
    return [bytes((number << 3 | 2,)) + _varint(sum(map(len, parts))), *parts]


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def pack_varints(values: np.ndarray) -> bytes:
    """Return integers (n,) as varints; a negative one takes ten bytes."""
    if len(values) == 1:
        return _varint(int(values[0]) & _UNSIGNED)
    values = values.astype(np.int64).view(np.uint64)
    groups = values[:, None] >> np.arange(0, 70, 7, dtype=np.uint64).clip(max=63)
    groups[:, 9] = values >> np.uint64(63)
    more = np.empty((len(values), 10), bool)  # whether another group follows
    more[:, :9] = groups[:, 1:] != 0
    more[:, 9] = False
    octets = (groups & np.uint64(0x7F)).astype(np.uint8) | (more.astype(np.uint8) << 7)
    keep = np.ones_like(more)
    keep[:, 1:] = more[:, :9]
    packed: bytes = octets[keep].tobytes()
    return packed


def first(value: Parsed) -> bytes:
    """Return the first of a parsed feature's bytes; empty if it holds none."""
    return value[0] if isinstance(value, list) and value else b""


_FEW = 16  # below so many bytes, varints are read faster one by one than all at once
_PART = 1 << 20  # bytes of varints that are unpacked at once


def digest(data: bytes) -> bytes:
    """Return 8 bytes that are equal for equal content."""
    return hashlib.blake2b(data, digest_size=8).digest()


def parse(data: bytes) -> dict[str, Parsed]:
    """Return the features of an Example.

    Bytes lists become lists of bytes, the others arrays (n,) of int64 or float32; a feature
    without a list is None. Raises ShardError if data is not an Example.
    """
    features: dict[str, Parsed] = {}
    try:
        for number, content in _fields(memoryview(data)):
            if number == 1:
                for entry_number, entry in _fields(_submessage(content)):
                    if entry_number == 1:
                        name, value = _entry(_submessage(entry))
                        features[name] = value
    except (ValueError, OverflowError, IndexError) as error:
        raise ShardError(f"found bytes that are not a tf.train.Example: {error}") from error
    return features


def _submessage(content: int | memoryview) -> memoryview:
    if isinstance(content, int):
        raise ValueError("found a number, expected a message")
    return content


def _entry(view: memoryview) -> tuple[str, Parsed]:
    name, value = "", None
    for number, content in _fields(view):
        if number == 1:
            name = bytes(_submessage(content)).decode()
        elif number == 2:
            value = _parse_feature(_submessage(content))
    return name, value


def _parse_feature(view: memoryview) -> Parsed:
    value: Parsed = None
    for number, content in _fields(view):
        if number == _BYTES:
            value = [bytes(_submessage(v)) for n, v in _fields(_submessage(content)) if n == 1]
        elif number in (_FLOAT, _INT64):
            value = _numbers(_submessage(content), number)
    return value


def _numbers(view: memoryview, kind: int) -> np.ndarray:
    dtype = np.float32 if kind == _FLOAT else np.int64
    parts, single = [], bytearray()  # numbers that are not packed come one by one
    for number, content in _fields(view):
        if number != 1:
            continue
        if isinstance(content, int):
            single += content.to_bytes(4 if kind == _FLOAT else 8, "little")
            continue
        if single:
            parts.append(np.frombuffer(bytes(single), dtype))
            single.clear()
        one = np.frombuffer(content, "<f4") if kind == _FLOAT else unpack_varints(content)
        parts.append(one)
    if single:
        parts.append(np.frombuffer(bytes(single), dtype))
    if len(parts) == 1:
        return parts[0].astype(dtype, copy=not parts[0].flags.writeable)
    return np.concatenate(parts) if parts else np.empty(0, dtype)


def unpack_varints(view: memoryview | bytes, part_size: int = _PART) -> np.ndarray:
    """Return packed varints as int64 (n,); raise ValueError if one is cut or too long."""
    if not len(view):
        return np.empty(0, np.int64)
    if view[-1] & 0x80:
        raise ValueError("the last varint is cut")
    if len(view) < _FEW:
        view, at, values = memoryview(view), 0, []
        while at < len(view):
            value, at = _read_varint(view, at)
            values.append(value)
        return np.array(values, np.uint64).view(np.int64)
    octets = np.frombuffer(view, np.uint8)
    if len(octets) <= part_size:
        return _unpacked(octets)
    # Part by part, since the intermediate arrays take 50 times the memory of the varints.
    found, at, filled = np.empty(np.count_nonzero(octets < 0x80), np.int64), 0, 0
    while at < len(octets):
        end = min(at + part_size, len(octets))
        end += int(np.argmax(octets[end - 1 : end + 10] < 0x80))
        part = _unpacked(octets[at:end])
        found[filled : filled + len(part)] = part
        at, filled = end, filled + len(part)
    return found


def _unpacked(octets: np.ndarray) -> np.ndarray:
    ends = np.flatnonzero(octets < 0x80)
    starts = np.concatenate(([0], ends[:-1] + 1))
    lengths = ends - starts + 1
    if not len(ends) or ends[-1] != len(octets) - 1 or lengths.max() > 10:
        raise ValueError("a varint is longer than ten bytes")
    place = np.arange(len(octets)) - np.repeat(starts, lengths)
    groups = (octets & 0x7F).astype(np.uint64) << (7 * place).astype(np.uint64)
    return np.bitwise_or.reduceat(groups, starts).view(np.int64)


def _fields(view: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield (field number, content) of a message; content is a view, or an int."""
    at, end = 0, len(view)
    while at < end:
        tag, at = view[at], at + 1
        if tag >= 0x80:  # most varints have one byte, and a call takes longer than all else
            tag, at = _read_varint(view, at - 1)
        kind = tag & 7
        if kind == 2:
            length, at = view[at], at + 1
            if length >= 0x80:
                length, at = _read_varint(view, at - 1)
            if length > end - at:
                raise ValueError(f"found a field of {length} bytes in a message of {end}")
            yield tag >> 3, view[at : at + length]
            at += length
        elif kind == 0:
            value, at = _read_varint(view, at)
            yield tag >> 3, value
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
            if size > end - at:
                raise ValueError("a fixed-size field is cut")
            yield tag >> 3, int.from_bytes(view[at : at + size], "little")
            at += size
        else:
            raise ValueError(f"unknown wire type {kind}")


def _read_varint(view: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        octet = view[at]
        at += 1
        value |= (octet & 0x7F) << shift
        if octet < 0x80:
            return value & _UNSIGNED, at
        shift += 7
        if shift > 63:
            raise ValueError("a varint is longer than ten bytes")
