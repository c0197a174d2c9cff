"""The tasks of a job dealt to the workers of a Dask cluster, a few to each at a time.

A task that fails for a reason that is not in its data is given to another worker; a worker whose
own disk fails is given no more.
"""

import contextlib
import queue
import time
from collections.abc import Callable, Collection, Iterator
from typing import Any, NamedTuple

from dsbuild.engines.dask import client
from dsbuild.engines.dask.work import Done, call
from dsbuild.engines.job import Job
from dsbuild.errors import DsbuildError

_TRIES = 4  # for a task that fails for a passing reason, such as an unreachable store
_AHEAD = 2  # tasks that each thread of a worker has or waits for


class _Given(NamedTuple):
    """A task under way: its Future, and the workers that may do it; empty for any."""

    future: Any
    to: Collection[str]


class Hand:
    """The tasks of a job, and to whom they were dealt."""

    def __init__(
        self,
        job: Job[Any, Any],
        dask: Any,
        place: client.Place,
        note: Callable[[str], None],
        patience: float,
    ) -> None:
        self._job, self._dask, self._place, self._note = job, dask, place, note
        self._patience = patience
        self._tasks = list(job.tasks)
        self._given: dict[int, _Given] = {}
        self._news: queue.SimpleQueue[tuple[int, Any]] = queue.SimpleQueue()
        self._failed: dict[int, list[str]] = {}  # by task, the workers at which it did
        self._bad: set[str] = set()
        self._threads = client.threads(dask, place)
        self._due = time.monotonic() + self._patience

    def play(self, advance: Callable[[int, int], None]) -> Iterator[Done]:
        """Yield the results of the tasks in order; raise the first error in that order."""
        done: dict[int, Done] = {}
        waiting, end = iter(range(len(self._tasks))), len(self._tasks)
        for head in range(len(self._tasks)):
            while head not in done:
                room = _AHEAD * sum(self._threads.values())
                while len(self._given) < room and (number := next(waiting, end)) < end:
                    self._give(number)
                for number, found in self._heard():
                    if self._again(number, found):
                        continue
                    done[number] = found
                    advance(found.samples, found.bytes)
                    if found.error:
                        end = 0  # waiting tasks do not begin
            one = done.pop(head)
            if one.error:
                raise one.error
            yield one

    def cancel(self) -> None:
        """Keep tasks that have not begun from beginning."""
        from distributed.comm.core import CommClosedError

        with contextlib.suppress(CommClosedError):
            self._dask.cancel([given.future for given in self._given.values()])

    def _give(self, number: int) -> None:
        to: Collection[str] = ()
        if self._bad or number in self._failed:
            good = self._threads.keys() - self._bad
            to = sorted(good - set(self._failed.get(number, ())) or good or self._threads)
        options = {"workers": to} if to else {}
        task, work = self._tasks[number], self._job.work
        future = self._dask.submit(call, task, work=work, pure=False, **options)
        self._given[number] = _Given(future, to)
        future.add_done_callback(lambda future: self._news.put((number, future)))

    def _heard(self) -> Iterator[tuple[int, Done]]:
        """Wait for news, and yield the number and result of a task."""
        from distributed import KilledWorker

        if time.monotonic() > self._due:
            self._look()
        try:
            number, future = self._news.get(timeout=self._patience)
            if number not in self._given or self._given[number].future is not future:
                return
            found = future.result(timeout=self._patience)
        except queue.Empty:
            return
        except TimeoutError:  # its worker was lost together with the result
            future.add_done_callback(lambda future: self._news.put((number, future)))
            return
        except KilledWorker as error:
            raise DsbuildError(
                f"workers of the cluster died again and again at {self._name(number)}; the system "
                "may have killed them for lack of memory: give them more, or use more --shards; "
                "finished shards are kept"
            ) from error
        del self._given[number]
        yield number, found

    def _look(self) -> None:
        """Ask which workers are left; reassign tasks of those that are gone."""
        self._threads = client.threads(self._dask, self._place)
        self._due = time.monotonic() + self._patience
        for number, given in [*self._given.items()]:
            if given.to and not given.future.done() and self._threads.keys().isdisjoint(given.to):
                self._dask.cancel([given.future])
                self._give(number)

    def _again(self, number: int, found: Done) -> bool:
        """Deal a task again if its data was not why it failed; return whether it was dealt."""
        if not found.trouble:
            return False
        failed = self._failed.setdefault(number, [])
        failed.append(found.worker)
        if found.own and found.worker not in self._bad:
            self._bad.add(found.worker)
            self._note(f"no more is given to one whose own disk fails: {found.error}")
        left = self._threads.keys() - self._bad
        if len(failed) >= _TRIES and not (found.own and left):
            return False
        self._give(number)
        return True

    def _name(self, number: int) -> str:
        try:
            return self._job.named(self._tasks[number])
        except DsbuildError:
            return f"task {number}"
