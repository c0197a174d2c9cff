"""The images of TFRecords, as what is to be predicted."""

import functools

from dsbuild import reader
from dsbuild.errors import TrainError
from dsbuild.reader import Reader
from dsbuild.storage import safe_text
from dsbuild.train.predict import stitched
from dsbuild.train.predict.outputs import Image
from dsbuild.train.predict.sources import Source


def find(path: str, split: str, whole: bool = False) -> tuple[Source, ...]:
    """Return the images of a split of a folder of TFRecords, each named by its key.

    Their pixels are those that a model is trained on: unlike photos, they are not rotated by EXIF.

    Args:
      path: the folder.
      split: such as `val`, `test`, `train[:10%]`.
      whole: whether tiles are put together to images.

    Raises TrainError if there is no sample, or another DsbuildError if there is no such split.
    """
    samples = reader.open(path, split)
    if not len(samples):
        raise TrainError(f"{path}: found no sample in {split!r}; name a part that has some")
    if whole and stitched.is_tile(samples[0]):
        return stitched.find(samples, path, split)
    return tuple(
        Source(f"{path}: {key}", safe_text.path(key), pixels=functools.partial(_pixels, samples, i))
        for i, key in enumerate(samples[i].key for i in range(len(samples)))
    )


def _pixels(samples: Reader, number: int) -> Image:
    image: Image = samples[number].image
    return image
