"""Read TFRecords as NumPy arrays, without TensorFlow: by number, by slice, in any order."""

from dsbuild.reader.epoch import Epoch
from dsbuild.reader.reader import Reader, kfold, open  # noqa: A004

__all__ = [
    "Epoch",
    "Reader",
    "kfold",
    "open",
]
