"""What a builder may still write: nothing once its lease is lost, nothing over what it did not see.

Who holds the lock of a folder on a store has a `Hold`, and whatever is written or removed in that
folder is held against it: first the lock is looked at, whether it still bears the hold's name,
and then the store is told to write only where the object is as it was seen. The hold goes
with the work to other processes, which outlive a builder that is stopped.

obstore knows no conditions for deleting, nor for uploads in parts (`completing`): there the lock is
looked at as late as can be.
"""

import contextlib
import contextvars
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from dsbuild.errors import LostLease, StorageError
from dsbuild.storage import clients, urls

_FRESH = 1.0  # seconds for which a look at the lock stands for the writes that follow
_LOOKS = 4  # at a lock, on a store that takes longer than that to answer
_FEW = 64  # objects of which the version is kept that was written last
_TRIES = 8  # versions of one object that are met before it is given up
# It goes on while the machine sleeps and while the process is stopped.
_CLOCK: int = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", 0))

Version = dict[str, str]


@dataclass(frozen=True)
class Hold:
    """A lock on a store, as its holder's writes carry it.

    Attributes:
      url: of the lock, which bears the name.
      name: of the lease, nobody else's.
      tenure: how many took the lock before, and one; higher with each that takes it.
    """

    url: str
    name: str
    tenure: int = 0

    def covers(self, url: str) -> bool:
        """Tell whether a URL lies in the folder that the lock is of."""
        return urls.relative(url, folder(self.url)) is not None

    def due(self) -> bool:
        """Tell whether the lock was not looked at for a second."""
        return clock() - _looked.get(self.name, -_FRESH) >= _FRESH

    def check(self, fresh: bool = False) -> None:
        """Raise LostLease where the lock is not ours any more.

        A look is good for a second, unless a fresh one is asked for. One that took longer is
        repeated: the answer may have waited for a process that was stopped.
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
_looked: dict[str, float] = {}  # name of a lease -> when it was last seen to be held
_wrote: dict[tuple[Hold, str], Any] = {}  # versions that were written last, as modes of a put


def clock() -> float:
    """Return seconds that also count while this process, or the machine, stands still."""
    return time.clock_gettime(_CLOCK)


def folder(lock: str) -> str:
    """Return the folder that a lock is of: the one whose state it lies in."""
    state = lock.rpartition("/")[0]
    above = state.rpartition("/")[0]
    return state if above.endswith(("/", ":")) else above


def lost(lock: str) -> LostLease:
    """Return the error of a builder whose lock is another's, or gone."""
    return LostLease(
        f"{folder(lock)}: another dsbuild took the lock over (or somebody removed it), since this "
        "one had not renewed it in time; this one writes nothing more; wait for the other one to "
        "end and look at the folder with dsbuild validate, then run the same command again, or "
        "choose another folder"
    )


@contextlib.contextmanager
def holding(hold: Hold) -> Iterator[None]:
    """Hold all that is written in a folder against its lock while the block runs."""
    token = _HOLDS.set((hold, *_HOLDS.get()))
    try:
        yield
    finally:
        _HOLDS.reset(token)


@dataclass(frozen=True)
class Carried:
    """Work that is held against locks wherever it is done; picklable as the work is."""

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
    """Return work to be done in other threads and processes under the locks that are held here."""
    holds = _HOLDS.get()
    return Carried(work, holds) if holds else work


def unheld(work: Callable[..., Any]) -> Callable[..., Any]:
    """Return work under no lock: what is done after this process ended has none."""
    return Carried(work, ()) if _HOLDS.get() else work


def tenure(url: str) -> int | None:
    """Return the number of the lock that writes at a URL are under, None where under none."""
    hold = over(url)
    return hold.tenure if hold else None


def check(url: str, fresh: bool = False) -> None:
    """Raise LostLease where a URL lies in a folder whose lock was held, and is lost."""
    hold = over(url)
    if hold:
        hold.check(fresh)


def over(url: str) -> Hold | None:
    """Return the lock that writes at a URL are under."""
    return next((hold for hold in _HOLDS.get() if hold.covers(url)), None)


def write(url: str, store: Any, key: str, data: bytes) -> None:
    """Write a small object by one request; raise as obstore, or LostLease. May be called again.

    Under a lock the store is asked to write it only where there is nothing, or what was just
    written here. In the lock's possession it then goes over what is seen there: that is an earlier
    build's, or the last word of a dead holder.
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
    """Write a small object if it is as `mode` says; return its version, None where it is not."""
    library = clients.library()
    known = library.exceptions
    try:
        return version(library.put(store, key, data, mode=mode, use_multipart=False))
    except (known.AlreadyExistsError, known.PreconditionError):
        return None
    except FileNotFoundError:  # some say so of a version that is gone, all of a bucket
        if mode in ("create", "overwrite"):
            raise
        return None
    except (NotImplementedError, known.NotSupportedError):
        library.put(store, key, data, use_multipart=False)
        return {}


def _seen(store: Any, key: str, data: bytes) -> Any:
    """Return the mode that writes over what is there; None where that is `data` already.

    So it is where an earlier try arrived whose answer did not.
    """
    library = clients.library()
    try:
        meta = library.head(store, key)
        if meta["size"] == len(data):
            found = library.get(store, key)
            meta = found.meta
            if found.bytes().to_bytes() == data:
                return None
    except FileNotFoundError:
        return "create"
    return version(meta) or "overwrite"


def look(url: str) -> tuple[bytes, Version] | None:
    """Return a small object's content and version, or None where there is none."""
    store, key = clients.at(url)

    def get() -> tuple[bytes, Version] | None:
        try:
            found = clients.library().get(store, key)
            return found.bytes().to_bytes(), version(found.meta)
        except FileNotFoundError:
            return None

    return clients.ask(url, "read", get)


def version(meta: Any) -> Version:
    """Return what tells a version of an object: a tag, on Google's store a number."""
    return {key: meta[key] for key in ("e_tag", "version") if meta[key] is not None}
