"""A task on a worker of a Dask cluster, and its result."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from dsbuild.engines.job import Advance, Result, Task
from dsbuild.engines.process import tune
from dsbuild.errors import DsbuildError, LostLease, SampleError, StorageError


class Done(NamedTuple):
    """The result of a task.

    Attributes:
      result: None if it failed.
      error: why it failed.
      trouble: whether the reason is not in its data, so that it may pass.
      own: whether the reason is one of the worker's own disks.
      worker: the one that failed.
      samples, bytes: what was done.
    """

    result: Any = None
    error: DsbuildError | None = None
    trouble: bool = False
    own: bool = False
    worker: str = ""
    samples: int = 0
    bytes: int = 0


def call(task: Task, work: Callable[[Task, Advance], Result]) -> Done:
    """Do a task; return errors of its data, of storage and of memory, and raise bugs."""
    tune()
    done = [0, 0]

    def advance(samples: int, size: int) -> None:
        done[0] += samples
        done[1] += size

    try:
        return Done(work(task, advance), samples=done[0], bytes=done[1])
    except SampleError as error:
        return Done(error=SampleError(str(error)))
    except LostLease as error:
        return Done(error=error)
    except (StorageError, OSError, MemoryError) as error:
        return _trouble(error)
    except DsbuildError as error:
        return Done(error=error)


def _trouble(error: Exception) -> Done:
    from distributed import get_worker

    worker = get_worker().address
    # An error of the system concerns this machine; one of a store concerns the store.
    own = any(isinstance(one, OSError) for one in _chain(error))
    told = f"worker {worker}: {_text(error)}"
    return Done(error=StorageError(told), trouble=True, own=own, worker=worker)


def _text(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "memory ran out; give it more, or use more --shards"
    return str(error) or type(error).__name__


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
