"""The connection to a Dask scheduler and its workers; every wait has an end."""

import contextlib
import gc
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar, cast

from dsbuild import __version__
from dsbuild.errors import DsbuildError, missing

Answer = TypeVar("Answer")


class Place(NamedTuple):
    """The address of a scheduler, and the seconds to reach it or a worker and get an answer."""

    scheduler: str
    timeout: float


@contextlib.contextmanager
def connected(place: Place) -> Iterator[Any]:
    """Give a distributed.Client of a cluster with this dsbuild; raise DsbuildError otherwise."""
    try:
        from distributed import Client
    except ModuleNotFoundError as error:
        raise DsbuildError(missing("distributed", "--runner dask", error)) from error
    dask: Any = Client  # which has no types
    client, why = None, ""
    try:
        client = _answer(
            lambda: dask(place.scheduler, timeout=place.timeout, set_as_default=False), place
        )
    except (OSError, ValueError) as error:
        why = str(error)
    if client is None:
        # A client that failed closes when it is collected. Collect it now: if that happened
        # during the start of another client, both would wait for one lock for ever.
        gc.collect()
        raise DsbuildError(
            f"--scheduler {place.scheduler}: found no Dask scheduler ({why}); expected the address "
            "of one, such as tcp://HOST:8786"
        )
    with client:
        _check(client, place)
        yield client


def threads(client: Any, place: Place) -> dict[str, int]:
    """Return the threads of each worker; wait for one, raise DsbuildError if none comes."""
    found: dict[str, int] = _answer(client.nthreads, place)
    if found:
        return found
    try:
        _answer(lambda: client.wait_for_workers(1, timeout=place.timeout), place)
    except TimeoutError as error:
        raise DsbuildError(
            f"--scheduler {place.scheduler}: found no worker; start some: dask worker "
            f"{place.scheduler}"
        ) from error
    return cast(dict[str, int], _answer(client.nthreads, place))


def _check(client: Any, place: Place) -> None:
    """Raise DsbuildError if there is no worker, or dsbuild is missing or another version there."""
    threads(client, place)
    try:
        # The scheduler unpacks the tasks before it deals them.
        found = _answer(lambda: client.run(_version), place) | {
            "the scheduler": _answer(lambda: client.run_on_scheduler(_version), place)
        }
    except DsbuildError:
        raise
    except Exception as error:  # Dask has no class for what another process cannot import
        raise DsbuildError(
            f"--scheduler {place.scheduler}: the scheduler or a worker has no dsbuild ({error}); "
            f"install {__version__} there"
        ) from error
    for worker, version in found.items():
        if version != __version__:
            raise DsbuildError(
                f"--scheduler {place.scheduler}: found dsbuild {version} at {worker}, expected "
                f"{__version__}, as here; install it there"
            )


def _version() -> str:
    return __version__


def _answer(ask: Callable[[], Answer], place: Place) -> Answer:
    """Return ask(); raise DsbuildError if that takes too long, as with a frozen machine."""
    found: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()

    def wait() -> None:
        try:
            found.put((ask(), None))
        except BaseException as error:
            found.put((None, error))

    threading.Thread(target=wait, daemon=True).start()
    try:
        answer, error = found.get(timeout=2 * place.timeout)
    except queue.Empty:
        raise DsbuildError(
            f"--scheduler {place.scheduler}: it or a worker did not answer within "
            f"{2 * place.timeout:g} seconds; check them; finished shards are kept"
        ) from None
    if error is not None:
        raise error
    return cast(Answer, answer)
