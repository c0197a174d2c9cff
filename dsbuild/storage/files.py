"""All access to files, by local path or URL: list, read, write atomically, lock.

Local paths use the standard library (`local`); URLs of object stores use obstore (`objects`), which
is imported at the first URL. A process that was forked after that uses a helper process (`forked`).
Files appear under their final name only when complete.
"""

import contextlib
import io
import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import BinaryIO, Protocol

from dsbuild.storage import fencing, forks, lease, local, locks, objects, prefetch, urls, whole
from dsbuild.storage.fencing import carried, unheld
from dsbuild.storage.lease import Urgent
from dsbuild.storage.local import LARGEST, Stamp, join
from dsbuild.storage.prefetch import Read

__all__ = ["LARGEST", "Read", "Stamp", "Urgent", "carried", "join", "unheld"]


class _Room(Protocol):
    """The functions that `local`, `objects` and `forked` share."""

    def stamp(self, path: str, /) -> Stamp | None: ...
    def is_folder(self, path: str, /) -> bool: ...
    def entries(self, path: str, /) -> list[tuple[str, bool]]: ...
    def read(self, path: str, /) -> tuple[bytes, Stamp]: ...
    def read_part(self, path: str, offset: int, size: int, /) -> bytes: ...
    def reading(self, path: str, /) -> AbstractContextManager[tuple[io.BufferedReader, int]]: ...
    def writing(self, path: str, /) -> AbstractContextManager[BinaryIO]: ...
    def placing(self, path: str, /) -> AbstractContextManager[str]: ...
    def remove(self, *paths: str) -> None: ...


class _Far(_Room, Protocol):
    """The functions that `objects` and `forked` share."""

    def stamper(self) -> Callable[[str], Stamp | None]: ...


def is_remote(path: str) -> bool:
    """Tell whether a path is the URL of an object store."""
    # Local paths need no more than the first test.
    return "://" in path and urls.is_url(path)


def _room(path: str) -> _Room:
    return _far() if is_remote(path) else local


def _far() -> _Far:
    """Return the module for URLs: `objects`, or `forked` in a forked process."""
    if not forks.cut():
        return objects
    from dsbuild.storage import forked  # here, since few processes need it

    return forked


def normal(path: str) -> str:
    """Return a path without `.`, `..` and extra slashes."""
    path = os.fspath(path)
    return urls.normal(path) if urls.is_url(path) else os.path.normpath(path)


def name(path: str) -> str:
    """Return the last name in a path, also if it is relative, such as `.`."""
    path = os.fspath(path)
    path = urls.normal(path) if urls.is_url(path) else os.path.abspath(path)
    return os.path.basename(path)


def stamp(path: str) -> Stamp | None:
    """Return the stamp of a file, or None if there is no such file."""
    return _room(path).stamp(path)


def stamps(paths: Iterable[str]) -> Iterator[Stamp | None]:
    """Yield the stamp of each path, in order; for objects each folder is listed once."""
    remotely, here = _far().stamper(), local.stamp
    for path in paths:
        yield remotely(path) if "://" in path and is_remote(path) else here(path)


def odd(path: str) -> str:
    """Return what a path is if it is neither file nor folder, such as `a FIFO`; else ""."""
    return "" if is_remote(path) else local.odd(path)


def size(paths: Iterable[str]) -> int:
    """Return the total size of files in bytes; missing files count as empty."""
    return sum(item.size for item in stamps(paths) if item)


def is_folder(path: str) -> bool:
    """Tell whether a path is a folder; on a store, whether there is an object below it."""
    return _room(path).is_folder(path)


def names(folder: str) -> list[str]:
    """List the names in a folder, sorted; a missing folder has none."""
    if not is_remote(folder):
        return local.names(folder)
    return [name for name, _ in entries(folder)]


def entries(folder: str) -> list[tuple[str, bool]]:
    """List the names in a folder, sorted, each with whether it is a folder itself."""
    return _room(folder).entries(folder)


def ordered_entries(folder: str) -> Iterator[tuple[str, bool]]:
    """Yield what `entries` lists; of a local folder with few names in memory at a time."""
    return iter(entries(folder)) if is_remote(folder) else local.ordered_entries(folder)


def read(path: str) -> tuple[bytes, Stamp]:
    """Return a whole file, and its stamp at that time."""
    return _room(path).read(path)


def read_all(path: str) -> tuple[bytes, Stamp]:
    """Return what `read` does, and check the size of an object by another request.

    This is for files that are read once and decide everything else, such as lists of samples.
    """
    data, seen = read(path)
    hold(path, len(data))
    return data, seen


def hold(path: str, size: int, known: Stamp | None = None) -> None:
    """Raise StorageError if an object has another size than was read.

    `known` is its stamp, if that was requested before.
    """
    if is_remote(path):
        whole.hold_stamp(path, size, known or stamp(path))


