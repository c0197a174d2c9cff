"""A lock on an object store: an object that its holder keeps changing while it lives.

No clock is compared. Who finds the lock watches it: one that changes is held, one that
stays the same for longer than its holder would let it has lost its holder, and is taken
over. Taking it, and renewing it, are conditional puts, of which a store lets one succeed.
"""

import contextlib
import itertools
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from dsbuild.errors import StorageError
from dsbuild.storage import remote, stores

BEAT = 10.0  # seconds from one renewal to the next
WATCH = 25.0  # seconds without any, after which the holder is taken for dead
_LOOK = 1.0  # seconds between two looks at a lock that is watched
_WAITING = f"another dsbuild locked it; where that one was killed, its lock ends in {WATCH:.0f} s"


class _Held(Exception):
    """The lock changed in someone else's hands."""


@contextlib.contextmanager
def lock(url: str, note: Callable[[str], None]) -> Iterator[None]:
    """Hold a lock object; raise StorageError where a living process holds it.

    `note` is told where there is a lock, since it takes a while to tell which it is. Raises
    StorageError at the end, too, where another process took it for dead meanwhile.
    """
    lease, folder = _Lease(url), url.rsplit("/", 2)[0]
    try:
        lease.take(lambda: note(f"{folder}: {_WAITING}"))
    except _Held:
        raise StorageError(
            f"{folder}: another dsbuild is at work in this folder; wait for it to end, or "
            "choose another folder"
        ) from None
    done = threading.Event()
    keeper = threading.Thread(target=lease.keep, args=(done,), daemon=True)
    keeper.start()
    try:
        yield
    finally:
        done.set()
        keeper.join()
        lease.free()
    if lease.lost:
        raise StorageError(
            f"{url}: another dsbuild took the lock over, since this one had not renewed it for "
            f"{WATCH:.0f} s; if it has ended, run the same command again, which checks every shard"
        )


class _Lease:
    """One process's hold on a lock object."""

    def __init__(self, url: str):
        self._url = url
        self._store, self._key = stores.at(url)
        self._name, self._beats = secrets.token_hex(8), itertools.count()
        self._mine: Any = None  # the version that this process wrote last
        self.lost = False

    def take(self, watching: Callable[[], None]) -> None:
        """Take the lock, by its creation or over a dead holder; raise _Held."""
        found, since = None, time.monotonic()
        while True:
            seen = self._look()
            if seen is None:
                mode = "create"
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

    def keep(self, done: threading.Event) -> None:
        """Renew the lock until `done`, or until it is lost."""
        while not done.wait(BEAT):
            # A store that is away for a moment is tried again at the next beat; if that is
            # too late, the version that is there then tells.
            with contextlib.suppress(StorageError):
                if not self._write(self._mine):
                    self.lost = True
                    return

    def free(self) -> None:
        """Remove the lock if it is ours; one that cannot be removed is taken over in time."""
        with contextlib.suppress(StorageError):
            self.lost = self.lost or not self._holds()
            if not self.lost:
                remote.remove(self._url)

    def _look(self) -> tuple[bytes, dict] | None:
        """Return the lock's content and version, or None where there is none."""

        def get() -> tuple[bytes, dict] | None:
            try:
                found = stores.library().get(self._store, self._key)
                return found.bytes().to_bytes(), _version(found.meta)
            except FileNotFoundError:
                return None

        return stores.ask(self._url, "read", get)

    def _write(self, mode: Any) -> bool:
        """Write the lock if it is still as `mode` says; tell whether it is ours now."""
        library = stores.library()
        content = f"{self._name} {next(self._beats)}\n".encode()
        known = library.exceptions
        with stores.errors(self._url, "written"):
            try:
                self._mine = _version(library.put(self._store, self._key, content, mode=mode))
                return True
            except (known.AlreadyExistsError, known.PreconditionError):
                # Refused, unless an earlier try arrived whose answer did not.
                return self._holds()
            except (NotImplementedError, known.NotSupportedError):
                return self._write_blindly(content)

    def _write_blindly(self, content: bytes) -> bool:
        """Write the lock on a store without conditional puts: of several writers the last has it.

        Two that begin within a moment of each other are told apart by looking again.
        """
        stores.library().put(self._store, self._key, content)
        time.sleep(min(_LOOK, WATCH / 4))
        return self._holds()

    def _holds(self) -> bool:
        """Tell whether the lock bears our name, and keep its version."""
        seen = self._look()
        self._mine = seen[1] if seen else None
        return seen is not None and seen[0].startswith(self._name.encode())


def _version(meta: Any) -> dict[str, str]:
    """Return what tells a version of an object: a tag, on Google's store a number."""
    return {key: meta[key] for key in ("e_tag", "version") if meta[key] is not None}
