"""Write local files that appear under their final names only when complete: fsync, then rename.

Until then a file has a temporary name in its own folder and is locked by the process that writes
it. A temporary file whose lock is free was left by a killed process, on whatever host; the next
process that writes to the folder removes it.
"""

import contextlib
import errno
import functools
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator
from typing import BinaryIO

from dsbuild.errors import StorageError
from dsbuild.storage import flock
from dsbuild.storage.syncing import File, sync, sync_all, which

TEMPORARY = ".dsbuild-"  # how names of unfinished files start
# Errors for a path that leads to nothing: missing, below a file, a link to itself, too long.
NOWHERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)
_NAME = re.compile(rf"{re.escape(TEMPORARY)}.+-\d+-[0-9a-f]{{8}}", re.DOTALL)
_REMOVE: dict[int, Callable[[str], object]] = {stat.S_IFREG: os.unlink, stat.S_IFDIR: shutil.rmtree}
_FOLDERS = 1024  # remembered as swept
_AGAIN = "run the same command again"
_ROOM, _OTHER = f"make room, and {_AGAIN}", "choose a folder that can be written to"
_REMEDIES = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EACCES: _OTHER,
    errno.EEXIST: _OTHER,
    errno.ELOOP: _OTHER,
    errno.ENOTDIR: _OTHER,
    errno.EPERM: _OTHER,
    errno.EROFS: _OTHER,
    errno.EFBIG: "raise the limit on file size (ulimit -f), or choose another folder",
    errno.EISDIR: "move the folder with this name, or choose another name",
    errno.EMFILE: f"raise the limit on open files (ulimit -n), and {_AGAIN}",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOTEMPTY: _AGAIN,
}


UNSYNCED = "was written, but may not survive a power cut"


def remedy(error: OSError) -> str:
    """Return what to do about a system error; suggest the same command only if that helps."""
    return _REMEDIES.get(error.errno or 0, f"check the disk, and {_AGAIN}")


@contextlib.contextmanager
def writing(path: str) -> Iterator[BinaryIO]:
    """Write a file that appears under its name when complete, or not at all.

    When the block ends, the file is synced and renamed, and its folder synced. A block that
    raises leaves nothing behind. An OSError (disk full, no permission) becomes a StorageError
    that names the path.
    """
    with together() as files, files.writing(path) as file:
        yield file


@contextlib.contextmanager
def placing(path: str) -> Iterator[str]:
    """Give a temporary name to a writer that opens files itself; otherwise like `writing`."""
    with together() as files, files.placing(path) as temporary:
        yield temporary


@contextlib.contextmanager
def together() -> Iterator["Together"]:
    """Write several files that appear one after the other when the block ends.

    All are synced at once before the first one is renamed, and their folders at once after the
    last: file systems sync many files in hardly more time than one. A block that raises leaves
    nothing behind.
    """
    with contextlib.ExitStack() as stack:
        files = Together(stack)
        yield files
        files.place()


