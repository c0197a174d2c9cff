"""What can go wrong, as one small tree.

Every message says where (sample key, file, record), what was found, what was
expected and what to do. Each error takes that message as its first argument, and needs
no other, so that it survives pickling on its way out of a worker process.
"""

import re

_OBJECT = re.compile(r" ?<[^<>]* at 0x[0-9a-fA-F]+>")


def words(error: Exception | str) -> str:
    """Return what a library's exception says, but for addresses in memory.

    These tell nobody anything, and differ from run to run.
    """
    return _OBJECT.sub("", str(error))


class DsbuildError(Exception):
    """Base of every error that a user, not a maintainer, can mend."""

    def __init__(self, message: str = ""):
        super().__init__(words(message))


class DataError(DsbuildError):
    """What was read is wrong, and is so at every reading: a sample, a record, a list, a folder.

    Only this may be skipped, counted, reported or mended. Any other error is the world's: it
    says nothing of the data, and ends what is done.
    """


class StorageError(DsbuildError):
    """A disk, a store or the way to it is in trouble: nothing is said of the data there."""


class NoFileError(StorageError, DataError):
    """There is no such file, or something else is in its place: the data's own fault."""


class DeniedError(StorageError):
    """The system or the store does not show it: rights lack, or credentials have expired."""


class LostLease(StorageError):
    """The lock of a folder on a store is another builder's by now: nothing more may be written."""


class MachineError(DsbuildError):
    """The machine lacks something to work with, such as memory."""


class ImageError(DataError):
    """Bytes are not an image, or not one that every reader decodes alike.

    `kind` is the name under which the audit counts it, one of `findings.KINDS`.
    """

    def __init__(self, message: str, kind: str = "unreadable"):
        super().__init__(message)
        self.kind = kind


class LayoutError(DataError):
    """A folder is not the published layout that it was taken for."""


class SampleError(DataError):
    """One sample cannot become a record; the message starts with its key."""


class SchemaError(DataError):
    """A schema, or a record held against it, does not fit."""


class TrainError(DsbuildError):
    """Labels, predictions, losses or weights of classes do not fit each other."""


class ShardError(DataError):
    """A TFRecord file is damaged; the message names file, record and offset."""


class PlanError(DsbuildError):
    """A build that was asked for contradicts itself or the output folder."""


class ModelError(DsbuildError):
    """A model that was asked for cannot be, or weights are not those of it."""
