"""The error of a sample that cannot become a record."""

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
