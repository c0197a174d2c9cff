"""The kernel's lock on an open file, which it frees when the process ends. Windows has none."""

from dsbuild.errors import StorageError

try:
    from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, flock
except ImportError:
    _HERE = False
else:
    _HERE = True


def require() -> None:
    """Raise StorageError on a system without these locks."""
    if not _HERE:
        raise StorageError(
            "this system has no file locks (fcntl): dsbuild runs on Linux and macOS; on Windows "
            "run it in WSL (wsl --install)"
        )


def lock(handle: int, shared: bool = False, wait: bool = False) -> None:
    """Lock an open file, alone or shared with others.

    If it is taken, `wait` for it, or raise BlockingIOError. Closing the file frees it.
    """
    require()
    flock(handle, (LOCK_SH if shared else LOCK_EX) | (0 if wait else LOCK_NB))
