"""Worker processes, each with a pipe of its own, so that nobody waits for one that died.

Nothing is shared: no lock that a killed process keeps, no queue whose end its siblings hold
open. The parent reads what has arrived and never waits for the rest of a message: if that never
comes, the pipe ends with its worker.
"""

import collections
import contextlib
import multiprocessing
import multiprocessing.connection
import os
import pickle
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from multiprocessing import resource_tracker
from typing import Any, NoReturn, TypeAlias

from dsbuild.engines.job import Job, Result, Task
from dsbuild.engines.serving import LENGTH, serve
from dsbuild.errors import DsbuildError
from dsbuild.storage import waiting

_PART = 1 << 20  # bytes of a message that are taken at once
_INTERRUPTED = 4.0  # seconds that workers have to end after Ctrl-C
_Packed: TypeAlias = tuple[Any, bytes]  # a task that is about to be given, and it pickled


def spread(
    job: Job[Task, Result],
    tasks: Iterable[Task],
    count: int,
    method: str,
    show: Callable[[int, int], None],
    patience: float,
) -> list[Result]:
    """Return the results of a job's work on tasks, in their order, by `count` processes.

    `method` is how these start: `fork` or `spawn`. `show` is called with the samples and bytes
    that are done. The first error stops all others, which have `patience` seconds for that, and is
    raised, as is Ctrl-C, after a few seconds at most; DsbuildError if a process died. A few tasks
    are taken ahead, so that no worker waits for its next one.
    """
    packed = ((task, pickle.dumps((job.work, task), pickle.HIGHEST_PROTOCOL)) for task in tasks)
    results: list[Any] = []
    workers: list[_Worker] = []
    try:
        with _one_thread_of_opencv(method):
            while len(workers) < count * job.lanes:
                workers += _start(method, workers, job)
        # The last is the first to get a task: one lane of each process, then the others.
        idle = [one for lane in range(job.lanes) for one in workers[lane :: job.lanes]][::-1]
        ready = collections.deque[_Packed]()
        while True:
            while idle and (ready or _fill(ready, packed, 1)):
                results.append(None)
                idle.pop().give(len(results) - 1, *ready.popleft())
            busy = [worker for worker in workers if worker.number is not None]
            if not busy:
                return results
            _fill(ready, packed, count)
            for worker in _heard(busy):
                for result in worker.hear():
                    assert worker.number is not None
                    results[worker.number], worker.number = result, None
                    idle.append(worker)
            show(sum(one.samples for one in workers), sum(one.bytes for one in workers))
    except KeyboardInterrupt:
        patience = min(patience, _INTERRUPTED)
        raise
    finally:
        _end(workers, patience)


@contextlib.contextmanager
def _one_thread_of_opencv(method: str) -> Iterator[None]:
    """End OpenCV's threads while processes are forked: each would wait for copies of them."""
    cv2 = sys.modules.get("cv2") if method == "fork" else None
    before = cv2.getNumThreads() if cv2 else 0
    if cv2:
        cv2.setNumThreads(1)
    try:
        yield
    finally:
        if cv2:
            cv2.setNumThreads(before)


def _fill(ready: collections.deque[_Packed], packed: Iterator[_Packed], count: int) -> bool:
    """Take tasks until `count` are ready; return whether any is."""
    while len(ready) < count and (one := next(packed, None)) is not None:
        ready.append(one)
    return bool(ready)


def _heard(workers: Iterable["_Worker"]) -> list["_Worker"]:
    """Wait until a worker sent something, or died; return those that did."""
    workers = list(workers)
    watched = {*(one.pipe for one in workers), *(one.process.sentinel for one in workers)}
    ready = set(multiprocessing.connection.wait(list(watched)))
    return [one for one in workers if one.pipe in ready or one.process.sentinel in ready]


def _start(method: str, before: Iterable["_Worker"], job: Job[Any, Any]) -> list["_Worker"]:
    """Start a process; return its lanes, each with a pipe of its own."""
    context: Any = multiprocessing.get_context(method)  # whose base has no Process
    pipes = [context.Pipe() for _ in range(job.lanes)]
    mine, theirs = zip(*pipes, strict=True)
    # A forked process has copies of all our ends. It closes them, because while one of
    # them is open nobody notices that we died.
    ours = [*mine, *(one.pipe for one in before)] if method == "fork" else []
    process = context.Process(target=serve, args=(theirs, ours), daemon=True)
    if method != "fork":
        resource_tracker.ensure_running()  # its start would let interruptions through
    with _interruptions_held(), _unwarned(method):
        process.start()
    for pipe in theirs:
        pipe.close()
    return [_Worker(pipe, process, job.named) for pipe in mine]


class _Worker:
    """A process that does one task at a time, or a lane of one that does several.

    Attributes:
      pipe, process: which its parent watches.
      number: of the task that it works on, None if it is idle.
      samples, bytes: how much it did in all.
    """

    def __init__(self, pipe: Any, process: Any, named: Callable[[Any], str]) -> None:
        self.pipe, self.process = pipe, process
        self.number: int | None = None
        self.samples = self.bytes = 0
        self._task, self._named = None, named
        self._data = bytearray()

    def give(self, number: int, task: Any, packed: bytes) -> None:
        """Hand over a task."""
        self.number, self._task = number, task
        try:
            self.pipe.send_bytes(packed)
        except OSError:
            self._died()

    def hear(self) -> Iterator[Any]:
        """Read what has arrived, and yield a complete result; raise the error of a task."""
        try:
            data = os.read(self.pipe.fileno(), _PART) if self.pipe.poll() else b""
        except OSError:
            data = b""
        if not data:
            self._died()
        self._data += data
        while len(self._data) >= LENGTH.size:
            end = LENGTH.size + LENGTH.unpack_from(self._data)[0]
            if len(self._data) < end:
                return
            with memoryview(self._data) as view:
                self.samples, self.bytes, *done = pickle.loads(view[LENGTH.size : end])
            del self._data[:end]
            if len(done) == 1:
                waiting.tell(*done[0])
            elif done:
                error, result = done
                if error is not None:
                    raise error
                yield result

    def _died(self) -> NoReturn:
        name = self._named(self._task)
        at = f" at {name}" if name else ""
        raise DsbuildError(
            f"a worker process died{at}; the system may have killed it for lack of memory: run "
            "the same command again with fewer --workers, finished shards are kept"
        )


@contextlib.contextmanager
def _unwarned(method: str) -> Iterator[None]:
    """Keep Python from warning of a fork beside threads that are none of Python's.

    They are those of NumPy's BLAS, which handles forks. Warning filters are shared by all
    threads; here there is only one, otherwise `fork` would not have been chosen.
    """
    if method != "fork" or sys.version_info < (3, 12):
        yield
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(?s).*multi-threaded", DeprecationWarning)
        yield


@contextlib.contextmanager
def _interruptions_held() -> Iterator[None]:
    """Hold back Ctrl-C for a while, here and in a process that is started meanwhile.

    Otherwise a worker could die with a traceback in the middle of its start.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end(workers: Iterable[_Worker], patience: float) -> None:
    """End all processes: at their next sample, or by force if they do not come to it."""
    for one in workers:
        one.pipe.close()  # this tells them to stop
    until = time.monotonic() + patience
    try:
        for one in workers:
            one.process.join(max(0.0, until - time.monotonic()))
    finally:
        for one in workers:
            if one.process.is_alive():
                one.process.kill()
                one.process.join(1.0)
