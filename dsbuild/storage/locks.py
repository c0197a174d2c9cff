"""The lock of a folder of a local file system, which the kernel frees when its process ends."""

import contextlib
import fcntl
import os
from collections.abc import Iterator

from dsbuild.errors import StorageError
from dsbuild.storage import local
from dsbuild.storage.atomic import remedy

_BESIDE = ("index",)  # folders beside the state that builds write to


def refuse_links(state: str) -> None:
    """Raise StorageError where a folder that dsbuild writes to is a link that leads out of it.

    These are `state`, those in it, and those beside it that are `_BESIDE`.
    """
    home = os.path.dirname(state)
    inner = [local.join(state, name) for name, is_folder in local.entries(state) if is_folder]
    for path in (state, *(local.join(home, name) for name in _BESIDE), *inner):
        if local.is_link(path) and local.relative(path, home) is None:
            raise StorageError(
                f"{path}: found a link that leads out of {home}, expected a folder to write to; "
                "replace it by a folder"
            )


@contextlib.contextmanager
def lock(path: str) -> Iterator[None]:
    """Hold a lock file; raise StorageError at once where another process holds it.

    The kernel frees the lock when its process ends, however it ends.
    """
    try:
        refuse_links(os.path.dirname(path))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    except OSError as error:
        raise StorageError(
            f"{path}: cannot be written: {error.strerror}; {remedy(error)}"
        ) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StorageError(
                f"{os.path.dirname(os.path.dirname(path))}: another dsbuild is at work in this "
                "folder; wait for it to end, or choose another folder"
            ) from error
        except OSError as error:
            raise StorageError(
                f"{path}: cannot be locked: {error.strerror}; choose a folder on a file "
                "system that has locks"
            ) from error
        yield
    finally:
        with contextlib.suppress(OSError):  # it is free all the same
            os.close(handle)