class Together:
    """Files that are written, but do not have their final names yet."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._stack = stack
        self._places: list[tuple[str, str]] = []  # temporary and final path of every whole file

    @contextlib.contextmanager
    def writing(self, path: str) -> Iterator[BinaryIO]:
        """Write a file."""
        # Larger parts, such as records, bypass the buffer.
        with self.placing(path) as temporary, open(temporary, "wb", buffering=1 << 14) as file:
            yield file

    @contextlib.contextmanager
    def placing(self, path: str) -> Iterator[str]:
        """Give a temporary name to a writer that opens files itself."""
        flock.require()
        folder, name = os.path.split(path)
        try:
            os.makedirs(folder or ".", exist_ok=True)
            _sweep_once(folder or ".")
            temporary = self._stack.enter_context(_temporary(folder or ".", name))
            yield temporary
        except OSError as error:
            raise _failed(path, error, None) from error
        self._places.append((temporary, path))

    def place(self) -> None:
        """Sync all files, rename them in their order, and sync their folders."""
        made: dict[str, File] = {}
        synced = zip(self._places, sync_all([one for one, _ in self._places]), strict=True)
        for (_, path), found in synced:
            if isinstance(found, OSError):
                raise _failed(path, found, None) from found
            made[path] = found
        for temporary, path in self._places:
            try:
                os.replace(temporary, path)
            except OSError as error:
                raise _failed(path, error, made[path]) from error
        folders = {os.path.dirname(path) or ".": path for path in made}
        for path, found in zip(folders.values(), sync_all(list(folders)), strict=True):
            if isinstance(found, OSError):
                raise _failed(path, found, made[path]) from found


def move(path: str, to: str) -> None:
    """Rename a file that was synced when it was written."""
    folder, made = os.path.dirname(to) or ".", None
    try:
        os.makedirs(folder, exist_ok=True)
        made = which(os.lstat(path))
        os.replace(path, to)
        sync(folder)
    except OSError as error:
        raise _failed(to, error, made) from error


def gone(path: str) -> bool:
    """Tell whether a path is known to lead to nothing, not even a link."""
    try:
        return _status(path) is None
    except OSError:
        return False


def _failed(path: str, error: OSError, made: File | None) -> StorageError:
    """Return an error that says what now has the name that `made` was to get."""
    try:
        status = _status(path)
        left = "nothing was left under this name"
        if status is not None:
            left = f"an earlier {_kind(status)} still has this name"
        if status is not None and which(status) == made:
            return StorageError(f"{path}: {UNSYNCED}: {error.strerror}; {remedy(error)}")
    except OSError:
        left = "it is unknown what has this name"
    return StorageError(f"{path}: cannot be written: {error.strerror}; {left}; {remedy(error)}")


def _status(path: str) -> os.stat_result | None:
    """Return the status of a path, links not followed; None if it leads to nothing."""
    try:
        return os.lstat(path)
    except OSError as error:
        if error.errno in NOWHERE:
            return None
        raise


def _kind(status: os.stat_result) -> str:
    kinds = {stat.S_IFDIR: "folder", stat.S_IFLNK: "link"}
    return kinds.get(stat.S_IFMT(status.st_mode), "file")


@contextlib.contextmanager
def room(folder: str) -> Iterator[str]:
    """Give a temporary folder in a folder; it is removed when the block ends."""
    flock.require()
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
    """Give the path of a new temporary file; remove it if the block raises."""
    with _locked(folder, name, _create_file) as made:
        try:
            yield made
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(made)
            raise


@contextlib.contextmanager
def _locked(folder: str, name: str, create: Callable[[str], int]) -> Iterator[str]:
    """Give a temporary path that `create` made and this process locked."""
    handle = None
    while handle is None:  # it ends: every other process sweeps a folder once
        made = os.path.join(folder, f"{TEMPORARY}{name}-{os.getpid()}-{os.urandom(4).hex()}")
        handle = _lock(made, create(made))
    try:
        yield made
    finally:
        with contextlib.suppress(OSError):  # synced data is written
            os.close(handle)


def _create_file(path: str) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)


def _create_folder(path: str) -> int:
    os.mkdir(path)
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def _lock(path: str, handle: int) -> int | None:
    """Lock a new file or folder, and return its handle; None if it was swept meanwhile."""
    try:
        flock.lock(handle)
    except BlockingIOError:
        os.close(handle)
        return None
    except OSError:  # a file system without locks: no other process can lock it and sweep it
        return handle
    if gone(path):
        os.close(handle)
        return None
    return handle


@functools.lru_cache(_FOLDERS)
def _sweep_once(folder: str) -> None:
    """Remove unfinished files of killed processes in a folder; once per process."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for name in [entry.name for entry in entries if _NAME.fullmatch(entry.name)]:
            with contextlib.suppress(OSError):
                _remove_dead(os.path.join(folder, name))


def _remove_dead(path: str) -> None:
    """Remove a temporary file; raise OSError if a living process has it locked."""
    kind = stat.S_IFMT(os.lstat(path).st_mode)
    if kind not in _REMOVE:
        return
    mode = os.O_RDONLY if kind == stat.S_IFDIR else os.O_RDWR  # NFS requires this for a lock
    handle = os.open(path, mode | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    try:
        flock.lock(handle)
        _REMOVE[kind](path)
    finally:
        os.close(handle)
