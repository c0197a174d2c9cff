"""A worker process, from inside: it receives tasks through a pipe and sends back results."""

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import pickle
import signal
import struct
import sys
import threading
import time
import traceback
from collections.abc import Iterable
from typing import Any

from dsbuild.engines import lanes
from dsbuild.engines.job import Stopped
from dsbuild.engines.process import tune
from dsbuild.errors import DsbuildError
from dsbuild.storage import waiting

LENGTH = struct.Struct("<Q")  # comes before every message of a worker
_TELL = 0.1  # seconds between two messages with counts; a stop is heard as often


def serve(
    pipes: Iterable[multiprocessing.connection.Connection],
    parents: Iterable[multiprocessing.connection.Connection],
) -> None:
    """Do the tasks that come through pipes, one of each at a time, until all are closed."""
    for one in parents:
        one.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent alone hears Ctrl-C
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # whatever the parent does then
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # The cores have their workers already. OpenCV reads this when it is first imported.
    os.environ["OPENCV_FOR_THREADS_NUM"] = "1"
    if "cv2" in sys.modules:
        sys.modules["cv2"].setNumThreads(1)
    tune()
    first, *others = map(_Line, pipes)
    with waiting.heard_by(first.tell):
        if not others:
            first.serve()
            return
        turns = threading.Lock()
        for lane in [lanes.start(line.serve, turns) for line in (first, *others)]:
            lane.join()


def _end_with_parent() -> None:
    # Otherwise a worker notices only at its next sample that its parent was killed.
    if parent := multiprocessing.parent_process():
        multiprocessing.connection.wait([parent.sentinel])
    os._exit(1)


def _portable(error: BaseException) -> BaseException:
    """Return an error that survives pickling; a bug gets a note with its traceback."""
    portable: BaseException = error
    if not isinstance(error, DsbuildError):
        portable = error if _survives(error) else RuntimeError(f"{type(error).__name__}: {error}")
        portable.add_note("".join(traceback.format_exception(error)))
    return portable


def _survives(error: BaseException) -> bool:
    try:
        return type(pickle.loads(pickle.dumps(error))) is type(error)
    except Exception:
        return False


class _Line:
    """The messages of a worker to its parent: counts, and results of tasks."""

    def __init__(self, pipe: multiprocessing.connection.Connection) -> None:
        self._pipe, self._due, self._sending = pipe, 0.0, threading.Lock()
        self._samples = self._bytes = 0

    def serve(self) -> None:
        """Do one task after another, until the other end of the pipe is closed."""
        # However this ends, the parent hears of it: other lanes may keep the process alive.
        with self._pipe, contextlib.suppress(EOFError, OSError):
            while True:
                packed = self._pipe.recv_bytes()
                try:
                    work, task = pickle.loads(packed)
                    told = self.packed(None, work(task, self.advance))
                except BaseException as error:
                    told = self.packed(_portable(error), None)
                self.send(told)

    def advance(self, samples: int, size: int) -> None:
        """Count what was done since the last call; raise Stopped if the parent has gone."""
        self._samples += samples
        self._bytes += size
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + _TELL
        # Nothing is sent to a worker at work, so only the end of the pipe can be read.
        if self._pipe.poll():
            raise Stopped
        try:
            self.send(self.packed())
        except OSError:
            raise Stopped from None

    def tell(self, what: str, said: str) -> None:
        """Pass on a message about a wait, from any thread; a parent that has gone misses it."""
        with contextlib.suppress(OSError):
            self.send(self.packed((what, said)))

    def packed(self, *done: Any) -> bytes:
        """Return a message, pickled: the counts, then either of these.

        Error and result of a finished task, or one pair about a wait.
        """
        return pickle.dumps((self._samples, self._bytes, *done), pickle.HIGHEST_PROTOCOL)

    def send(self, message: bytes) -> None:
        """Send a message; raise OSError if nobody receives it."""
        with self._sending:
            for part in (LENGTH.pack(len(message)), message):
                left = memoryview(part)
                while left:
                    left = left[os.write(self._pipe.fileno(), left) :]
