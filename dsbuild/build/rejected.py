"""The errors of samples that cannot become records, and of machines that failed meanwhile."""

import contextlib
from collections.abc import Iterator

from dsbuild.errors import MachineError, SampleError, StorageError
from dsbuild.layouts import Sample

NOTHING = (None, None, None)


class Rejected(SampleError):
    """A sample that cannot become a record, with the parts of a `Reject`.

    `kind` is a key of `finding.KINDS`, `file` is relative to the root.
    """

    def __init__(
        self,
        message: str,
        key: str = "",
        file: str = "",
        kind: str = "",
        reason: str = "",
        sources: tuple[int | None, ...] = NOTHING * 2,
    ) -> None:
        super().__init__(message)
        self.key, self.file, self.kind, self.reason = key, file, kind, reason
        self.sources = sources


@contextlib.contextmanager
def named(sample: Sample, path: str = "") -> Iterator[None]:
    """Name sample and file in errors that are not the sample's fault; the build can be resumed.

    `path` is the current file, if any. Raises StorageError, or MachineError if out of memory.
    """
    start = f"sample {sample.key}: "
    where = f"{start}{path}: " if path else start
    try:
        yield
    except StorageError as error:
        text = str(error)
        if text.startswith(start):
            raise
        raise StorageError((start if path in text else where) + text) from error
    except OSError as error:
        raise StorageError(
            f"{where}the system failed while it was worked on: {error.strerror or error}; "
            "finished shards are kept: run the same command again"
        ) from error
    except MemoryError as error:
        raise MachineError(
            f"{where}memory ran out while it was worked on; use fewer --workers or a machine with "
            "more memory; finished shards are kept: run the same command again"
        ) from error


def none_left(split: str, count: int, first: str) -> SampleError:
    """Return the error of a split of which every sample was left out; `first` says why one was."""
    samples = f"all {count:,} samples were" if count > 1 else "its only sample was"
    return SampleError(
        f"split {split}: {samples} left out, so it would hold nothing; the first: {first}; correct "
        "them, or name the other splits with --split"
    )
