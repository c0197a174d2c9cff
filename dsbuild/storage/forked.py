"""`remote` for a process that was forked off obstore's threads: a fresh process asks for it.

That one is started by the first request, works on several at a time, and ends with this one.
"""

import contextlib
import io
import itertools
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from multiprocessing import spawn, util
from typing import Any, BinaryIO

from dsbuild.errors import StorageError
from dsbuild.storage import helper, temporary, urls
from dsbuild.storage.local import Stamp

_START = 60.0  # seconds in which a process starts
_END = 5.0  # and in which it ends
_PART = 1 << 18  # bytes that a reader asks for
_REMEDY = "start this process by spawn instead of by fork: multiprocessing.get_context('spawn')"


class _Helper:
    """A process of `helper`, as this one sees it."""

    def __init__(self):
        self._asking, self._numbers = threading.RLock(), itertools.count()
        self._awaited: dict[int, Future] = {}
        self._alive = True
        self._end, theirs = socket.socketpair()
        with theirs:
            self._process = _start(theirs)
        self._end.settimeout(_START)
        try:
            helper.received(self._end)
        except (EOFError, OSError) as error:
            self.close()
            raise _unstarted(error) from error
        self._end.settimeout(None)
        threading.Thread(target=self._hear, daemon=True).start()
        util.Finalize(None, self.close, exitpriority=0)  # workers, too, leave no zombie behind

    def ask(self, url: str, name: str, *arguments: Any) -> Any:
        """Return what an operation returns, or raise its error; StorageError where it died."""
        future: Future = Future()
        message = helper.packed(number := next(self._numbers), name, arguments)
        with self._asking:
            self._awaited[number] = future
            try:
                if self._alive:
                    self._end.sendall(message)
            except OSError:
                self._shut()
            except BaseException:  # Ctrl-C, with half of a message on its way
                self._shut()
                raise
            if not self._alive:
                self._give_up()
        try:
            return future.result()
        except EOFError:
            raise StorageError(
                f"{url}: a forked process has stores asked by a fresh one, and that one died; the "
                f"system may have killed it for want of memory: use fewer workers, or {_REMEDY}"
            ) from None

    def _hear(self) -> None:
        try:
            while True:
                number, error, result = helper.received(self._end)
                if (future := self._awaited.pop(number, None)) is None:
                    continue
                if error is None:
                    future.set_result(result)
                else:
                    future.set_exception(error)
        except Exception:  # whatever it is, nobody waits for ever
            self.close()
            with self._asking:
                self._give_up()

    def _give_up(self) -> None:
        while self._awaited:
            self._awaited.popitem()[1].set_exception(EOFError())

    def _shut(self) -> None:
        self._alive = False
        with contextlib.suppress(OSError):
            self._end.shutdown(socket.SHUT_RDWR)

    @property
    def alive(self) -> bool:
        """Whether it can be asked, as far as is known."""
        return self._alive

    def close(self) -> None:
        """End the process; what is awaited of it fails."""
        self._shut()
        try:
            self._process.wait(_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(_END)

    def leave(self) -> None:
        """Close the copy of our end in a process that was forked, which would keep it alive."""
        os.close(self._end.detach())


def _start(theirs: socket.socket) -> subprocess.Popen:
    """Start the process at an end."""
    code = "from dsbuild.storage.helper import serve; serve()"
    try:
        return subprocess.Popen(
            [spawn.get_executable(), "-P", "-c", code],
            stdin=theirs,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))},
            start_new_session=True,  # it hears no Ctrl-C: it ends with this process
        )
    except OSError as error:
        raise _unstarted(error) from error


def _unstarted(error: Exception) -> StorageError:
    return StorageError(
        "a forked process has stores asked by a fresh one, and that one did not start "
        f"({type(error).__name__}); {_REMEDY}"
    )


_helper: _Helper | None = None
_starting = threading.Lock()


def _forked() -> None:
    """Forget the process of the parent: each has its own."""
    global _helper, _starting
    if _helper is not None:
        _helper.leave()
        _left.append(_helper)
    _helper, _starting = None, threading.Lock()


_left: list[_Helper] = []  # kept, or they would be taken for children that nobody waits for
os.register_at_fork(after_in_child=_forked)


def _ask(url: str, name: str, *arguments: Any) -> Any:
    global _helper
    place = urls.split(url)
    if place.scheme == "memory":
        raise StorageError(
            f"memory://{place.bucket}: lies in the memory of one process, and this one was forked "
            "from it; read it there, without workers"
        )
    with _starting:
        if _helper is None or not _helper.alive:
            _helper = _Helper()
        asked = _helper
    return asked.ask(url, name, *arguments)


def stamp(url: str) -> Stamp | None:
    """Return the object's stamp, or None where there is no such object."""
    return _ask(url, "stamp", url)


def stamper() -> Callable[[str], Stamp | None]:
    """Return `stamp` for many objects: a folder is listed once, and no object asked for."""
    name = secrets.token_hex(8)
    return lambda url: _ask(url, "stamped", name, url)


def is_folder(url: str) -> bool:
    """Tell whether some object lies below a URL."""
    return _ask(url, "is_folder", url)


def entries(url: str) -> list[tuple[str, bool]]:
    """List the names right below a URL, sorted, each with whether objects lie below it."""
    return _ask(url, "entries", url)


def read(url: str) -> tuple[bytes, Stamp]:
    """Return a whole object and its stamp, of one request."""
    return _ask(url, "read", url)


def read_part(url: str, offset: int, size: int) -> bytes:
    """Return some bytes of an object, of one request; fewer where it ends before them."""
    return _ask(url, "read_part", url, offset, size)


@contextlib.contextmanager
def reading(url: str) -> Iterator[tuple[BinaryIO, int]]:
    """Open an object for reading, in order or from anywhere; give it and its size."""
    name = secrets.token_hex(8)
    size = _ask(url, "begin", name, url)
    try:
        with io.BufferedReader(_Far(url, name, size), _PART) as file:
            yield file, size
    finally:
        with contextlib.suppress(StorageError):  # it died, and the file with it
            _ask(url, "end", name)


class _Far(io.RawIOBase):
    """An object that the other process has open, as a raw file."""

    def __init__(self, url: str, name: str, size: int):
        self._url, self._name, self._size, self._at = url, name, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        part = self._part(len(buffer)) if self._at < self._size else b""
        buffer[: len(part)] = part
        return len(part)

    def readall(self) -> bytes:
        return b"".join(iter(lambda: self._part(_PART), b""))

    def _part(self, size: int) -> bytes:
        found = _ask(self._url, "part", self._name, self._at, size)
        self._at += len(found)
        return found


@contextlib.contextmanager
def writing(url: str) -> Iterator[BinaryIO]:
    """Write an object that appears whole when the block ends, or not at all."""
    with placing(url) as path, open(path, "xb") as file:
        yield file


@contextlib.contextmanager
def placing(url: str) -> Iterator[str]:
    """Give a temporary name on this machine to a writer that opens files itself."""
    urls.split(url)
    with temporary.named(url), tempfile.TemporaryDirectory(prefix="dsbuild-") as folder:
        path = os.path.join(folder, os.path.basename(url))
        yield path
        _ask(url, "put", url, path)


def remove(*urls: str) -> None:
    """Remove objects of one bucket, many by one request; one that is not there is no error."""
    _ask(urls[0], "remove", *urls)
