"""Local files that appear under their names whole, or not at all: by rename, after fsync.

Until then a file bears a temporary name in its own folder, and is locked by the process that
writes it: a temporary file whose lock is free was left by one that was killed, on whichever
host, and is removed by the next process that writes into the folder.
"""

import contextlib
import errno
import fcntl
import functools
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

from dsbuild.errors import StorageError

TEMPORARY = ".dsbuild-"  # names of files that are still being written start so
# A path that leads to no file: missing, below a file, a link to itself, too long a name.
NOWHERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)
_NAME = re.compile(rf"{re.escape(TEMPORARY)}.+-\d+-[0-9a-f]{{8}}", re.DOTALL)
_REMOVE = {stat.S_IFREG: os.unlink, stat.S_IFDIR: shutil.rmtree}
_FOLDERS = 1024  # of which it is known that they were swept
_AGAIN = "run the same command again"
_ROOM, _OTHER = f"make room, and {_AGAIN}", "choose a folder that can be written"
_REMEDIES = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EACCES: _OTHER,
    errno.EEXIST: _OTHER,
    errno.ELOOP: _OTHER,
    errno.ENOTDIR: _OTHER,
    errno.EPERM: _OTHER,
    errno.EROFS: _OTHER,
    errno.EFBIG: "raise the limit of a file's size (ulimit -f), or choose another folder",
    errno.EISDIR: "move the folder that has this name, or choose another one",
    errno.EMFILE: f"raise the limit of open files (ulimit -n), and {_AGAIN}",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOTEMPTY: _AGAIN,
}


class _File(NamedTuple):
    """Which file one is, whatever its name."""

    device: int
    number: int


def remedy(error: OSError) -> str:
    """Return what to do about an error of the system; the same command only where that helps."""
    return _REMEDIES.get(error.errno, f"look after the disk, and {_AGAIN}")


@contextlib.contextmanager
def writing(path: str) -> Iterator[BinaryIO]:
    """Write a file that appears under its name whole, or not at all.

    The file is synced, renamed, and its folder synced when the block ends; a
    block that raises leaves nothing behind. An OSError of the system (disk full,
    no permission) becomes a StorageError that names the path.
    """
    # Larger parts, such as records, go past the buffer uncopied.
    with placing(path) as temporary, open(temporary, "wb", buffering=1 << 14) as file:
        yield file


@contextlib.contextmanager
def placing(path: str) -> Iterator[str]:
    """Give a temporary name to a writer that opens files itself; else as `writing`."""
    folder, name = os.path.split(path)
    folder, made = folder or ".", None
    try:
        os.makedirs(folder, exist_ok=True)
        _sweep_once(folder)
        with _temporary(folder, name) as temporary:
            yield temporary
            made = _sync(temporary)
            os.replace(temporary, path)
        _sync(folder)
    except OSError as error:
        raise _failed(path, error, made) from error


def move(path: str, to: str) -> None:
    """Rename a file that was synced when it was written."""
    folder, made = os.path.dirname(to) or ".", None
    try:
        os.makedirs(folder, exist_ok=True)
        made = _which(os.lstat(path))
        os.replace(path, to)
        _sync(folder)
    except OSError as error:
        raise _failed(to, error, made) from error


def gone(path: str) -> bool:
    """Tell whether a path is known to lead to nothing, not even a link."""
    try:
        return _found(path) is None
    except OSError:
        return False


def _failed(path: str, error: OSError, made: _File | None) -> StorageError:
    """Return an error that says what is found under a name; `made` was to be there."""
    try:
        found = _found(path)
        left = "nothing was left" if found is None else f"an earlier {_kind(found)} stands"
        left += " under this name"
        if found is not None and _which(found) == made:
            return StorageError(
                f"{path}: was written, but may not outlast a power cut: {error.strerror}; "
                f"{remedy(error)}"
            )
    except OSError:
        left = "what stands under this name cannot be told"
    return StorageError(f"{path}: cannot be written: {error.strerror}; {left}; {remedy(error)}")


def _found(path: str) -> os.stat_result | None:
    """Return the status of what a path leads to, links not followed; None where that is nothing."""
    try:
        return os.lstat(path)
    except OSError as error:
        if error.errno in NOWHERE:
            return None
        raise


def _kind(status: os.stat_result) -> str:
    kinds = {stat.S_IFDIR: "folder", stat.S_IFLNK: "link"}
    return kinds.get(stat.S_IFMT(status.st_mode), "file")


def _which(status: os.stat_result) -> _File:
    return _File(status.st_dev, status.st_ino)


def _sync(path: str) -> _File:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
        return _which(os.fstat(handle))
    finally:
        os.close(handle)


@contextlib.contextmanager
def room(folder: str) -> Iterator[str]:
    """Give a temporary folder in a folder; it is removed when the block ends, as files are."""
    with contextlib.ExitStack() as stack:
        try:
            os.makedirs(folder, exist_ok=True)
            _sweep_once(folder)
            made = stack.enter_context(_locked(folder, "room", _create_folder))
        except OSError as error:
            raise StorageError(
                f"{folder}: cannot be written: {error.strerror}; {remedy(error)}"
            ) from error
        stack.callback(shutil.rmtree, made, ignore_errors=True)
        yield made


@contextlib.contextmanager
def _temporary(folder: str, name: str) -> Iterator[str]:
    """Give the path of a new temporary file; where a block raises, it goes."""
    with _locked(folder, name, _create_file) as made:
        try:
            yield made
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(made)
            raise


@contextlib.contextmanager
def _locked(folder: str, name: str, create: Callable[[str], int]) -> Iterator[str]:
    """Give a temporary path that `create` made, and this process has locked."""
    handle = None
    while handle is None:  # each other process sweeps a folder once
        made = os.path.join(folder, f"{TEMPORARY}{name}-{os.getpid()}-{os.urandom(4).hex()}")
        handle = _lock(made, create(made))
    try:
        yield made
    finally:
        with contextlib.suppress(OSError):  # what was synced is written
            os.close(handle)


def _create_file(path: str) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)


def _create_folder(path: str) -> int:
    os.mkdir(path)
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def _lock(path: str, handle: int) -> int | None:
    """Lock what was created, and return its handle; None where it was swept meanwhile."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    except OSError:  # a file system without locks, on which none is free either
        return handle
    if gone(path):
        os.close(handle)
        return None
    return handle


@functools.lru_cache(_FOLDERS)
def _sweep_once(folder: str) -> None:
    """Remove what killed processes left half-written in a folder; once in each process."""
    with contextlib.suppress(OSError), os.scandir(folder) as found:
        for name in [entry.name for entry in found if _NAME.fullmatch(entry.name)]:
            with contextlib.suppress(OSError):
                _remove_dead(os.path.join(folder, name))


def _remove_dead(path: str) -> None:
    """Remove a temporary file, unless a living process has it locked; raise OSError then."""
    kind = stat.S_IFMT(os.lstat(path).st_mode)
    if kind not in _REMOVE:
        return
    mode = os.O_RDONLY if kind == stat.S_IFDIR else os.O_RDWR  # as NFS wants it for a lock
    handle = os.open(path, mode | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _REMOVE[kind](path)
    finally:
        os.close(handle)
