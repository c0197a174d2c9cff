"""A job on a Dask cluster: its work mapped over its tasks by the workers of a scheduler.

The workers need dsbuild of the same version, and the same folders under the same names.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from dsbuild import __version__
from dsbuild.errors import DsbuildError, SampleError
from dsbuild.job import Advance, Bar, Job, Result, Task, tune

if TYPE_CHECKING:
    from distributed import Client

_RETRIES = 3  # of a task that failed by what may pass, such as a store that is away
_TIMEOUT = 20  # seconds to reach the scheduler, and a first worker


class _Done(NamedTuple):
    """What a task came to: its result or the error of its data, and what was done for it."""

    result: Any
    error: SampleError | None
    samples: int
    bytes: int


def run(job: Job[Task, Result], scheduler: str, quiet: bool = True) -> list[Result]:
    """Return the results in the order of the tasks; a task whose worker was lost is done again.

    The first error ends the job and is raised again as a DsbuildError.
    """
    results: dict[Any, Result] = {}
    with _client(scheduler) as client, Bar(job.samples, job.title, job.unit, quiet) as bar:
        from distributed import KilledWorker, as_completed

        futures = client.map(_call, list(job.tasks), work=job.work, pure=False, retries=_RETRIES)
        try:
            for future in as_completed(futures, loop=client.loop):
                done: _Done = future.result()
                if done.error:
                    raise done.error
                bar.advance(done.samples, done.bytes)
                results[future.key] = done.result
        except KilledWorker as error:
            raise DsbuildError(
                "workers of the cluster died again and again at the same shard; the system may "
                "have killed them for want of memory: give them more, or use more --shards; "
                "finished shards are kept"
            ) from error
        finally:
            client.cancel(futures)
    return [results[future.key] for future in futures]


def workers(scheduler: str) -> int:
    """Return how many tasks a cluster does at once; raise DsbuildError where it is not ready."""
    with _client(scheduler) as client:
        return sum(client.nthreads().values())


@contextlib.contextmanager
def _client(scheduler: str) -> Iterator["Client"]:
    """Connect to a cluster whose workers have this dsbuild; raise DsbuildError otherwise."""
    try:
        from distributed import Client
    except ModuleNotFoundError as error:
        raise DsbuildError(
            f"found no Dask ({error}); install it: pip install 'dsbuild[dask]'"
        ) from error
    try:
        client = Client(scheduler, timeout=_TIMEOUT, set_as_default=False)
    except (OSError, ValueError) as error:
        raise DsbuildError(
            f"--scheduler {scheduler}: found no Dask scheduler ({error}); expected the address of "
            "one, such as tcp://HOST:8786"
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=_TIMEOUT)
            found = client.run(_version)
        except TimeoutError as error:
            raise DsbuildError(
                f"--scheduler {scheduler}: found no worker; start some: dask worker {scheduler}"
            ) from error
        except ModuleNotFoundError as error:
            raise DsbuildError(
                f"--scheduler {scheduler}: a worker has no dsbuild: {error}"
            ) from error
        for worker, version in found.items():
            if version != __version__:
                raise DsbuildError(
                    f"--scheduler {scheduler}: found dsbuild {version} at {worker}, expected "
                    f"{__version__}, as here; install it there"
                )
        yield client


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
