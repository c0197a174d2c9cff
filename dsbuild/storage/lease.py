"""A lock on an object store: an object that its holder keeps changing while it lives.

No clocks are compared. A process that finds the lock watches it: a lock that keeps changing is
held; one that stays unchanged for longer than renewals take has lost its holder and is taken over.
The lock is taken and renewed by conditional puts, of which a store lets only one succeed.
"""

import contextlib
import dataclasses
import functools
import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from dsbuild.errors import DsbuildError, LostLease, StorageError
from dsbuild.storage import clients, fencing, objects
from dsbuild.storage.fencing import Hold

BEAT = 10.0  # seconds from one renewal to the next
WATCH = 25.0  # seconds without a renewal after which the holder counts as dead
TENURE = "tenure"  # file beside the lock: how many holders it has had
_LEAVE = 2.0  # seconds in which an interrupted process tries to remove its lock
_LOOK = 1.0  # seconds between two checks of a watched lock
_WAITING = f"another dsbuild locked it; if that one was killed, its lock ends in {WATCH:.0f} s"


class Urgent(str):
    """A note that --quiet does not silence, since without it the command would seem to hang."""


class _Held(Exception):
    """The lock changed in someone else's hands."""


@contextlib.contextmanager
def lock(url: str, note: Callable[[str], None]) -> Iterator[None]:
    """Hold a lock object; raise StorageError if a living process holds it.

    If there is a lock, `note` gets a message, since it takes a while to see whether the lock is
    held. While the block runs, writes in the folder are checked against the lock. They, and the
    end of the block, raise LostLease if another process took the lock over.
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
    leave: float | None = None
    try:
        with fencing.holding(lease.counted()):
            yield
    except DsbuildError as error:  # may come from what another builder wrote meanwhile
        lease.lost, why = lease.lost or isinstance(error, LostLease), error
    except KeyboardInterrupt:
        leave = _LEAVE
        raise
    finally:
        done.set()
        keeper.join(leave)
        lease.free(leave)
    if lease.lost:
        raise fencing.lost(url) from why
    if why:
        raise why


class _Lease:
    """One process's hold on a lock object."""

    def __init__(self, url: str) -> None:
        self._url = url
        # A stalled request ends early enough for the next one to renew the lock.
        self._store, self._key = clients.at(url, BEAT / 2)
        self._name, self._beats = os.urandom(8).hex(), itertools.count()
        self._mine: Any = None  # the version last written by this process
        self.lost = False

    def take(self, watching: Callable[[], None]) -> None:
        """Create the lock, or take it over from a dead holder; raise _Held."""
        first, since = None, time.monotonic()
        while True:
            seen = fencing.look(self._url)
            if seen is None:
                mode: Any = "create"
            elif first is None:
                first, mode = seen, None
                watching()
            elif seen != first:
                raise _Held
            else:
                mode = seen[1] if time.monotonic() - since >= WATCH else None
            if mode is None:
                time.sleep(min(_LOOK, WATCH / 4))
            elif self._write(mode):
                return
            elif seen is not None:
                raise _Held  # someone else was faster

    def counted(self) -> Hold:
        """Return the hold, numbered one higher than its predecessor.

        The number is stored beside the lock, so that it survives the lock's removal.
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
            hold.check(fresh=True)  # another one counted, so it holds the lock or held it

    def keep(self, done: threading.Event) -> None:
        """Renew the lock until `done`, or until it is lost."""
        while not done.wait(BEAT):
            # A store that is away for a moment is tried again at the next beat. If that is too
            # late, the version there shows it.
            with contextlib.suppress(StorageError):
                if not self._write(self._mine, BEAT):
                    self.lost = True
                    return

    def free(self, seconds: float | None = None) -> None:
        """Remove the lock if it is ours; if that fails, it will be taken over later.

        `seconds` is how long to try, by default the user's budget.
        """
        with contextlib.suppress(StorageError):
            begin = fencing.clock()
            self.lost = self.lost or not self._write(self._mine, seconds)
            # It was renewed just now, so nobody takes it over before it is removed.
            if not self.lost and fencing.clock() - begin < WATCH / 2:
                objects.remove(self._url)

    def _write(self, mode: Any, seconds: float | None = None) -> bool:
        """Write the lock if `mode` allows it; tell whether it is ours now.

        `mode` is None if the lock was gone when last checked. `seconds` is how long to try, by
        default the user's budget.
        """
        if mode is None:
            return False
        content = f"{self._name} {next(self._beats)}\n".encode()
        put = functools.partial(self._put, content, mode)
        return clients.ask(self._url, "written", put, clients.tries(self._url, seconds))

    def _put(self, content: bytes, mode: Any) -> bool:
        library = clients.library()
        kinds = library.exceptions
        try:
            self._mine = fencing.version(library.put(self._store, self._key, content, mode=mode))
            return True
        except (kinds.AlreadyExistsError, kinds.PreconditionError):
            # Refused, unless an earlier try arrived but its answer did not.
            return self._holds()
        except FileNotFoundError:  # some stores say this for a lost version, all for a lost bucket
            if mode == "create":
                raise
            return self._holds()
        except (NotImplementedError, kinds.NotSupportedError):
            return self._put_blindly(content, mode)

    def _put_blindly(self, content: bytes, mode: Any) -> bool:
        """Write the lock on a store without conditional puts: the last of several writers has it.

        A second look decides between two that start at nearly the same time.
        """
        seen = fencing.look(self._url)
        if (seen[1] if seen else "create") != mode:
            return self._holds()
        clients.library().put(self._store, self._key, content)
        time.sleep(min(_LOOK, WATCH / 4))
        return self._holds()

    def _holds(self) -> bool:
        """Tell whether the lock has our name, and remember its version."""
        seen = fencing.look(self._url)
        self._mine = seen[1] if seen else None
        return seen is not None and seen[0].startswith(self._name.encode())
