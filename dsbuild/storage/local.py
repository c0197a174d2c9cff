"""Access local files with the standard library; `atomic` writes them."""

import contextlib
import errno
import io
import itertools
import operator
import os
import stat
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from dsbuild.errors import DeniedError, NoFileError, StorageError
from dsbuild.storage import flock, spool
from dsbuild.storage.atomic import NOWHERE as _NOWHERE
from dsbuild.storage.atomic import TEMPORARY, gone, remedy
from dsbuild.storage.atomic import move as move
from dsbuild.storage.atomic import placing as placing
from dsbuild.storage.atomic import room as room
from dsbuild.storage.atomic import together as together
from dsbuild.storage.atomic import writing as writing

# Kinds that are not files and may never end: they are only opened to recognise them.
_ODD = (
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_FAR = 1 << 63
LARGEST = (1 << 31) - 1  # bytes of a file to read whole; no record holds more


class Stamp(NamedTuple):
    """Cheap evidence of whether a file changed: size in bytes, the 64 bits of its mtime in ns."""

    size: int
    mtime_ns: int


def join(root: str, *names: str) -> str:
    """Join relative names with forward slashes to a root."""
    plain = isinstance(root, str) and root[-1:] not in ("/", "")
    if plain and len(names) == 1 and names[0][:1] not in ("/", ""):
        return f"{root}/{names[0]}"  # as below, but faster: it is called for every source
    return os.path.join(root, *names)


def stamp(path: str) -> Stamp | None:
    """Return the stamp of a file, or None if there is no such file."""
    status = _status(path)
    return None if status is None else _stamp(status)


def _stamp(status: os.stat_result) -> Stamp:
    mtime = status.st_mtime_ns
    if not -_FAR <= mtime < _FAR:  # after 2262; every form keeps 64 bits
        mtime = (mtime + _FAR) % (2 * _FAR) - _FAR
    return Stamp(status.st_size, mtime)


def _status(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except OSError as error:
        if error.errno in _NOWHERE:
            return None
        raise _kind(error)(f"{path}: cannot be examined: {error.strerror}") from error


def odd(path: str) -> str:
    """Return what a path is if it is neither file nor folder, such as `a FIFO`; else ""."""
    try:
        return _odd(os.stat(path).st_mode)
    except OSError:
        return ""


def _odd(mode: int) -> str:
    return next((name for test, name in _ODD if test(mode)), "")


def is_folder(path: str) -> bool:
    """Tell whether a path is a folder."""
    status = _status(path)
    return status is not None and stat.S_ISDIR(status.st_mode)


def is_link(path: str) -> bool:
    """Tell whether a path is a link, wherever that leads."""
    return os.path.islink(path)


def names(folder: str) -> list[str]:
    """List the names in a folder, sorted; a missing folder has none."""
    try:
        return sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise _unlisted(folder, error) from error


def entries(folder: str) -> list[tuple[str, bool]]:
    """List the names in a folder, sorted, each with whether it is a folder itself."""
    return some(folder, None)[0]


def ordered_entries(folder: str) -> Iterator[tuple[str, bool]]:
    """Yield what `entries` lists, with few names in memory however many there are."""
    try:
        with os.scandir(folder) as listing:
            found = ((entry.name, _leads_to_folder(entry)) for entry in listing)
            ordered = spool.ordered(found, key=operator.itemgetter(0))
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise _unlisted(folder, error) from error
    yield from ordered


def some(folder: str, most: int | None) -> tuple[list[tuple[str, bool]], bool]:
    """Return what `entries` does for up to `most` names, and whether these are all."""
    try:
        with os.scandir(folder) as listing:
            first = itertools.islice(listing, most)
            found = [(entry.name, _leads_to_folder(entry)) for entry in first]
            found.sort(key=operator.itemgetter(0))  # much faster than sorting pairs
            return found, next(listing, None) is None
    except (FileNotFoundError, NotADirectoryError):
        return [], True
    except OSError as error:
        raise _unlisted(folder, error) from error


def _unlisted(folder: str, error: OSError) -> StorageError:
    return _kind(error)(f"{folder}: cannot be listed: {error.strerror}")


def _leads_to_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError as error:
        if error.errno in _NOWHERE:
            return False  # a link to itself is neither a folder nor a readable file
        raise


def _kind(error: OSError) -> type[StorageError]:
    return DeniedError if isinstance(error, PermissionError) else StorageError


def _unread(path: str, error: OSError) -> StorageError:
    if error.errno in _NOWHERE:
        return NoFileError(f"{path}: there is no such file")
    if kind := "a folder" if isinstance(error, IsADirectoryError) else odd(path):
        return NoFileError(f"{path}: found {kind}, expected a file")
    return _kind(error)(f"{path}: cannot be read: {error.strerror}")


def _open(path: str) -> tuple[int, os.stat_result]:
    """Open a file for reading, but nothing else: a FIFO without a writer would never open."""
    flock.require()
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        status = os.fstat(handle)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return handle, status
    except BaseException:
        os.close(handle)
        raise


def read(path: str) -> tuple[bytes, Stamp]:
    """Return a whole file, and its stamp at that time."""
    try:
        handle, status = _open(path)
        try:
            data = _whole(path, handle, status.st_size)
        finally:
            os.close(handle)
    except OSError as error:
        raise _unread(path, error) from error
    return data, _stamp(status)


def _whole(path: str, handle: int, size: int) -> bytes:
    """Read a file of an expected size, and stop if it keeps growing."""
    if size > LARGEST:
        raise NoFileError(f"{path}: found {size:,} bytes, expected at most {LARGEST:,}")
    data = os.read(handle, size + 1)
    while len(data) < size and (more := os.read(handle, size + 1 - len(data))):
        data += more
    if len(data) != size:
        raise StorageError(
            f"{path}: found {'more' if len(data) > size else 'less'} than the {size:,} bytes of "
            "its listed size; wait until it is completely written"
        )
    return data


def read_part(path: str, offset: int, size: int) -> bytes:
    """Return some bytes of a file, or fewer at its end."""
    try:
        handle, status = _open(path)
        try:
            # A damaged index may ask for more than a file, or memory, holds.
            left = status.st_size - offset
            return os.pread(handle, min(size, left), offset) if offset >= 0 and left > 0 else b""
        finally:
            os.close(handle)
    except OSError as error:
        raise _unread(path, error) from error


@contextlib.contextmanager
def reading(path: str) -> Iterator[tuple[io.BufferedReader, int]]:
    """Open a file for reading in order; give it and its size in bytes."""
    try:
        handle, status = _open(path)
    except OSError as error:
        raise _unread(path, error) from error
    file: io.BufferedReader = io.BufferedReader(_File(handle, path), 1 << 18)
    with file:
        yield file, status.st_size


class _File(io.FileIO):
    """An open file whose errors name its path."""

    def __init__(self, handle: int, path: str) -> None:
        super().__init__(handle, "rb")
        self._path = path

    def readinto(self, buffer: Any) -> int | None:
        try:
            return super().readinto(buffer)
        except OSError as error:
            raise _unread(self._path, error) from error

    def close(self) -> None:
        with contextlib.suppress(OSError):  # all data has been read
            super().close()


def remove(*paths: str) -> None:
    """Remove files; missing files are no error."""
    for path in paths:
        _remove(path, os.unlink)


def remove_empty(folder: str) -> None:
    """Remove an empty folder; a missing folder is no error."""
    _remove(folder, os.rmdir)


def _remove(path: str, call: Callable[[str], None]) -> None:
    try:
        call(path)
    except OSError as error:
        if gone(path):
            return
        raise StorageError(
            f"{path}: cannot be removed: {error.strerror}; {remedy(error)}"
        ) from error


def sweep(folder: str) -> None:
    """Remove unfinished files in a folder whose lock this process holds."""
    for name, is_folder in entries(folder):
        if name.startswith(TEMPORARY) and not is_folder:
            remove(join(folder, name))


def relative(path: str, folder: str) -> str | None:
    """Return a path relative to a folder, links resolved; None if it is outside."""
    path, folder = os.path.realpath(path), os.path.realpath(folder)
    if path != folder and not path.startswith(folder.rstrip(os.sep) + os.sep):
        return None
    return os.path.relpath(path, folder)
