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
    """Wait until a disk of this machine has what was written to a file, so less is left to sync.

    Only file systems on block devices have a major number. Where there is none, such as a bucket
    mounted as a folder, a sync may send the whole file again each time, so nothing is done; nor is
    it for the file of an object in a store, or on macOS, which has no such call.
    """
    if isinstance(file, io.BufferedWriter) and hasattr(os, "fdatasync"):
        file.flush()
        if os.major(os.fstat(file.fileno()).st_dev):
            os.fdatasync(file.fileno())


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
