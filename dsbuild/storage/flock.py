"""The kernel's lock on an open file, which it frees when the process ends. Windows has none."""

from dsbuild.errors import StorageError

try:
    from fcntl import LOCK_EX, LOCK_NB, flock
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


def lock(handle: int) -> None:
    """Lock an open file for this process alone; raise BlockingIOError if another one has it."""
    require()
    flock(handle, LOCK_EX | LOCK_NB)
