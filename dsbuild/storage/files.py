"""The one door to files: list, read, write whole, lock; by local path, or by URL.

Local paths go to the standard library (`local`), URLs of object stores to obstore
(`remote`), which is imported when the first one is met; a process forked after that has a
helper process do it (`forked`). Either way no half-written file ever bears a final name.
"""

import contextlib
import contextvars
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import BinaryIO

from dsbuild.storage import fencing, forks, lease, local, locks, objects, prefetch, urls, whole
from dsbuild.storage.fencing import carried, unheld
from dsbuild.storage.lease import Urgent
from dsbuild.storage.local import LARGEST, Stamp, join
from dsbuild.storage.prefetch import Read

__all__ = ["LARGEST", "Read", "Stamp", "Urgent", "carried", "join", "unheld"]


def is_remote(path: str) -> bool:
    """Tell whether a path is the URL of an object store."""
    return _room(path) is not local


def _room(path: str):
    # The first test is all that a local path is asked for.
    return _far() if "://" in path and urls.is_url(path) else local


def _far():
    """Return the module for URLs; `forked` has the same functions as `remote`."""
    if not forks.cut():
        return objects
    from dsbuild.storage import forked  # here, since few processes need it

    return forked


def normal(path: str) -> str:
    """Return a path without `.`, `..` and needless slashes."""
    path = os.fspath(path)
    return urls.normal(path) if urls.is_url(path) else os.path.normpath(path)


def name(path: str) -> str:
    """Return the last name of a path; of a relative one such as `.`, too."""
    path = os.fspath(path)
    path = urls.normal(path) if urls.is_url(path) else os.path.abspath(path)
    return os.path.basename(path)


def stamp(path: str) -> Stamp | None:
    """Return the file's stamp, or None where there is no such file."""
    return _room(path).stamp(path)


def stamps(paths: Iterable[str]) -> Iterator[Stamp | None]:
    """Yield the stamp of each path, in order; of objects by listing each folder once."""
    remotely = _far().stamper()
    for path in paths:
        yield local.stamp(path) if _room(path) is local else remotely(path)


def odd(path: str) -> str:
    """Return what a path leads to that is neither file nor folder, such as `a FIFO`; else ""."""
    return "" if is_remote(path) else local.odd(path)


def size(paths: Iterable[str]) -> int:
    """Return how many bytes files have together; one that is not there has none."""
    return sum(found.size for found in stamps(paths) if found)


def is_folder(path: str) -> bool:
    """Tell whether path is a folder; on a store, whether some object lies below it."""
    return _room(path).is_folder(path)


def names(folder: str) -> list[str]:
    """List the names in a folder, sorted; a missing folder has none."""
    return [name for name, _ in entries(folder)]


def entries(folder: str) -> list[tuple[str, bool]]:
    """List the names in a folder, sorted, each with whether it is a folder itself."""
    return _room(folder).entries(folder)


def read(path: str) -> tuple[bytes, Stamp]:
    """Return a whole file and the stamp that it had when it was read."""
    return _room(path).read(path)


def read_all(path: str) -> tuple[bytes, Stamp]:
    """Return what `read` does, of an object held against its size by another request, too.

    For what is read once and decides all else, such as a list of samples.
    """
    found = read(path)
    hold(path, len(found[0]))
    return found


def hold(path: str, size: int, known: Stamp | None = None) -> None:
    """Raise StorageError where an object has not the size that was read of it.

    `known` is its stamp, where that was asked for.
    """
    if is_remote(path):
        whole.hold_stamp(path, size, known or stamp(path))


def read_part(path: str, offset: int, size: int) -> bytes:
    """Return `size` bytes of a file from `offset` on; fewer where it ends before them."""
    return _room(path).read_part(path, offset, size)


def ahead(paths: Iterable[str]) -> AbstractContextManager[Read]:
    """Give a `read` for files that are about to be read in this order.

    Of a store the next ones are fetched meanwhile; the first path tells which it is.
    """
    paths = iter(paths)
    first = next(paths, "")
    if _room(first) is local:
        return contextlib.nullcontext(read)
    return prefetch.ahead(itertools.chain([first], paths), _room(first).read)


def reading(path: str) -> AbstractContextManager[tuple[BinaryIO, int]]:
    """Open a file for reading, in order or from anywhere; give it and its size in bytes."""
    return _room(path).reading(path)


def sha256(path: str) -> tuple[str, int]:
    """Return the sha256 of a whole file, and its size in bytes."""
    import hashlib  # here, since OpenSSL is slow to load and much does without

    with reading(path) as (file, size):
        return hashlib.file_digest(file, "sha256").hexdigest(), size