def read_part(path: str, offset: int, size: int) -> bytes:
    """Return `size` bytes of a file from `offset` on, or fewer at its end."""
    return _room(path).read_part(path, offset, size)


def ahead(paths: Iterable[str]) -> AbstractContextManager[Read]:
    """Give a `read` for files that will be read in this order.

    From a store the next files are fetched in advance. All are in the same place as the first.
    """
    paths = iter(paths)
    first = next(paths, "")
    if not is_remote(first):
        return contextlib.nullcontext(read)
    return prefetch.ahead(itertools.chain([first], paths), _room(first).read)


def reading(path: str) -> AbstractContextManager[tuple[io.BufferedReader, int]]:
    """Open a file for reading, in order or from anywhere; give it and its size in bytes."""
    return _room(path).reading(path)


def sha256(path: str) -> tuple[str, int]:
    """Return the sha256 of a whole file, and its size in bytes."""
    import hashlib  # here, since OpenSSL loads slowly and is rarely needed

    with reading(path) as (file, size):
        return hashlib.file_digest(file, "sha256").hexdigest(), size


def writing(path: str) -> AbstractContextManager[BinaryIO]:
    """Write a file that appears under its name, complete, when the block ends, or not at all.

    A block that raises leaves nothing behind. Any other failure (disk full, no permission, no
    connection) becomes a StorageError that names the path.
    """
    return _room(path).writing(path)


def placing(path: str) -> AbstractContextManager[str]:
    """Give a temporary name to a writer that opens files itself; otherwise like `writing`."""
    return _room(path).placing(path)


def room(folder: str) -> AbstractContextManager[str]:
    """Give a temporary folder in a local folder, for files to rename into it."""
    return local.room(folder)


def write(path: str, data: bytes) -> None:
    """Write a small file completely or not at all."""
    with writing(path) as file:
        file.write(data)


def move(path: str, to: str) -> None:
    """Rename a complete file within one place, replacing any file of that name."""
    if not is_remote(path):
        local.move(path, to)
        return
    with reading(path) as (file, _), writing(to) as copy:  # stores cannot rename
        while part := file.read(1 << 23):
            copy.write(part)
    remove(path)


def remove(*paths: str) -> None:
    """Remove files in one place, in any order; missing files are no error."""
    if paths:
        _room(paths[0]).remove(*paths)


def remove_folder(path: str) -> None:
    """Remove a folder with everything below it; a missing folder is no error.

    A link is removed without the folder that it leads to.
    """
    if not is_remote(path) and local.is_link(path):
        remove(path)
        return
    content = entries(path)
    for name, is_folder in content:
        if is_folder:
            remove_folder(join(path, name))
    remove(*(join(path, name) for name, is_folder in content if not is_folder))
    if not is_remote(path):
        local.remove_empty(path)


def sweep(folder: str) -> None:
    """Remove unfinished files of killed processes in a folder; stores show no such files."""
    if not is_remote(folder):
        local.sweep(folder)


def inside(path: str, folder: str) -> bool:
    """Tell whether a path is a folder or anywhere below it, links resolved."""
    return relative(path, folder) is not None


def relative(path: str, folder: str) -> str | None:
    """Return a path relative to a folder, `.` for the folder itself; None if it is outside."""
    if is_remote(path) != is_remote(folder):
        return None
    return urls.relative(path, folder) if is_remote(path) else local.relative(path, folder)


def refuse_links(state: str) -> None:
    """Raise StorageError if dsbuild's folders in an output folder are links that lead out of it."""
    if not is_remote(state):
        locks.refuse_links(state)


def tenure(path: str) -> int | None:
    """Return the tenure of the lock that covers writes at a path; None without a lock."""
    return fencing.tenure(path) if is_remote(path) else None


def lock(path: str, note: Callable[[str], None] = lambda _: None) -> AbstractContextManager[None]:
    """Hold a lock file; raise StorageError if another living process holds it.

    The lock comes before any write to a folder, so this refuses folders whose own folders are
    links that lead out: files from somebody else must not decide where dsbuild writes. The lock
    of a process that ended, however it ended, becomes free: at once on a local file system, after
    half a minute on a store; `note` hears of the wait at once. Once another process took over a
    lock on a store, all writes in the folder raise LostLease, also in other processes if the work
    was `carried` there.
    """
    return lease.lock(path, note) if is_remote(path) else locks.lock(path)


@contextlib.contextmanager
def sharing(path: str, record: str) -> Iterator[bytes]:
    """Share a lock with others; give the content of the small file `record`, which then stays.

    A store has no shared lock: there, writing raises LostLease once the record was changed.
    """
    if not is_remote(path):
        with locks.lock(path, shared=True):
            yield read(record)[0]
        return
    found = read(record)[0]
    with fencing.holding(fencing.Hold(record, found.decode())):
        yield found
