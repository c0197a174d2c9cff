"""The way to a Dask scheduler, and to the workers that it knows; every wait has an end."""

import contextlib
import gc
import queue
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

from dsbuild import __version__
from dsbuild.errors import DsbuildError

if TYPE_CHECKING:
    from distributed import Client

Answer = TypeVar("Answer")

_TIMEOUT = 20  # seconds to reach the scheduler, and a worker, and for their answers


@contextlib.contextmanager
def connected(scheduler: str) -> Iterator["Client"]:
    """Connect to a cluster that has this dsbuild; raise DsbuildError where there is none."""
    try:
        from distributed import Client
    except ModuleNotFoundError as error:
        raise DsbuildError(
            f"found no Dask ({error}); install it: pip install 'dsbuild[dask]'"
        ) from error
    client, why = None, ""
    try:
        client = _answer(
            lambda: Client(scheduler, timeout=_TIMEOUT, set_as_default=False), scheduler
        )
    except (OSError, ValueError) as error:
        why = str(error)
    if client is None:
        # A client that failed closes when it is collected. It has to be now: where that falls
        # into the start of another one, both wait for one lock, for ever.
        gc.collect()
        raise DsbuildError(
            f"--scheduler {scheduler}: found no Dask scheduler ({why}); expected the address of "
            "one, such as tcp://HOST:8786"
        )
    with client:
        _check(client, scheduler)
        yield client


def threads(client: "Client", scheduler: str) -> dict[str, int]:
    """Return the threads of each worker; wait for one, raise DsbuildError where none comes."""
    found = _answer(client.nthreads, scheduler)
    if found:
        return found
    try:
        _answer(lambda: client.wait_for_workers(1, timeout=_TIMEOUT), scheduler)
    except TimeoutError as error:
        raise DsbuildError(
            f"--scheduler {scheduler}: found no worker; start some: dask worker {scheduler}"
        ) from error
    return _answer(client.nthreads, scheduler)


def _check(client: "Client", scheduler: str) -> None:
    """Raise DsbuildError where there is no worker, or somebody has no or another dsbuild."""
    threads(client, scheduler)
    try:
        # The scheduler unpacks the tasks before it deals them.
        found = _answer(lambda: client.run(_version), scheduler) | {
            "the scheduler": _answer(lambda: client.run_on_scheduler(_version), scheduler)
        }
    except DsbuildError:
        raise
    except Exception as error:  # Dask has no class for what another process cannot import
        raise DsbuildError(
            f"--scheduler {scheduler}: the scheduler or a worker has no dsbuild ({error}); install "
            f"{__version__} there"
        ) from error
    for worker, version in found.items():
        if version != __version__:
            raise DsbuildError(
                f"--scheduler {scheduler}: found dsbuild {version} at {worker}, expected "
                f"{__version__}, as here; install it there"
            )


def _version() -> str:
    return __version__


def _answer(ask: Callable[[], Answer], scheduler: str) -> Answer:
    """Return ask(); raise DsbuildError where that takes too long, as of a machine that froze."""
    found: queue.SimpleQueue = queue.SimpleQueue()

    def wait() -> None:
        try:
            found.put((ask(), None))
        except BaseException as error:
            found.put((None, error))

    threading.Thread(target=wait, daemon=True).start()
    try:
        answer, error = found.get(timeout=2 * _TIMEOUT)
    except queue.Empty:
        raise DsbuildError(
            f"--scheduler {scheduler}: it or a worker does not answer for {2 * _TIMEOUT} seconds; "
            "look after them; finished shards are kept"
        ) from None
    if error is not None:
        raise error
    return answer
