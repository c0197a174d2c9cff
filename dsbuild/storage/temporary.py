"""Name the folder of temporary files, and a remedy, if they cannot be written."""

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator

from dsbuild.errors import StorageError


@contextlib.contextmanager
def named(path: str = "") -> Iterator[None]:
    """Turn an OSError of a temporary file into a StorageError that names its folder.

    `path` is the final name of the file, if it has one.
    """
    try:
        yield
    except OSError as error:
        folder = _folder()
        said = (
            f"{path}: cannot be written: {error.strerror} in {folder}, where it is written first"
            if path
            else f"{folder}: temporary files cannot be written or read: {error.strerror}"
        )
        room = "make room there, or " if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        raise StorageError(f"{said}; {room}name another folder in TMPDIR") from error


def _folder() -> str:
    """Return the folder for temporary files, or the one intended if none can be written to."""
    try:
        return tempfile.gettempdir()
    except OSError:
        return os.environ.get("TMPDIR") or "/tmp"
