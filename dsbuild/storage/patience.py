"""How long requests are tried: one budget of seconds for one outage, over which waits grow.

An outage begins with a failure and ends with an answer, whichever request of this process has
it. What never gets an answer ends at its own budget, too.
"""

import multiprocessing
import os
import random
import threading
import time

from dsbuild.errors import StorageError
from dsbuild.storage import urls, waiting

SECONDS = "DSBUILD_STORE_SECONDS"  # how long an outage is waited for
OPTION = "--store-seconds"
MOST = 3600
_DEFAULT = 60
_FIRST, _LONGEST = 0.2, 8.0  # seconds of waits, which double
_STALE = 60.0  # seconds after the last failure, when the next one is of another outage
_UNSAID = 4.0  # seconds of an outage of which nothing is said

_here = threading.local()


def seconds() -> float:
    """Return for how many seconds an outage is waited for."""
    asked = os.environ.get(SECONDS, "")
    try:
        found = float(asked or _DEFAULT)
    except ValueError:
        found = 0
    if not 0 < found <= MOST:
        raise StorageError(f"{SECONDS}={asked!r}: expected a number of seconds, up to {MOST}")
    return found


class _Outage:
    """What this process knows about the trouble of one store."""

    def __init__(self) -> None:
        self.since: float | None = None
        self.last = 0.0

    def failed(self, now: float) -> None:
        """Note a failure, the first of an outage if the last one is long ago."""
        if self.since is None or now - self.last > _STALE:
            self.since = now
        self.last = now


_outages: dict[str, _Outage] = {}
_reached: set[str] = set()  # schemes, since the buckets of one have one endpoint


def forget() -> None:
    """Forget all outages, and which stores were reached."""
    _outages.clear()
    _reached.clear()


def reach() -> None:
    """Take all stores for reached, as the process was that this one works for."""
    _reached.update(urls.SCHEMES)


class Tries:
    """The tries of one request to a store.

    `budget` is in seconds, the user's by default.
    """

    def __init__(self, store: str, budget: float | None = None):
        self._store, self._scheme = store, store.partition(":")[0]
        self._budget = seconds() if budget is None else budget
        self._outage = _outages.setdefault(store, _Outage())
        self._since: float | None = None
        self._count = 0

    @property
    def reached(self) -> bool:
        """Whether such a store ever answered this process, or the one that started it."""
        # A worker's parent has listed what there is to do.
        return self._scheme in _reached or multiprocessing.parent_process() is not None

    @property
    def tried(self) -> float:
        """For how many seconds the outage lasts."""
        since = [at for at in (self._since, self._outage.since) if at is not None]
        return time.monotonic() - min(since, default=time.monotonic())

    def moved(self) -> None:
        """Note progress, such as an answer or a part of one: the budget is whole again."""
        _reached.add(self._scheme)
        self._outage.since = None
        self._since, self._count = None, 0

    def again(self, why: str) -> bool:
        """Wait after a failure; tell whether to try again, or the budget is spent."""
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
                f"{why}, for {self.tried:.0f} s now; tried again for up to {self._budget:.0f} s",
            )


def _wait(pause: float) -> bool:
    """Wait; return False at once where this thread is told that nobody needs it any more."""
    stop: threading.Event | None = getattr(_here, "stop", None)
    if stop is None:
        time.sleep(pause)
        return True
    return not stop.wait(pause)


def heed(stop: threading.Event) -> None:
    """Have all waits of this thread end when `stop` is set."""
    _here.stop = stop
