"""Keep bytes in an unnamed temporary file, and read them back from where they are."""

import contextlib
import tempfile
import weakref
from typing import IO

from dsbuild.storage import temporary

_MEMORY = 1 << 20  # bytes; a larger heap moves to a temporary file


class Heap:
    """Pieces of bytes, added one after another, read in any order.

    The file has no name, so nothing is left of it however the process ends.
    """

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(_MEMORY)  # noqa: SIM115
        self._size = 0
        weakref.finalize(self, _close, self._file)

    def add(self, data: bytes) -> int:
        """Add a piece; return its offset."""
        offset = self._size
        with temporary.named():
            self._file.seek(offset)
            self._file.write(data)
        self._size += len(data)
        return offset

    def read(self, offset: int, size: int) -> bytes:
        """Return `size` bytes from `offset` on."""
        with temporary.named():
            self._file.seek(offset)
            return self._file.read(size)


def _close(file: IO[bytes]) -> None:
    with contextlib.suppress(OSError):  # unwritten data no longer matters
        file.close()
