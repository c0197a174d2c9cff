"""A job on a Dask cluster: its work mapped over its tasks by the workers of a scheduler.

Scheduler and workers need dsbuild of the same version, workers the same folders under the same
names.
"""

import contextlib
import gc
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any, NamedTuple

from dsbuild import __version__
from dsbuild.errors import DsbuildError, SampleError
from dsbuild.job import Advance, Bar, Job, Result, Task, tune

if TYPE_CHECKING:
    from distributed import Client, Future

_RETRIES = 3  # of a task that failed by what may pass, such as a store that is away
_TIMEOUT = 20  # seconds to reach the scheduler, and a worker
_PATIENCE = 10  # seconds until it is asked again whether there is one


class _Done(NamedTuple):
    """What a task came to: its result or the error of its data, and what was done for it."""

    result: Any
    error: SampleError | None
    samples: int
    bytes: int


def run(job: Job[Task, Result], scheduler: str, quiet: bool = True) -> list[Result]:
    """Return the results in the order of the tasks; a task whose worker was lost is done again.

    The first error in their order ends the job and is raised again as a DsbuildError.
    """
    results = []
    with _client(scheduler) as client, Bar(job.samples, job.title, job.unit, quiet) as bar:
        from distributed import KilledWorker
        from distributed.comm import CommClosedError

        futures = client.map(_call, list(job.tasks), work=job.work, pure=False, retries=_RETRIES)
        try:
            for future in futures:
                done = _result(future, client, scheduler)
                if done.error:
                    raise done.error
                bar.advance(done.samples, done.bytes)
                results.append(done.result)
        except KilledWorker as error:
            raise DsbuildError(
                "workers of the cluster died again and again at the same shard; the system may "
                "have killed them for want of memory: give them more, or use more --shards; "
                "finished shards are kept"
            ) from error
        except (CancelledError, CommClosedError) as error:
            raise DsbuildError(
                f"--scheduler {scheduler}: lost the scheduler, or it was told to cancel this work; "
                "finished shards are kept"
            ) from error
        finally:
            with contextlib.suppress(CommClosedError):
                client.cancel(futures)
    return results


def workers(scheduler: str) -> int:
    """Return how many tasks a cluster does at once; raise DsbuildError where it is not ready."""
    with _client(scheduler) as client:
        return sum(client.nthreads().values())


@contextlib.contextmanager
def _client(scheduler: str) -> Iterator["Client"]:
    """Connect to a cluster that has this dsbuild; raise DsbuildError where there is none."""
    try:
        from distributed import Client
    except ModuleNotFoundError as error:
        raise DsbuildError(
            f"found no Dask ({error}); install it: pip install 'dsbuild[dask]'"
        ) from error
    client, why = None, ""
    try:
        client = Client(scheduler, timeout=_TIMEOUT, set_as_default=False)
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


def _check(client: "Client", scheduler: str) -> None:
    """Raise DsbuildError where there is no worker, or somebody has no or another dsbuild."""
    _wait(client, scheduler)
    try:
        # The scheduler unpacks the tasks before it deals them.
        found = client.run(_version) | {"the scheduler": client.run_on_scheduler(_version)}
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


def _wait(client: "Client", scheduler: str) -> None:
    """Wait for a worker; raise DsbuildError where none comes."""
    try:
        client.wait_for_workers(1, timeout=_TIMEOUT)
    except TimeoutError as error:
        raise DsbuildError(
            f"--scheduler {scheduler}: found no worker; start some: dask worker {scheduler}"
        ) from error


def _result(future: "Future", client: "Client", scheduler: str) -> _Done:
    """Return what a task came to; raise DsbuildError where no worker is left for it."""
    while True:
        try:
            return future.result(timeout=_PATIENCE)
        except TimeoutError:
            _wait(client, scheduler)  # a scheduler without workers waits for ever


def _version() -> str:
    return __version__


def _call(task: Task, work: Callable[[Task, Advance], Result]) -> _Done:
    tune()
    done = [0, 0]

    def advance(samples: int, size: int) -> None:
        done[0] += samples
        done[1] += size

    try:
        return _Done(work(task, advance), None, *done)
    except SampleError as error:
        # Returned, not raised: to try it again is no use.
        return _Done(None, SampleError(str(error)), *done)
