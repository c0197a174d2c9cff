"""Upload in parts under a lock, and complete the upload only if the lock is still held.

obstore completes an upload without asking first. So the last part is only a few bytes, held back
until the store has all other parts and the lock was checked. A builder that is suspended during a
large upload and loses its lock does not complete the upload when it resumes.
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

_LEAST = 5 << 20  # bytes that S3 and Google's store require of each part but the last
_SHORT, _LONG = 0.005, 60.0  # seconds between checks for taken parts, and without any news


class Readable(Protocol):
    """A file that can be sent."""

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Set the offset of the next byte, and return it."""


@contextlib.contextmanager
def uploading(url: str, file: Readable, part: int) -> Iterator[tuple[Any, int]]:
    """Give the object that obstore sends in parts, and the size of a part; raise LostLease.

    Under a lock it yields the parts of the file. The last one, a few bytes, is yielded when the
    store has taken all others and the lock is still ours; without it the upload is incomplete.
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
    """Return a size of about `part` bytes that divides a file into parts and a few bytes.

    >>> part_size(100_000_001, 8 << 20)
    8333333
    """
    count = -(-size // part)
    if count > 1 and size <= count * _LEAST:
        count -= 1
    return max(1, (size - 1) // count)


class _Part(bytearray):
    """Bytes of a part; a weak reference shows when the store has taken and released them."""


class _Parts:
    """The parts of a file, given only while a lock is held, the last one after all others."""

    def __init__(self, hold: Hold, file: Readable, size: int) -> None:
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
        """Return when all given parts are taken, or none was taken for `_LONG` seconds."""
        until = time.monotonic() + _LONG
        while self._given and time.monotonic() < until:
            left = [part for part in self._given if part() is not None]
            if len(left) < len(self._given):
                self._given, until = left, time.monotonic() + _LONG
            time.sleep(_SHORT)

    def _hold_on(self) -> None:
        if self._hold.due():
            # In another thread: obstore, which calls this, takes no second call on its own.
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
