"""Read TFRecords as NumPy arrays, without TensorFlow: by number, by slice, in any order."""

from dsbuild.reader.reader import Epoch, Reader, kfold, open  # noqa: A004

__all__ = [
    "Epoch",
    "Reader",
    "kfold",
    "open",
]
