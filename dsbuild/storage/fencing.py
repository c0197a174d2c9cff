"""Fence writes: a builder that lost its lease writes nothing, and nobody overwrites unseen objects.

The holder of the lock of a folder on a store has a `Hold`. Every write or removal in that folder is
checked against it: first the lock must still have the name of the hold, then the store is asked to
write only if the object is still as it was seen. The hold travels with the work to other processes,
which may outlive a builder that is stopped.

obstore has no conditions for deleting, nor for uploads in parts (`completing`): there the lock is
checked as late as possible.
"""

import contextlib
import contextvars
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from dsbuild.errors import LostLease, StorageError
from dsbuild.storage import clients, urls

_FRESH = 1.0  # seconds for which one check of the lock covers the writes that follow
_LOOKS = 4  # checks of a lock on a store that takes longer than that to answer
_FEW = 64  # objects whose last written version is remembered
_TRIES = 8  # new versions of an object that others may write before this write fails
# This clock also runs while the machine sleeps and while the process is stopped.
_CLOCK: int = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", 0))

Version = dict[str, str]


@dataclass(frozen=True)
class Hold:
    """A lock on a store, as its holder's writes carry it.

    Attributes:
      url: of the lock, which contains the name.
      name: of the lease; it is unique.
      tenure: the number of this holder: each one has a higher number than those before.
    """

    url: str
    name: str
    tenure: int = 0

    def covers(self, url: str) -> bool:
        """Tell whether a URL is in the folder of the lock."""
        return urls.relative(url, folder(self.url)) is not None

    def due(self) -> bool:
        """Tell whether the last check of the lock is more than a second ago."""
        return clock() - _looked.get(self.name, -_FRESH) >= _FRESH

    def check(self, fresh: bool = False) -> None:
        """Raise LostLease if the lock is no longer ours.

        A check is valid for a second, unless a fresh one is requested. One that took longer is
        repeated: this process may have been stopped before it got the answer.
        """
        if not (fresh or self.due()):
            return
        for _ in range(_LOOKS):
            now = clock()
            seen = look(self.url)
            if seen is None or not seen[0].startswith(self.name.encode()):
                _looked.pop(self.name, None)
                raise lost(self.url)
            _looked[self.name] = now
            if not self.due():
                return


_HOLDS: contextvars.ContextVar[tuple[Hold, ...]] = contextvars.ContextVar("holds", default=())
_looked: dict[str, float] = {}  # name of a lease -> when it was last seen held
_wrote: dict[tuple[Hold, str], Any] = {}  # versions written last, as modes for put


def clock() -> float:
    """Return seconds that also count while this process or the machine is suspended."""
    return time.clock_gettime(_CLOCK)


def folder(lock: str) -> str:
    """Return the folder that a lock protects: the one with the state that holds the lock."""
    state = lock.rpartition("/")[0]
    above = state.rpartition("/")[0]
    return state if above.endswith(("/", ":")) else above


def lost(lock: str) -> LostLease:
    """Return the error for a builder whose lock was taken over or removed."""
    return LostLease(
        f"{folder(lock)}: another dsbuild took the lock over, or somebody removed it, because this "
        "one had not renewed it in time; this one writes nothing more; wait for the other one to "
        "end, check the folder with dsbuild validate, then run the same command again, or choose "
        "another folder"
    )


@contextlib.contextmanager
def holding(hold: Hold) -> Iterator[None]:
    """Check all writes in a folder against its lock while the block runs."""
    token = _HOLDS.set((hold, *_HOLDS.get()))
    try:
        yield
    finally:
        _HOLDS.reset(token)


@dataclass(frozen=True)
class Carried:
    """Work whose writes are checked against locks wherever it runs; picklable if the work is."""

    work: Callable[..., Any]
    holds: tuple[Hold, ...]

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Do the work."""
        token = _HOLDS.set(self.holds)
        try:
            return self.work(*args, **options)
        finally:
            _HOLDS.reset(token)


def carried(work: Callable[..., Any]) -> Callable[..., Any]:
    """Return work to run in other threads and processes under the locks that are held here."""
    holds = _HOLDS.get()
    return Carried(work, holds) if holds else work


def unheld(work: Callable[..., Any]) -> Callable[..., Any]:
    """Return work to run without locks, such as work that outlives this process."""
    return Carried(work, ()) if _HOLDS.get() else work


def tenure(url: str) -> int | None:
    """Return the tenure of the lock that covers writes at a URL, None without a lock."""
    hold = over(url)
    return hold.tenure if hold else None


def check(url: str, fresh: bool = False) -> None:
    """Raise LostLease if the lock that covers a URL was lost."""
    hold = over(url)
    if hold:
        hold.check(fresh)


def over(url: str) -> Hold | None:
    """Return the lock that covers writes at a URL."""
    return next((hold for hold in _HOLDS.get() if hold.covers(url)), None)


def write(url: str, store: Any, key: str, data: bytes) -> None:
    """Write a small object with one request; raise as obstore does, or LostLease. Repeatable.

    Under a lock the store is asked to write only if there is no object, or the one last written
    here. Otherwise, if the lock is still ours, the object that is there is overwritten: it comes
    from an earlier build, or is the last write of a dead holder.
    """
    hold = over(url)
    if hold is None:
        attempt(store, key, data, "overwrite")
        return
    hold.check()
    mode = _wrote.pop((hold, url), "create")
    for _ in range(_TRIES):
        made = attempt(store, key, data, mode)
        if made is not None:
            _wrote[hold, url] = made or "overwrite"
            if len(_wrote) > _FEW:
                del _wrote[next(iter(_wrote))]
            return
        mode = _seen(store, key, data)
        if mode is None:
            return
        hold.check(fresh=True)
    raise StorageError(
        f"{url}: cannot be written: someone else wrote it {_TRIES} times meanwhile; find out who, "
        "and run the same command again"
    )


def attempt(store: Any, key: str, data: bytes, mode: Any) -> Version | None:
    """Write a small object if `mode` allows it, and return its version, or else None."""
    library = clients.library()
    kinds = library.exceptions
    try:
        return version(library.put(store, key, data, mode=mode, use_multipart=False))
    except (kinds.AlreadyExistsError, kinds.PreconditionError):
        return None
    except FileNotFoundError:  # some stores say this for a lost version, all for a lost bucket
        if mode in ("create", "overwrite"):
            raise
        return None
    except (NotImplementedError, kinds.NotSupportedError):
        library.put(store, key, data, use_multipart=False)
        return {}


def _seen(store: Any, key: str, data: bytes) -> Any:
    """Return the mode that overwrites the object that is there; None if it is `data` already.

    It is if an earlier try arrived but its answer did not.
    """
    library = clients.library()
    try:
        meta = library.head(store, key)
        if meta["size"] == len(data):
            answer = library.get(store, key)
            meta = answer.meta
            if answer.bytes().to_bytes() == data:
                return None
    except FileNotFoundError:
        return "create"
    return version(meta) or "overwrite"


def look(url: str) -> tuple[bytes, Version] | None:
    """Return the content and version of a small object, or None if there is none."""
    store, key = clients.at(url)

    def get() -> tuple[bytes, Version] | None:
        try:
            answer = clients.library().get(store, key)
            return answer.bytes().to_bytes(), version(answer.meta)
        except FileNotFoundError:
            return None

    return clients.ask(url, "read", get)


def version(meta: Any) -> Version:
    """Return what identifies a version of an object: a tag, or on Google's store a number."""
    return {key: meta[key] for key in ("e_tag", "version") if meta[key] is not None}
