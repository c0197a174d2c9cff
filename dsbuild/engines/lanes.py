"""Do several tasks at a time in one process, so that one works while others wait for a store.

Each lane is a thread. Threads of one process decode no faster than one, so work takes its turn:
only one lane at a time is within `turn`, and the others open or close their tasks meanwhile.
"""

import contextlib
import contextvars
import functools
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from dsbuild.engines.job import Advance, Job, Result, Stopped, Task
from dsbuild.storage import patience

_Turns = contextlib.AbstractContextManager[Any]  # a lock
_TURN: contextvars.ContextVar[_Turns | None] = contextvars.ContextVar("turn", default=None)


@contextlib.contextmanager
def turn() -> Iterator[None]:
    """Wait until no other lane of this process is within a turn; at once if there are no lanes."""
    lock = _TURN.get()
    with lock or contextlib.nullcontext():
        yield


def start(lane: Callable[[], None], turns: _Turns) -> threading.Thread:
    """Start a lane that shares its turns with others."""

    def run() -> None:
        _TURN.set(turns)
        lane()

    thread = threading.Thread(target=run, name="dsbuild-lane", daemon=True)
    thread.start()
    return thread


def share(
    job: Job[Task, Result], tasks: Iterable[Task], lanes: int, advance: Advance
) -> list[Result]:
    """Return the results of a job's work on tasks, in their order, by some lanes of this process.

    The first error stops the other lanes at their next sample, and is raised, as is Ctrl-C.
    """
    coming = enumerate(tasks)
    results: dict[int, Any] = {}
    errors: list[BaseException] = []
    taking, stop = threading.Lock(), threading.Event()
    ended: list[threading.Event] = []  # of lanes; an interrupted `join` may not be repeated

    def counted(samples: int, size: int) -> None:
        if stop.is_set():
            raise Stopped
        with taking:
            advance(samples, size)

    def lane(end: threading.Event) -> None:
        patience.heed(stop)
        try:
            while not stop.is_set():
                with taking:
                    number, task = next(coming, (-1, None))
                if task is None:
                    break
                results[number] = job.work(task, counted)
        except BaseException as error:
            if not stop.is_set():
                errors.append(error)
            stop.set()
        finally:
            end.set()

    turns = threading.Lock()
    try:
        for _ in range(lanes):
            end = threading.Event()
            start(functools.partial(lane, end), turns)
            ended.append(end)
        for one in ended:
            one.wait()
    except BaseException:
        stop.set()
        for one in ended:
            one.wait()
        raise
    if errors:
        raise errors[0]
    return [results[number] for number in sorted(results)]
