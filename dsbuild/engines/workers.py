"""Worker processes, each told and heard by a pipe of its own: none waits for one that died.

Nothing is shared: no lock that a killed process keeps, no queue whose end its siblings hold
open. The parent takes what has come and never waits for the rest of a message, so one that
was cut short is the end of its worker, and not a wait.
"""

import collections
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
from collections.abc import Callable, Iterable, Iterator
from multiprocessing import resource_tracker
from typing import Any, NoReturn

from dsbuild.engines.job import Stopped, tune
from dsbuild.errors import DsbuildError
from dsbuild.storage import waiting

_LENGTH = struct.Struct("<Q")  # stands before every message of a worker
_PART = 1 << 20  # bytes of a message that are taken at once
_TELL = 0.1  # seconds from one telling of the counts to the next, when a stop is heard, too
_Packed = tuple[str, bytes]  # a task that is about to be given: its name, and it itself
_PATIENCE = 60.0  # seconds in which a worker that is to stop comes to its next sample


def spread(
    work: Callable[..., Any],
    tasks: Iterable[Any],
    count: int,
    method: str,
    show: Callable[[int, int], None],
) -> list[Any]:
    """Return the results of `work(task, advance)` in the order of tasks, by `count` processes.

    `method` is how these start: by fork or by spawn. `show` is told the samples and bytes that
    are done. The first error stops all others and is raised, as is Ctrl-C; DsbuildError where
    a process died. A few tasks are taken ahead, so that no worker waits for its next one.
    """
    packed = (
        (getattr(task, "name", ""), pickle.dumps((work, task), pickle.HIGHEST_PROTOCOL))
        for task in tasks
    )
    results: list[Any] = []
    workers: list[_Worker] = []
    try:
        while len(workers) < count:
            workers.append(_Worker(method, workers))
        ready, idle = collections.deque[_Packed](), list(workers)
        while True:
            while idle and (ready or _fill(ready, packed, 1)):
                results.append(None)
                idle.pop().give(len(results) - 1, *ready.popleft())
            busy = [worker for worker in workers if worker.task is not None]
            if not busy:
                return results
            _fill(ready, packed, count)
            for worker in _heard(busy):
                for result in worker.hear():
                    results[worker.task], worker.task = result, None
                    idle.append(worker)
            show(sum(one.samples for one in workers), sum(one.bytes for one in workers))
    finally:
        _end(workers)


def _fill(ready: collections.deque[_Packed], packed: Iterator[_Packed], count: int) -> bool:
    """Take tasks until so many are ready; tell whether any is."""
    while len(ready) < count and (one := next(packed, None)) is not None:
        ready.append(one)
    return bool(ready)


def _heard(workers: Iterable["_Worker"]) -> list["_Worker"]:
    """Wait until a worker said something, or died; return those of which there is news."""
    watched = {one.pipe: one for one in workers} | {one.process.sentinel: one for one in workers}
    ready = multiprocessing.connection.wait(list(watched))
    return list({id(watched[one]): watched[one] for one in ready}.values())


class _Worker:
    """A process that does one task at a time, as its parent sees it.

    Attributes:
      task: the number of what it is at, None where it waits.
      name: of that, if it has one.
      samples, bytes: what it did in all.
    """

    def __init__(self, method: str, before: Iterable["_Worker"]):
        context = multiprocessing.get_context(method)
        self.pipe, theirs = context.Pipe()
        # A forked process has copies of all our ends. It closes them, for as long as one of
        # them is open nobody hears that we died.
        ours = [self.pipe, *(one.pipe for one in before)] if method == "fork" else []
        self.process = context.Process(target=_serve, args=(theirs, ours), daemon=True)
        if method != "fork":
            resource_tracker.ensure_running()  # whose start would let interruptions through
        with _interruptions_held():
            self.process.start()
        theirs.close()
        self.task: int | None = None
        self.name = ""
        self.samples = self.bytes = 0
        self._data = bytearray()

    def give(self, number: int, name: str, packed: bytes) -> None:
        """Hand over a task."""
        self.task, self.name = number, name
        try:
            self.pipe.send_bytes(packed)
        except OSError:
            self._died()

    def hear(self) -> Iterator[Any]:
        """Take what has come, and yield the result if that is whole; raise the error of a task."""
        try:
            data = os.read(self.pipe.fileno(), _PART) if self.pipe.poll() else b""
        except OSError:
            data = b""
        if not data:
            self._died()
        self._data += data
        while len(self._data) >= _LENGTH.size:
            end = _LENGTH.size + _LENGTH.unpack_from(self._data)[0]
            if len(self._data) < end:
                return
            with memoryview(self._data) as view:
                self.samples, self.bytes, *done = pickle.loads(view[_LENGTH.size : end])
            del self._data[:end]
            if len(done) == 1:
                waiting.tell(*done[0])
            elif done:
                error, result = done
                if error is not None:
                    raise error
                yield result

    def _died(self) -> NoReturn:
        at = f" at {self.name}" if self.name else ""
        raise DsbuildError(
            f"a worker process died{at}; the system may have killed it for want of memory: run "
            "the same command again with fewer --workers, finished shards are kept"
        )