def writing(path: str) -> AbstractContextManager[BinaryIO]:
    """Write a file that appears under its name whole when the block ends, or not at all.

    A block that raises leaves nothing behind. Whatever else goes wrong (disk full, no
    permission, no connection) becomes a StorageError that names the path.
    """
    return _room(path).writing(path)


def placing(path: str) -> AbstractContextManager[str]:
    """Give a temporary name to a writer that opens files itself; else as `writing`."""
    return _room(path).placing(path)


def room(folder: str) -> AbstractContextManager[str]:
    """Give a temporary folder in a local folder, for what becomes its content by a rename."""
    return local.room(folder)


def write(path: str, data: bytes) -> None:
    """Write a small file whole, or not at all."""
    with writing(path) as file:
        file.write(data)


def write_all(files: Mapping[str, bytes]) -> None:
    """Write small files of one place, each whole or not at all; those of a store side by side."""
    if len(files) < 2 or _room(next(iter(files))) is local:
        for path, data in files.items():
            write(path, data)
        return
    from concurrent.futures import ThreadPoolExecutor  # here: `--help` needs no threads

    with ThreadPoolExecutor(len(files)) as pool:
        # A thread has no context of its own, in which the lock is that they are written under.
        tasks = [
            pool.submit(contextvars.copy_context().run, write, path, data)
            for path, data in files.items()
        ]
        for task in tasks:
            task.result()


def move(path: str, to: str) -> None:
    """Give a whole file another name in the same place, in the stead of what is there."""
    if _room(path) is local:
        local.move(path, to)
        return
    with reading(path) as (file, _), writing(to) as copy:  # a store has no names to change
        while part := file.read(1 << 23):
            copy.write(part)
    remove(path)


def remove(*paths: str) -> None:
    """Remove files of one place, in any order; one that is not there is no error."""
    if paths:
        _room(paths[0]).remove(*paths)


def remove_folder(path: str) -> None:
    """Remove a folder with all that lies below it; one that is not there is no error.

    Of a link the link goes, and what it leads to stays.
    """
    if _room(path) is local and local.is_link(path):
        remove(path)
        return
    found = entries(path)
    for name, is_folder in found:
        if is_folder:
            remove_folder(join(path, name))
    remove(*(join(path, name) for name, is_folder in found if not is_folder))
    if _room(path) is local:
        local.remove_empty(path)


def sweep(folder: str) -> None:
    """Remove what a killed process left half-written in a folder; a store shows no such thing."""
    if _room(folder) is local:
        local.sweep(folder)


def inside(path: str, folder: str) -> bool:
    """Tell whether path is the folder or lies anywhere below it, links resolved."""
    return relative(path, folder) is not None


def relative(path: str, folder: str) -> str | None:
    """Return path relative to folder, `.` for the folder itself; None where it is not inside."""
    rooms = {_room(path), _room(folder)}
    if len(rooms) > 1:
        return None
    return local.relative(path, folder) if local in rooms else urls.relative(path, folder)


def refuse_links(state: str) -> None:
    """Raise StorageError where a folder's own folders are links that lead out of it."""
    if _room(state) is local:
        locks.refuse_links(state)


def tenure(path: str) -> int | None:
    """Return the number of the lock that a path is written under; None where it has none."""
    return fencing.tenure(path) if is_remote(path) else None


def lock(path: str, note: Callable[[str], None] = lambda _: None) -> AbstractContextManager[None]:
    """Hold a lock file; raise StorageError where another living process holds it.

    It is held before anything is written into a folder, so here a folder is refused whose own
    folders are links that lead out of it: what somebody sent says not where to write.
    The lock of a process that ended in any way is free: at once on a local file system,
    after half a minute on a store, of which `note` is told at once. While a lock on a store is
    held, nothing is written in its folder once another process took it over: that raises
    LostLease, in the work of other processes too, which has to be `carried` to them.
    """
    return locks.lock(path) if _room(path) is local else lease.lock(path, note)


@contextlib.contextmanager
def sharing(path: str, record: str) -> Iterator[bytes]:
    """Share a lock with other processes that share it; give what the small file `record` holds.

    Nobody has the lock for itself meanwhile, so on a local file system the record stays as it is.
    A store has no lock that could be shared: there whatever is written in the folder is held
    against the record, and raises LostLease once that was changed or removed.
    """
    if _room(path) is local:
        with locks.lock(path, shared=True):
            yield read(record)[0]
        return
    found = read(record)[0]
    with fencing.holding(fencing.Hold(record, found.decode())):
        yield found
