"""Compressed files of TFRecords, decompressed once per process to be read from anywhere.

All go into one temporary file without a name, so nothing is left of it however the process ends. A
forked process shares what was decompressed before; any other decompresses again what it reads.
"""

import contextlib
import os
import tempfile
import threading
from array import array
from dataclasses import dataclass
from typing import IO

import numpy as np
from numpy.typing import NDArray

from dsbuild.errors import StorageError
from dsbuild.format import tfrecord
from dsbuild.storage import Stamp, temporary

_LEFT = 1 << 30  # bytes of the disk that stay free
_STEP = 1 << 26  # bytes between two looks at the disk
Key = tuple[str, Stamp | None]  # a file as it was at some time: its path and stamp


@dataclass(frozen=True)
class Copy:
    """The decompressed bytes of a file.

    Attributes:
      file, start: where they are.
      index: offset and size of each record, int64 (records, 2).
    """

    file: IO[bytes]
    start: int
    index: NDArray[np.int64]

    def part(self, offset: int, size: int) -> bytes:
        """Return some bytes, or fewer at the end."""
        left = int(self.index[-1].sum()) - offset if len(self.index) else 0
        with temporary.named():
            return os.pread(self.file.fileno(), max(min(size, left), 0), self.start + offset)


_copies: dict[Key, Copy] = {}
_lock = threading.Lock()
_file: IO[bytes] | None = None  # of this process


def _forked() -> None:
    """Begin another file: two processes must not append to one."""
    global _lock, _file
    _lock, _file = threading.Lock(), None


if hasattr(os, "register_at_fork"):  # Windows does not fork
    os.register_at_fork(after_in_child=_forked)


def held(path: str, stamp: Stamp | None) -> Copy | None:
    """Return the copy of a file that this process has, or None."""
    return _copies.get((path, stamp)) if _copies else None


def copy(path: str, stamp: Stamp | None) -> Copy:
    """Return the copy of a compressed file, made now unless this process has it.

    Raises ShardError for damage, and StorageError if the disk would become full.
    """
    global _file
    with _lock:
        found = held(path, stamp)
        if found is None:
            with temporary.named():
                _file = _file or tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
            found = _copies[path, stamp] = _made(path, _file)
        return found


def _made(path: str, file: IO[bytes]) -> Copy:
    with temporary.named():
        start = file.seek(0, os.SEEK_END)
    places, offset, looked = array("q"), 0, 0
    try:
        for record in tfrecord.read(path):
            size = len(record.data) + tfrecord.FRAMING
            if not looked or offset + size > looked:
                _room(path, file, size)
                looked = offset + size + _STEP
            _append(file, b"".join(tfrecord.frame(record.data)))
            places.extend((offset, size))
            offset += size
    except BaseException:
        with contextlib.suppress(OSError):
            file.truncate(start)
        raise
    return Copy(file, start, np.array(places, np.int64).reshape(-1, 2))


def _append(file: IO[bytes], data: bytes) -> None:
    left = memoryview(data)
    with temporary.named():
        while left:
            left = left[file.write(left) :]


def _room(path: str, file: IO[bytes], size: int) -> None:
    """Raise StorageError if the disk would become full before the next look."""
    with temporary.named():
        disk = os.fstatvfs(file.fileno())
    if disk.f_bavail * disk.f_frsize < _LEFT + _STEP + size:
        raise StorageError(
            f"{path}: the file is compressed, and {tempfile.gettempdir()} has no room to "
            "decompress it; make room there, name another folder in TMPDIR, or decompress the "
            "file yourself"
        )
