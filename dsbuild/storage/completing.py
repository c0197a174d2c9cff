"""Uploads in parts under a lock: completed only where it still is held when all parts are there.

An upload is completed by obstore, without a word before. So its last part is a few bytes, which
are held back until the store took all others, and the lock was looked at: a builder that is
stopped while it sends a large file, and taken over, does not complete it when it goes on.
"""

import contextlib
import os
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any, Protocol

from dsbuild.errors import DsbuildError
from dsbuild.storage import fencing
from dsbuild.storage.fencing import Hold

_LEAST = 5 << 20  # bytes of a part but the last, which S3 and Google's store want
_SHORT, _LONG = 0.005, 60.0  # seconds between looks whether parts were taken, and of no news


class Readable(Protocol):
    """What a file to send can do."""

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Set the offset of the next byte, and return it."""


@contextlib.contextmanager
def uploading(url: str, file: Readable, part: int) -> Iterator[tuple[Any, int]]:
    """Give what obstore shall send in parts, and the size of these; raise LostLease.

    Under a lock that is the file's parts, the last of which, a few bytes, is given when the store
    took all others and the lock still is ours: before it, nothing is complete.
    """
    hold = fencing.over(url)
    if hold is None:
        yield file, part
        return
    part = part_size(file.seek(0, os.SEEK_END), part)
    file.seek(0)
    parts = _Parts(hold, file, part)
    try:
        yield parts, part
    except Exception:
        if parts.error:
            raise parts.error from None
        raise


def part_size(size: int, part: int) -> int:
    """Return the size of parts of about `part` bytes, of which a file has some and a few bytes.

    >>> part_size(100_000_001, 8 << 20)
    8333333
    """
    count = -(-size // part)
    if count > 1 and size <= count * _LEAST:
        count -= 1
    return max(1, (size - 1) // count)


class _Part(bytearray):
    """Bytes that are let go, as is seen by a weak reference, when the store took them."""


class _Parts:
    """The parts of a file, each given only while a lock is held, the last after all others."""

    def __init__(self, hold: Hold, file: Readable, size: int):
        self._hold, self._file, self._size = hold, file, size
        self._given: list[weakref.ref[_Part]] = []
        self.error: DsbuildError | None = None

    def __iter__(self) -> Iterator[_Part]:
        while data := self._file.read(self._size):
            if len(data) < self._size:
                self._wait()
            self._hold_on()
            part = _Part(data)
            self._given.append(weakref.ref(part))
            yield part
            del part

    def _wait(self) -> None:
        """Return when all that was given is taken, or nothing was for so long that it may be."""
        until = time.monotonic() + _LONG
        while self._given and time.monotonic() < until:
            left = [one for one in self._given if one() is not None]
            if len(left) < len(self._given):
                self._given, until = left, time.monotonic() + _LONG
            time.sleep(_SHORT)

    def _hold_on(self) -> None:
        if self._hold.due():
            # Elsewhere, since obstore, which calls this, takes no other call on its own thread.
            asking = threading.Thread(target=self._check)
            asking.start()
            asking.join()
            if self.error:
                raise self.error

    def _check(self) -> None:
        try:
            self._hold.check()
        except DsbuildError as error:
            self.error = error
