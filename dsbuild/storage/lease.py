"""A lock on an object store: an object that its holder keeps changing while it lives.

No clock is compared. Who finds the lock watches it: one that changes is held, one that
stays the same for longer than its holder would let it has lost its holder, and is taken
over. Taking it, and renewing it, are conditional puts, of which a store lets one succeed.
"""

import contextlib
import dataclasses
import functools
import itertools
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from dsbuild.errors import DsbuildError, LostLease, StorageError
from dsbuild.storage import clients, fencing, objects
from dsbuild.storage.fencing import Hold

BEAT = 10.0  # seconds from one renewal to the next
WATCH = 25.0  # seconds without any, after which the holder is taken for dead
TENURE = "tenure"  # beside the lock: how many had it so far
_LOOK = 1.0  # seconds between two looks at a lock that is watched
_WAITING = f"another dsbuild locked it; where that one was killed, its lock ends in {WATCH:.0f} s"


class Urgent(str):
    """A note that is told though others are silenced: without it, all would seem to hang."""


class _Held(Exception):
    """The lock changed in someone else's hands."""


@contextlib.contextmanager
def lock(url: str, note: Callable[[str], None]) -> Iterator[None]:
    """Hold a lock object; raise StorageError where a living process holds it.

    `note` is told where there is a lock, since it takes a while to tell which it is. While the
    block runs, whatever is written in the folder is held against the lock, and raises LostLease
    where another process took it for dead meanwhile; so does the end.
    """
    lease = _Lease(url)
    try:
        lease.take(lambda: note(Urgent(f"{fencing.folder(url)}: {_WAITING}")))
    except _Held:
        raise StorageError(
            f"{fencing.folder(url)}: another dsbuild is at work in this folder; wait for it to "
            "end, or choose another folder"
        ) from None
    done = threading.Event()
    keeper = threading.Thread(target=lease.keep, args=(done,), daemon=True)
    keeper.start()
    why: DsbuildError | None = None
    try:
        with fencing.holding(lease.counted()):
            yield
    except DsbuildError as error:  # maybe of what another one wrote meanwhile
        lease.lost, why = lease.lost or isinstance(error, LostLease), error
    finally:
        done.set()
        keeper.join()
        lease.free()
    if lease.lost:
        raise fencing.lost(url) from why
    if why:
        raise why


class _Lease:
    """One process's hold on a lock object."""

    def __init__(self, url: str):
        self._url = url
        # A request that stalls is given up soon enough for the next one to renew the lock.
        self._store, self._key = clients.at(url, BEAT / 2)
        self._name, self._beats = secrets.token_hex(8), itertools.count()
        self._mine: Any = None  # the version that this process wrote last
        self.lost = False

    def take(self, watching: Callable[[], None]) -> None:
        """Take the lock, by its creation or over a dead holder; raise _Held."""
        found, since = None, time.monotonic()
        while True:
            seen = fencing.look(self._url)
            if seen is None:
                mode: Any = "create"
            elif found is None:
                found, mode = seen, None
                watching()
            elif seen != found:
                raise _Held
            else:
                mode = seen[1] if time.monotonic() - since >= WATCH else None
            if mode is None:
                time.sleep(min(_LOOK, WATCH / 4))
            elif self._write(mode):
                return
            elif seen is not None:
                raise _Held  # someone else was sooner

    def counted(self) -> Hold:
        """Return the hold, with the next number of those that ever had the lock.

        The number is kept beside the lock, so that it goes on counting when that is free.
        """
        place = f"{self._url.rpartition('/')[0]}/{TENURE}"
        hold = Hold(self._url, self._name)
        while True:
            seen = fencing.look(place)
            last = seen[0].strip() if seen else b""
            tenure = 1 + (int(last) if last.isdigit() and len(last) < 20 else 0)
            mode = (seen[1] or "overwrite") if seen else "create"
            put = functools.partial(fencing.attempt, *clients.at(place), b"%d\n" % tenure, mode)
            if clients.ask(place, "written", put) is not None:
                return dataclasses.replace(hold, tenure=tenure)
            hold.check(fresh=True)  # who else counts holds the lock, or held it

    def keep(self, done: threading.Event) -> None:
        """Renew the lock until `done`, or until it is lost."""
        while not done.wait(BEAT):
            # A store that is away for a moment is tried again at the next beat; if that is
            # too late, the version that is there then tells.
            with contextlib.suppress(StorageError):
                if not self._write(self._mine, BEAT):
                    self.lost = True
                    return

    def free(self) -> None:
        """Remove the lock if it is ours; one that cannot be removed is taken over in time."""
        with contextlib.suppress(StorageError):
            begin = fencing.clock()
            self.lost = self.lost or not self._write(self._mine)
            # Renewed just now: nobody takes it over before it is gone.
            if not self.lost and fencing.clock() - begin < WATCH / 2:
                objects.remove(self._url)

    def _write(self, mode: Any, seconds: float | None = None) -> bool:
        """Write the lock if it is still as `mode` says; tell whether it is ours now.

        A mode of None is of a lock that was gone when it was looked at. `seconds` is for how long
        it is tried, as long as the user says by default.
        """
        if mode is None:
            return False
        content = f"{self._name} {next(self._beats)}\n".encode()
        put = functools.partial(self._put, content, mode)
        return clients.ask(self._url, "written", put, clients.tries(self._url, seconds))

    def _put(self, content: bytes, mode: Any) -> bool:
        library = clients.library()
        known = library.exceptions
        try:
            self._mine = fencing.version(library.put(self._store, self._key, content, mode=mode))
            return True
        except (known.AlreadyExistsError, known.PreconditionError):
            # Refused, unless an earlier try arrived whose answer did not.
            return self._holds()
        except FileNotFoundError:  # some say so of a version that is gone, all of a bucket
            if mode == "create":
                raise
            return self._holds()
        except (NotImplementedError, known.NotSupportedError):
            return self._put_blindly(content, mode)

    def _put_blindly(self, content: bytes, mode: Any) -> bool:
        """Write the lock on a store without conditional puts: of several writers the last has it.

        Two that begin within a moment of each other are told apart by looking again.
        """
        seen = fencing.look(self._url)
        if (seen[1] if seen else "create") != mode:
            return self._holds()
        clients.library().put(self._store, self._key, content)
        time.sleep(min(_LOOK, WATCH / 4))
        return self._holds()

    def _holds(self) -> bool:
        """Tell whether the lock bears our name, and keep its version."""
        seen = fencing.look(self._url)
        self._mine = seen[1] if seen else None
        return seen is not None and seen[0].startswith(self._name.encode())
