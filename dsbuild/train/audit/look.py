"""Let a model look at records, and keep what it saw."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dsbuild import images, reader
from dsbuild.errors import TrainError
from dsbuild.format.folder import Folder
from dsbuild.train.audit.folds import Division
from dsbuild.train.audit.planes import Seen
from dsbuild.train.predict.outputs import fitted
from dsbuild.train.predict.predictor import Predictor

_PIXELS = 1 << 18  # of images that are predicted together
_THREADS = 2  # that decode

Advance = Callable[[], None]


def seen(
    predictor: Predictor,
    folder: Folder,
    division: Division,
    fold: int,
    unknown: Iterable[int],
    side: int,
    advance: Advance = lambda: None,
) -> Iterator[Seen]:
    """Yield the records of a fold as a model sees them, in order.

    Args:
      predictor: of a model with the classes of the data.
      folder: the data.
      division: in which the fold is.
      fold: its number.
      unknown: label values that are not judged.
      side: longest side, in pixels, at which images are predicted.
      advance: is called after each record.

    Raises TrainError for a label of another size than its image, or of values that are no class.
    """
    for batch in _batches(_records(folder, division, fold, predictor, side)):
        stack = np.stack([image for _, _, image, _ in batch])
        for (place, size, _, given), shares in zip(batch, _shares(predictor, stack), strict=True):
            yield Seen.of(place, size, given, shares, unknown)
            advance()


_Row = tuple[tuple[str, int, str], tuple[int, int], NDArray[np.uint8], NDArray[np.integer]]


def _records(
    folder: Folder, division: Division, fold: int, predictor: Predictor, side: int
) -> Iterator[_Row]:
    """Yield place, size, image and label of each record, both at the size that is predicted."""
    facts = predictor.trained.facts
    for split, folds in division.folds.items():
        numbers = np.flatnonzero(folds == fold)
        samples = reader.open(folder, split)
        chosen = replace(samples, picks=np.asarray(samples.picks)[numbers])
        for number, sample in zip(numbers.tolist(), chosen.epoch(threads=_THREADS), strict=True):
            label = np.asarray(sample.label)
            if label.shape != sample.image.shape[:2]:
                raise TrainError(
                    f"sample {sample.key!r}: label: found shape {label.shape}, expected "
                    f"{sample.image.shape[:2]}; build the data set again"
                )
            strange = label[(label >= len(facts.classes)) & (label != _none(facts.ignore))]
            if strange.size:
                raise TrainError(
                    f"sample {sample.key!r}: label: found {int(strange[0])}, expected 0 to "
                    f"{len(facts.classes) - 1}; run dsbuild validate"
                )
            size, image = label.shape, sample.image
            if max(size) > side:
                small = fitted(size, side)
                image, label = images.deep.resample(image, small), images.pick(label, small)
            yield (split, number, sample.key), size, image, label


def _none(ignore: int | None) -> int:
    return -1 if ignore is None else ignore


def _batches(rows: Iterable[_Row]) -> Iterator[list[_Row]]:
    """Yield consecutive records of equal size together, as many as have not too many pixels."""
    for (height, width, _), group in itertools.groupby(rows, key=lambda row: row[2].shape):
        most = max(1, _PIXELS // (height * width))
        while batch := list(itertools.islice(group, most)):
            yield batch


def _shares(predictor: Predictor, stack: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the probabilities of all classes: (n, h, w, c)."""
    shares = predictor.probabilities(stack)
    return np.concatenate([1 - shares, shares], -1) if predictor.binary else shares
