"""Read TFRecords as NumPy arrays, without TensorFlow: by number, by slice, in any order."""

from dsbuild.reader.epoch import Epoch
from dsbuild.reader.opening import kfold, open  # noqa: A004
from dsbuild.reader.pairs import Pairs
from dsbuild.reader.reader import Reader
from dsbuild.reader.sample import Sample

__all__ = [
    "Epoch",
    "Pairs",
    "Reader",
    "Sample",
    "kfold",
    "open",
]
