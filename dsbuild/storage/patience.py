"""Decide how long requests are retried: each outage has one budget in seconds, with growing waits.

An outage starts with a failure and ends with an answer, whichever request of this process gets it.
A request that never gets an answer also ends when its own budget is spent.
"""

import os
import random
import threading
import time

from dsbuild.errors import StorageError
from dsbuild.storage import urls, waiting

SECONDS = "DSBUILD_STORE_SECONDS"  # how long to wait through an outage
OPTION = "--store-seconds"
MOST = 3600
_DEFAULT = 60
_FIRST, _LONGEST = 0.2, 8.0  # seconds to wait, doubling from the first to the longest
_STALE = 60.0  # seconds after a failure from which the next one belongs to another outage
_UNSAID = 4.0  # seconds of an outage before a message

_here = threading.local()


def seconds() -> float:
    """Return how many seconds to wait through an outage."""
    text = os.environ.get(SECONDS, "")
    try:
        number = float(text or _DEFAULT)
    except ValueError:
        number = 0
    if not 0 < number <= MOST:
        raise StorageError(f"{SECONDS}={text!r}: expected a number of seconds, up to {MOST}")
    return number


class _Outage:
    """What this process knows about the trouble of one store."""

    def __init__(self) -> None:
        self.since: float | None = None
        self.last = 0.0

    def failed(self, now: float) -> None:
        """Note a failure; it starts an outage if the last failure is long ago."""
        if self.since is None or now - self.last > _STALE:
            self.since = now
        self.last = now


_outages: dict[str, _Outage] = {}
_reached: set[str] = set()  # schemes, since all buckets of a scheme share an endpoint


def forget() -> None:
    """Forget all outages, and which stores have answered."""
    _outages.clear()
    _reached.clear()


def reach() -> None:
    """Count all stores as reached: this process works for one that had an answer."""
    _reached.update(urls.SCHEMES)


class Tries:
    """The tries of one request to a store.

    `budget` is in seconds, by default the user's.
    """

    def __init__(self, store: str, budget: float | None = None) -> None:
        self._store, self._scheme = store, store.partition(":")[0]
        self._budget = seconds() if budget is None else budget
        self._outage = _outages.setdefault(store, _Outage())
        self._since: float | None = None
        self._count = 0

    @property
    def reached(self) -> bool:
        """Whether the store ever answered this process, or the one that started it."""
        import multiprocessing  # here: `--help` needs none

        # The parent of a worker has listed the work, so it had answers.
        return self._scheme in _reached or multiprocessing.parent_process() is not None

    @property
    def tried(self) -> float:
        """How many seconds the outage has lasted."""
        since = [at for at in (self._since, self._outage.since) if at is not None]
        return time.monotonic() - min(since, default=time.monotonic())

    def moved(self) -> None:
        """Note progress, such as an answer or part of one, which restores the budget."""
        _reached.add(self._scheme)
        self._outage.since = None
        self._since, self._count = None, 0

    def again(self, why: str) -> bool:
        """Wait after a failure; return whether to try again, unless the budget is spent."""
        now = time.monotonic()
        self._since = self._since or now
        self._outage.failed(now)
        self._count += 1
        left = self._budget - self.tried
        if left <= 0:
            return False
        self._tell(why)
        longest = min(_FIRST * 2 ** min(self._count - 1, 20), _LONGEST)
        return _wait(min(longest * random.uniform(0.5, 1.0), left))

    def _tell(self, why: str) -> None:
        if self.tried >= _UNSAID:
            waiting.tell(
                self._store,
                f"{why}, for {self.tried:.0f} s so far; retrying for up to {self._budget:.0f} s",
            )


def _wait(pause: float) -> bool:
    """Wait; return False at once if this thread is asked to stop."""
    stop = stopping()
    if stop is None:
        time.sleep(pause)
        return True
    return not stop.wait(pause)


def heed(stop: threading.Event) -> None:
    """End all waits of this thread when `stop` is set."""
    _here.stop = stop


def stopping() -> threading.Event | None:
    """Return what ends the waits of this thread, if anything does."""
    stop: threading.Event | None = getattr(_here, "stop", None)
    return stop
