"""Write files and folders to the disk, so that they survive a power cut."""

import contextlib
import errno
import io
import os
import threading
from collections.abc import Sequence
from typing import BinaryIO, NamedTuple

# Threads that sync at once: more take more time to start, and file systems sync no faster.
_THREADS = 16
_SYNC_DATA = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync


class File(NamedTuple):
    """The identity of a file, whatever its name."""

    device: int
    number: int


def which(status: os.stat_result) -> File:
    """Return the identity of a file by its status."""
    return File(status.st_dev, status.st_ino)


def sync(path: str) -> File:
    """Write a file or folder to the disk; return its identity."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
        return which(os.fstat(handle))
    finally:
        os.close(handle)


def settle(file: BinaryIO) -> None:
    """Wait until the disk has what was written to a file so far, so that little is left to sync.

    The file of an object in a store is left alone: only its upload counts.
    """
    if isinstance(file, io.BufferedWriter):
        file.flush()
        _SYNC_DATA(file.fileno())


def sync_all(paths: Sequence[str]) -> list[File | OSError]:
    """Sync files or folders, many at once; return the identity of each, or its error."""
    found: list[File | OSError] = [OSError(errno.EIO, os.strerror(errno.EIO))] * len(paths)

    def some(first: int) -> None:
        for number in range(first, len(paths), _THREADS):
            try:
                found[number] = sync(paths[number])
            except OSError as error:
                found[number] = error

    left = list(range(min(_THREADS, len(paths))))
    threads = [threading.Thread(target=some, args=(first,)) for first in left[1:]]
    started = []
    with contextlib.suppress(RuntimeError):  # the system has no more threads
        for thread in threads:
            thread.start()
            started.append(thread)
    for first in [*left[:1], *left[1 + len(started) :]]:
        some(first)
    for thread in started:
        thread.join()
    return found
