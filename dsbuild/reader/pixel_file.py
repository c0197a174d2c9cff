"""A file of decoded samples by number, filled by any number of processes at once.

    32 bytes                "dsbuild pixels 1", padded with zeros
    32 bytes                the digest of the data that the samples are decoded from
    16 bytes per shard      a digest of its file's stamp, if that file's sha256 has been checked
    24 bytes per sample     where its entry begins, how long it is, its masked crc32c; or zeros
    entries, at multiples of 64 bytes: the length of a JSON document (<I), the document, and the
    arrays that it names, each at a multiple of 64 bytes

Only entries are added, each under a lock and before its place is written. Every entry is checked
by its crc32c and its number when it is read, so one that is half-written, overwritten or damaged
counts as missing. Files are read into new arrays, not mapped: these may be changed, and a file
that is truncated under a reader is an error, not the end of the process. Both take equally long.
"""

import json
import math
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from dsbuild.format import tfrecord
from dsbuild.storage import flock

_MAGIC = b"dsbuild pixels 1".ljust(32, b"\0")
_MARK, _PLACE, _LENGTH = 16, struct.Struct("<QQQ"), struct.Struct("<I")
_ALIGNED = 64  # bytes; TensorFlow takes such arrays without a copy
ENDING = ".pixels"
Values = Mapping[str, Any]  # arrays, text and numbers by name


class FullError(OSError):
    """There is no room for another entry."""


@dataclass(frozen=True)
class PixelFile:
    """The file for the samples of some data.

    Attributes:
      path: of the file.
      digest: of the data, 32 bytes.
      shards, samples: how many the data has.
    """

    path: str
    digest: bytes
    shards: int
    samples: int

    def ensure(self) -> None:
        """Make the file unless it exists with this digest; raise OSError if it cannot be made."""
        if self._begins():
            return
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        # Two processes that do this at once replace an empty file by another.
        temporary = f"{self.path}.{os.getpid()}-{os.urandom(4).hex()}"
        try:
            with open(temporary, "xb") as file:
                file.write(_MAGIC + self.digest)
                file.truncate(self._entries)
            os.replace(temporary, self.path)
        finally:
            if os.path.exists(temporary):
                os.remove(temporary)

    def _begins(self) -> bool:
        try:
            with open(self.path, "rb") as file:
                begins = file.read(len(_MAGIC) + len(self.digest)) == _MAGIC + self.digest
                return begins and os.fstat(file.fileno()).st_size >= self._entries
        except FileNotFoundError:
            return False

    @property
    def _marks(self) -> int:
        return len(_MAGIC) + len(self.digest)

    @property
    def _places(self) -> int:
        return self._marks + self.shards * _MARK

    @property
    def _entries(self) -> int:
        return _aligned(self._places + self.samples * _PLACE.size)

    def mark(self, shard: int) -> bytes:
        """Return the mark of a shard, 16 bytes: zeros if there is none."""
        return self._read(self._marks + shard * _MARK, _MARK) or bytes(_MARK)

    def set_mark(self, shard: int, mark: bytes) -> None:
        """Keep the mark of a shard; raise OSError if that is impossible."""
        self._write(self._marks + shard * _MARK, mark)

    def has(self, sample: int) -> bool:
        """Tell whether there is an entry of a sample, whole or not."""
        place = self._read(self._places + sample * _PLACE.size, _PLACE.size)
        return len(place) == _PLACE.size and _PLACE.unpack(place)[1] > 0

    def read(self, sample: int) -> dict[str, Any] | None:
        """Return the values of a sample, its arrays new ones, or None if there are none."""
        try:
            with open(self.path, "rb", buffering=0) as file:
                place = os.pread(file.fileno(), _PLACE.size, self._places + sample * _PLACE.size)
                start, size, crc = _PLACE.unpack(place)
                if not 0 < size <= os.fstat(file.fileno()).st_size - start:
                    return None
                entry = _empty(size)
                os.preadv(file.fileno(), [entry.data], start)
        except (OSError, struct.error):  # removed or truncated meanwhile
            return None
        # The library takes arrays like bytes, but no views of them.
        if tfrecord.masked_crc(cast(bytes, entry)) != crc:
            return None
        found = _unpacked(entry)
        return found if found.pop("number") == sample else None

    def write(self, sample: int, values: Values, most: int) -> None:
        """Keep the values of a sample.

        Raises FullError if the files of the folder would then hold more than `most` bytes, and
        OSError if the file cannot be written. It then keeps nothing.
        """
        entry = _packed({"number": sample, **values})
        size, crc = len(entry), tfrecord.masked_crc(entry)
        handle = os.open(self.path, os.O_RDWR)
        try:
            flock.lock(handle, wait=True)
            end = os.fstat(handle).st_size
            start = _aligned(end)
            if _held(os.path.dirname(self.path)) + start - end + size > most:
                raise FullError(f"{self.path}: more than {most:,} bytes")
            try:
                if os.pwrite(handle, entry, start) != size:
                    raise FullError(f"{self.path}: no room on the disk")
            except OSError:
                os.ftruncate(handle, end)
                raise
            os.pwrite(handle, _PLACE.pack(start, size, crc), self._places + sample * _PLACE.size)
        finally:
            os.close(handle)

    def _read(self, start: int, size: int) -> bytes:
        try:
            with open(self.path, "rb", buffering=0) as file:
                found = os.pread(file.fileno(), size, start)
        except OSError:
            return b""
        return found if len(found) == size else b""

    def _write(self, start: int, data: bytes) -> None:
        with open(self.path, "r+b", buffering=0) as file:
            os.pwrite(file.fileno(), data, start)


def _held(folder: str) -> int:
    """Return the bytes of all such files in a folder."""
    with os.scandir(folder) as entries:
        return sum(one.stat().st_size for one in entries if one.name.endswith(ENDING))


def _aligned(size: int) -> int:
    return -(-size // _ALIGNED) * _ALIGNED


def _empty(size: int) -> NDArray[np.uint8]:
    """Return an array of bytes that begins at a multiple of 64 bytes of memory: uint8 (size,)."""
    room = np.empty(size + _ALIGNED, np.uint8)
    first = -room.ctypes.data % _ALIGNED
    return room[first : first + size]


def _packed(values: Values) -> bytes:
    """Return an entry: a document, then the bytes of arrays, each padded."""
    arrays = {k: np.ascontiguousarray(v) for k, v in values.items() if isinstance(v, np.ndarray)}
    rest = {name: value for name, value in values.items() if name not in arrays}
    planes = {name: [one.dtype.str, *one.shape] for name, one in arrays.items()}
    text = json.dumps({"values": rest, "planes": planes}).encode()
    head = _LENGTH.pack(len(text)) + text
    parts = [head, *(one.tobytes() for one in arrays.values())]
    return b"".join(part.ljust(_aligned(len(part)), b"\0") for part in parts)


def _unpacked(entry: NDArray[np.uint8]) -> dict[str, Any]:
    (length,) = _LENGTH.unpack_from(entry.data)
    head = json.loads(entry[_LENGTH.size : _LENGTH.size + length].tobytes())
    found: dict[str, Any] = head["values"]
    start = _aligned(_LENGTH.size + length)
    for name, (kind, *shape) in head["planes"].items():
        size = math.prod(shape) * np.dtype(kind).itemsize
        found[name] = entry[start : start + size].view(kind).reshape(shape)
        start += _aligned(size)
    return found
