"""The errors of dsbuild, as a small tree.

Every message says where (sample key, file, record), what was found, what was expected and what to
do. It is the first and only required argument of each error, so that errors can be pickled on
their way out of a worker process.
"""

import re
from collections.abc import Iterable

_OBJECT = re.compile(r" ?<[^<>]* at 0x[0-9a-fA-F]+>")


def words(error: Exception | str) -> str:
    """Return the message of a library's exception without memory addresses.

    Addresses differ from run to run and help nobody.
    """
    return _OBJECT.sub("", str(error))


def closest(word: str, words: Iterable[str]) -> str | None:
    """Return the word most like a wrong one, or None if none is alike."""
    import difflib  # here, since few messages need it

    plain = {one.casefold(): one for one in words}
    alike = difflib.get_close_matches(word.casefold(), plain, 1)
    return plain[alike[0]] if alike else None


def nearest(word: str, words: Iterable[str]) -> str:
    """Return `; did you mean X?` with the closest word, or nothing if none is alike.

    >>> nearest("lable", ["image", "label"]), nearest("cat", ["dog"])
    ('; did you mean label?', '')
    """
    found = closest(word, words)
    return f"; did you mean {found}?" if found else ""


# Optional package, as it is imported -> what people call it, and the extra that installs it.
_OPTIONAL = {
    "apache_beam": ("Apache Beam", "beam"),
    "array_record": ("array_record", "export"),
    "distributed": ("Dask", "dask"),
    "keras": ("Keras", "train"),
    "ai_edge_litert": ("LiteRT", "serve"),
    "obstore": ("obstore", "cloud"),
    "onnxruntime": ("ONNX Runtime", "serve"),
    "pyarrow": ("pyarrow", "export"),
    "scipy": ("SciPy", "sbd"),
    "tensorboard": ("TensorBoard", "train"),
    "tensorflow": ("TensorFlow", "tf"),
    "tf2onnx": ("tf2onnx", "serve"),
    "torch": ("PyTorch", "torch"),
}
_SMALL = ("keras", "tensorflow")  # their extras have twins with the small wheel for CPUs


def missing(module: str, what: str, error: ImportError | None = None, extra: str = "") -> str:
    """Return the message for something that needs an optional package.

    `error` says why a package that is installed cannot be imported; `extra` is the one to install
    if the package belongs to several.

    >>> missing("torch", "torch_dataset")
    "torch_dataset needs PyTorch, which is not installed: pip install 'dsbuild[torch]'"
    """
    title, own = _OPTIONAL[module]
    extra = extra or own
    broken = error is not None and not isinstance(error, ModuleNotFoundError)
    why = f"cannot be imported ({words(str(error))})" if broken else "is not installed"
    small = f", or 'dsbuild[{extra}-cpu]' without GPU, which is smaller"
    end = small if module in _SMALL else ""
    return f"{what} needs {title}, which {why}: pip install 'dsbuild[{extra}]'{end}"


def lacking(error: ImportError, what: str, extra: str = "") -> str | None:
    """Return the same message for a failed import, or None if it is not of an optional package."""
    module = (error.name or "").partition(".")[0]
    return missing(module, what, error, extra) if module in _OPTIONAL else None


class DsbuildError(Exception):
    """Base of every error that a user, not a maintainer, can fix."""

    def __init__(self, message: str = "") -> None:
        super().__init__(words(message))


class DataError(DsbuildError):
    """The data is wrong, however often it is read: a sample, a record, a list, a folder.

    Only these errors may be skipped, counted, reported or repaired. All others come from the
    environment, say nothing about the data, and end the work.
    """


class StorageError(DsbuildError):
    """A disk, a store or the connection to it fails; this says nothing about the data there."""


class NoFileError(StorageError, DataError):
    """A file is missing, or something else is in its place: the data is at fault."""


class DeniedError(StorageError):
    """The system or the store denies access: missing rights, or expired credentials."""


class LostLease(StorageError):
    """Another builder took over the lock of a folder on a store: nothing more may be written."""


class MachineError(DsbuildError):
    """The machine does not have enough of something, such as memory."""


class ImageError(DataError):
    """Bytes are not an image, or not one that all readers decode to the same pixels.

    `kind` is the name under which the audit counts the error, a key of `layouts.finding.KINDS`.
    """

    def __init__(self, message: str, kind: str = "unreadable") -> None:
        super().__init__(message)
        self.kind = kind


class LayoutError(DataError):
    """A folder does not have the layout that it was expected to have."""


class SampleError(DataError):
    """One sample cannot become a record; the message starts with its key."""


class SchemaError(DataError):
    """A schema is wrong, or a record does not match it."""


class TrainError(DsbuildError):
    """Labels, predictions, losses or class weights do not match each other."""


class ShardError(DataError):
    """A TFRecord file is damaged; the message names file, record and offset."""


class PlanError(DsbuildError):
    """A requested build contradicts itself or the output folder."""


class ModelError(DsbuildError):
    """A requested model is impossible, or weights belong to another model."""
