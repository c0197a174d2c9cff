"""Temporary files on this machine, whose errors say where they lie and what to do."""

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator

from dsbuild.errors import StorageError


@contextlib.contextmanager
def named(path: str = "") -> Iterator[None]:
    """Turn an OSError of a temporary file into a StorageError that names its folder.

    `path` is what the file is to become, if that has a name.
    """
    try:
        yield
    except OSError as error:
        folder = _folder()
        said = (
            f"{path}: cannot be written: {error.strerror} in {folder}, where it is made first"
            if path
            else f"{folder}: temporary files cannot be written or read: {error.strerror}"
        )
        room = "make room there, or " if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        raise StorageError(f"{said}; {room}name another folder in TMPDIR") from error


def _folder() -> str:
    """Return where temporary files lie, or were to lie where no folder can be written."""
    try:
        return tempfile.gettempdir()
    except OSError:
        return os.environ.get("TMPDIR") or "/tmp"
