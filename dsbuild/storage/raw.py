"""The base of raw files over objects: the position, and the size."""

import io
import os


class RawObject(io.RawIOBase):
    """A raw file over an object of `size` bytes; subclasses read from `self._at` on."""

    def __init__(self, size: int) -> None:
        self.size, self._at = size, 0

    def readable(self) -> bool:
        """Return True: objects are opened only for reading."""
        return True

    def seekable(self) -> bool:
        """Return True: any byte can be requested."""
        return True

    def tell(self) -> int:
        """Return the offset of the next byte."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Set the offset of the next byte, also past the end, and return it."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        self._at = max(0, base + offset)
        return self._at
