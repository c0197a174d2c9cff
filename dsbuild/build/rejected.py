"""The errors of samples that cannot become records."""

from dsbuild.errors import SampleError

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


def none_left(split: str, count: int, first: str) -> SampleError:
    """Return the error of a split of which every sample was left out; `first` says why one was."""
    samples = f"all {count:,} samples were" if count > 1 else "its only sample was"
    return SampleError(
        f"split {split}: {samples} left out, so it would hold nothing; the first: {first}; correct "
        "them, or name the other splits with --split"
    )