@contextlib.contextmanager
def _interruptions_held() -> Iterator[None]:
    """Hold back Ctrl-C for a while, here and in a process that is started meanwhile.

    A worker hears it before it can ignore it, and dies aloud in the middle of its start.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end(workers: Iterable[_Worker]) -> None:
    """End all processes: at their next sample, or, where they do not come to it, by force."""
    for one in workers:
        one.pipe.close()  # which they hear as a stop
    until = time.monotonic() + _PATIENCE
    try:
        for one in workers:
            one.process.join(max(0.0, until - time.monotonic()))
    finally:
        for one in workers:
            if one.process.is_alive():
                one.process.kill()
                one.process.join(1.0)


def _serve(
    pipe: multiprocessing.connection.Connection,
    parents: Iterable[multiprocessing.connection.Connection],
) -> None:
    """Be a worker: do what comes through a pipe until its other end is closed."""
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
    line = _Line(pipe)
    # The parent's end may be closed.
    with waiting.heard_by(line.tell), contextlib.suppress(EOFError, OSError):
        while True:
            packed = pipe.recv_bytes()
            try:
                work, task = pickle.loads(packed)
                told = line.packed(None, work(task, line.advance))
            except BaseException as error:
                told = line.packed(_portable(error), None)
            line.send(told)


def _end_with_parent() -> None:
    # A worker hears that its parent was killed at its next sample, which may be far.
    multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
    os._exit(1)


def _portable(error: BaseException) -> BaseException:
    """Return an error that survives pickling, and, where it is a bug, says where it arose."""
    if isinstance(error, DsbuildError):
        portable = error
    else:
        portable = error if _survives(error) else RuntimeError(f"{type(error).__name__}: {error}")
        portable.add_note("".join(traceback.format_exception(error)))
    return portable


def _survives(error: BaseException) -> bool:
    try:
        return type(pickle.loads(pickle.dumps(error))) is type(error)
    except Exception:
        return False


class _Line:
    """What a worker tells its parent: its counts, and what came of a task."""

    def __init__(self, pipe: multiprocessing.connection.Connection):
        self._pipe, self._due, self._sending = pipe, 0.0, threading.Lock()
        self._samples = self._bytes = 0

    def advance(self, samples: int, size: int) -> None:
        """Count what was done since the last call; raise Stopped where the parent has left."""
        self._samples += samples
        self._bytes += size
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + _TELL
        # Nothing is sent to a worker at work, so what there is to be read is the pipe's end.
        if self._pipe.poll():
            raise Stopped
        try:
            self.send(self.packed())
        except OSError:
            raise Stopped from None

    def tell(self, what: str, said: str) -> None:
        """Pass on what is said of a wait, from any thread; a parent that has left misses it."""
        with contextlib.suppress(OSError):
            self.send(self.packed((what, said)))

    def packed(self, *done: Any) -> bytes:
        """Return the counts, pickled, and behind them what else there is.

        That is error and result of a task that is done, or one pair about a wait.
        """
        return pickle.dumps((self._samples, self._bytes, *done), pickle.HIGHEST_PROTOCOL)

    def send(self, message: bytes) -> None:
        """Send a message; raise OSError where nobody takes it."""
        with self._sending:
            for part in (_LENGTH.pack(len(message)), message):
                left = memoryview(part)
                while left:
                    left = left[os.write(self._pipe.fileno(), left) :]
