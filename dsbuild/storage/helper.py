"""Start and ask the helper process of a forked process.

It handles many requests at a time and ends with the process that it helps.
"""

import contextlib
import itertools
import os
import socket
import subprocess
import sys
import sysconfig
import threading
from concurrent.futures import Future
from multiprocessing import spawn, util
from typing import Any

from dsbuild.errors import StorageError
from dsbuild.storage import forks, serving

_START = 60.0  # seconds to start, at most
_END = 5.0  # seconds to end, at most


class Helper:
    """A process that runs `serving.serve`; any number of threads may use it."""

    def __init__(self) -> None:
        self._asking, self._numbers = threading.RLock(), itertools.count()
        self._awaited: dict[int, Future[Any]] = {}
        self._alive = True
        self._end, theirs = socket.socketpair()
        with theirs:
            self._process = _start(theirs)
        self._end.settimeout(_START)
        try:
            serving.received(self._end)
        except (EOFError, OSError) as error:
            self.close()
            raise _unstarted(error) from error
        self._end.settimeout(None)
        threading.Thread(target=self._hear, daemon=True).start()
        util.Finalize(
            None, self.close, exitpriority=0
        )  # also runs in workers, so that no zombie is left

    def ask(self, url: str, name: str, *arguments: Any) -> Any:
        """Return the result of an operation or raise its error; StorageError if the helper died."""
        future: Future[Any] = Future()
        message = serving.packed(number := next(self._numbers), name, arguments)
        with self._asking:
            self._awaited[number] = future
            try:
                if self._alive:
                    self._end.sendall(message)
            except OSError:
                self._shut()
            except BaseException:  # Ctrl-C in the middle of a message
                self._shut()
                raise
            if not self._alive:
                self._give_up()
        try:
            return future.result()
        except EOFError:
            raise StorageError(
                f"{url}: the helper process that uses object stores for this forked process died; "
                "the system may have killed it because memory ran out: use fewer workers, or "
                f"{forks.REMEDY}"
            ) from None

    def _hear(self) -> None:
        try:
            while True:
                number, error, result = serving.received(self._end)
                if (future := self._awaited.pop(number, None)) is None:
                    continue
                if error is None:
                    future.set_result(result)
                else:
                    future.set_exception(error)
        except Exception:  # whatever happened, no thread may wait forever
            self._shut()
            with self._asking:
                self._give_up()
            self.close()

    def _give_up(self) -> None:
        while self._awaited:
            self._awaited.popitem()[1].set_exception(EOFError())

    def _shut(self) -> None:
        self._alive = False
        with contextlib.suppress(OSError):
            self._end.shutdown(socket.SHUT_RDWR)

    @property
    def alive(self) -> bool:
        """Whether it still takes requests, as far as this process knows."""
        return self._alive

    def close(self) -> None:
        """End the process; pending requests fail."""
        self._shut()
        try:
            self._process.wait(_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(_END)

    def leave(self) -> None:
        """Release the parent's helper after a fork: our copy of its socket would keep it alive."""
        self._alive, self._awaited, self._asking = False, {}, threading.RLock()
        os.close(self._end.detach())


def _start(theirs: socket.socket) -> subprocess.Popen[bytes]:
    """Start the process with a socket as its standard input."""
    code = "from dsbuild.storage.serving import serve; serve()"
    # The standard library comes first: while another thread imports OpenCV, OpenCV's folder is on
    # the path, and it has a module named `typing`.
    library = {*map(sysconfig.get_path, ("stdlib", "platstdlib"))}
    library |= {os.path.join(folder, "lib-dynload") for folder in library}
    paths = sorted(map(os.path.abspath, sys.path), key=lambda path: path not in library)
    try:
        return subprocess.Popen(
            [os.fsdecode(spawn.get_executable()), "-P", "-c", code],
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            start_new_session=True,  # Ctrl-C must not reach it: it ends with this process
        )
    except OSError as error:
        raise _unstarted(error) from error


def _unstarted(error: Exception) -> StorageError:
    return StorageError(
        "the helper process that uses object stores for this forked process did not start "
        f"({type(error).__name__}); {forks.REMEDY}"
    )
