"""The functions of `objects` for a process forked after obstore was imported, through a helper."""

import contextlib
import functools
import io
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from dsbuild.errors import StorageError
from dsbuild.storage import fencing, forks, temporary, urls
from dsbuild.storage.helper import Helper
from dsbuild.storage.local import Stamp
from dsbuild.storage.raw import RawObject

_PART = 1 << 18  # bytes requested at a time, at least

_helper: Helper | None = None
_starting = threading.RLock()
_left: list[Helper] = []  # kept, since Popen would try to reap a process that is not our child


def _forked() -> None:
    """Forget the helper of the parent process: each process has its own."""
    global _helper, _starting
    if _helper is not None:
        _helper.leave()
        _left.append(_helper)
    _helper, _starting = None, threading.RLock()


os.register_at_fork(after_in_child=_forked)


def _started(url: str) -> Helper:
    """Return the helper of this process, started if necessary; raise StorageError if impossible."""
    global _helper
    place = urls.split(url)
    if place.scheme == "memory":
        raise StorageError(
            f"{place.url}: memory:// exists in one process only, and this process was forked from "
            "it; read it there, without workers"
        )
    with _starting:
        if _helper is None or not _helper.alive:
            _helper = Helper()
        return _helper


def _ask(url: str, name: str, *arguments: Any) -> Any:
    return _started(url).ask(url, name, *arguments)


def stamp(url: str) -> Stamp | None:
    """Return the stamp of an object, or None if there is no such object."""
    answer: Stamp | None = _ask(url, "stamp", url)
    return answer


def stamper() -> Callable[[str], Stamp | None]:
    """Return a `stamp` for many objects, which lists each folder once instead."""
    name = os.urandom(8).hex()
    return lambda url: _ask(url, "stamped", name, url)


def is_folder(url: str) -> bool:
    """Tell whether there is an object below a URL."""
    answer: bool = _ask(url, "is_folder", url)
    return answer


def entries(url: str) -> list[tuple[str, bool]]:
    """List the names directly below a URL, sorted, each with whether it is a folder."""
    answer: list[tuple[str, bool]] = _ask(url, "entries", url)
    return answer


def some(url: str, most: int) -> tuple[list[tuple[str, bool]], bool]:
    """Return what `entries` does for up to `most` names, and whether these are all."""
    answer: tuple[list[tuple[str, bool]], bool] = _ask(url, "some", url, most)
    return answer


def read(url: str) -> tuple[bytes, Stamp]:
    """Return a whole object and its stamp, from one request."""
    answer: tuple[bytes, Stamp] = _ask(url, "read", url)
    return answer


def read_part(url: str, offset: int, size: int) -> bytes:
    """Return some bytes of an object, from one request; fewer at its end."""
    answer: bytes = _ask(url, "read_part", url, offset, size)
    return answer


@contextlib.contextmanager
def reading(url: str) -> Iterator[tuple[io.BufferedReader, int]]:
    """Open an object for reading, in order or from anywhere; give it and its size."""
    ask = functools.partial(_started(url).ask, url)
    name = os.urandom(8).hex()
    size = ask("begin", name, url)
    try:
        raw = _Far(functools.partial(ask, "part", name), size)
        file: io.BufferedReader = io.BufferedReader(raw, _PART)
        with file:
            yield file, size
    finally:
        with contextlib.suppress(StorageError):  # if the helper died, nothing is open
            ask("end", name)


class _Far(RawObject):
    """A raw file over an object that the helper has open; `part(offset, size)` reads from it."""

    def __init__(self, part: Callable[[int, int], bytes], size: int) -> None:
        super().__init__(size)
        self._part = part

    def readinto(self, buffer: Any) -> int:
        part = self._part(self._at, len(buffer)) if self._at < self.size else b""
        buffer[: len(part)] = part
        self._at += len(part)
        return len(part)

    def readall(self) -> bytes:
        return b"".join(iter(lambda: self.read(_PART), b""))


@contextlib.contextmanager
def writing(url: str) -> Iterator[BinaryIO]:
    """Write an object that appears, complete, when the block ends, or not at all."""
    with placing(url) as path, open(path, "xb") as file:
        yield file


@contextlib.contextmanager
def placing(url: str) -> Iterator[str]:
    """Give a temporary name on this machine to a writer that opens files itself."""
    _unlocked(url)
    with temporary.named(url), tempfile.TemporaryDirectory(prefix="dsbuild-") as folder:
        path = os.path.join(folder, os.path.basename(url))
        yield path
        _ask(url, "put", url, path)


def remove(*urls: str) -> None:
    """Remove objects from one bucket, many per request; missing objects are no error."""
    _unlocked(urls[0])
    _ask(urls[0], "remove", *urls)


def _unlocked(url: str) -> None:
    """Raise StorageError for a URL that is under a lock: requests to the helper carry no lock."""
    if fencing.over(url):
        raise StorageError(f"{url}: {forks.REFUSED}")
