"""Write files and folders to the disk, so that they survive a power cut."""

import errno
import os
import threading
from collections.abc import Sequence
from typing import NamedTuple


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


def sync_all(paths: Sequence[str]) -> list[File | OSError]:
    """Sync files or folders, all at once; return the identity of each, or its error."""
    found: list[File | OSError] = [OSError(errno.EIO, os.strerror(errno.EIO))] * len(paths)

    def one(number: int) -> None:
        try:
            found[number] = sync(paths[number])
        except OSError as error:
            found[number] = error

    threads = [threading.Thread(target=one, args=(i,)) for i in range(1, len(paths))]
    started = []
    try:
        for thread in threads:
            thread.start()
            started.append(thread)
    except RuntimeError:  # the system has no more threads
        for number in range(len(started) + 1, len(paths)):
            one(number)
    if paths:
        one(0)
    for thread in started:
        thread.join()
    return found
