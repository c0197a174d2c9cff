"""Records for a model of 8 bits: what it is calibrated with, and its scores beside float."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from dsbuild import reader
from dsbuild.errors import TrainError
from dsbuild.format.folder import Folder
from dsbuild.reader import Reader
from dsbuild.reader.sample import Sample
from dsbuild.train import dataset, described, image_range
from dsbuild.train.metrics.confusion import Confusion
from dsbuild.train.model.backbones import scaling
from dsbuild.train.model.scalings import SCALINGS
from dsbuild.train.runs import Trained

COUNT = 100  # records, by default
Images = NDArray[np.uint8]
Predict = Callable[[Images], NDArray[Any]]


@dataclass(frozen=True)
class Scores:
    """What a model of 8 bits scores beside the run's own; of the same images, cut to its size.

    Attributes:
      split: that the images are of.
      images: how many.
      mean_iou, float_mean_iou: of the model, and of the run's own.
      accuracy, float_accuracy: shares of pixels, or images, with the right class.
      agreement: share of pixels, or images, to which both give the same class.
    """

    split: str
    images: int
    mean_iou: float
    float_mean_iou: float
    accuracy: float
    float_accuracy: float
    agreement: float

    def document(self) -> dict[str, Any]:
        """Return the scores as a JSON document; a score of nothing is null."""
        found = dataclasses.asdict(self)
        return {name: None if value != value else value for name, value in found.items()}


@dataclass(frozen=True)
class Calibration:
    """Records that a model is calibrated with, drawn by the seed of the run.

    Attributes:
      trained: the model.
      data: the folder that they are from.
      split: of the folder.
      samples: all of the split.
      chosen: the numbers of those that were drawn, rising.
      held_out: the samples to score on; None if the run has no validation split.
    """

    trained: Trained
    data: str
    split: str
    samples: Reader
    chosen: tuple[int, ...]
    held_out: Reader | None

    def images(self, size: tuple[int, int]) -> Iterator[Images]:
        """Yield one image of a size for each record: a window of it, drawn by the seed."""
        rng = np.random.default_rng(self.trained.settings.seed)
        for number in self.chosen:
            image = image_range.picture(self.samples[number].image, self.trained.settings)
            if self.trained.facts.task == "classification":
                yield _resized(image, size)
                continue
            place = [
                int(rng.integers(max(whole - side, 0) + 1))
                for whole, side in zip(image.shape, size, strict=False)
            ]
            yield _window(self.trained, image, place, size)

    def document(self) -> dict[str, Any]:
        """Return what was drawn, as JSON."""
        return {
            "data": described.absolute(self.data),
            "split": self.split,
            "seed": self.trained.settings.seed,
            "records": len(self.chosen),
        }


def draw(run: str, trained: Trained, count: int, data: str | None = None) -> Calibration:
    """Draw records of the split that a run was trained on.

    Args:
      run: the folder of the run.
      trained: its model.
      count: how many records; all, if the split has fewer.
      data: their folder, with the classes of the run. Default: the folder it was trained on.

    Raises TrainError if there is none, or with other classes; PlanError if it lacks a split.
    """
    remedy = "dsbuild export RUN OUT --to tflite_int8 --data DATA"
    data = data or described.data_of(run, remedy)
    folder = Folder.of(data)
    trained.facts.expect(dataset.of(folder), data)
    image_range.expect(trained.settings, folder)
    samples = reader.open(folder, trained.settings.split)
    if not len(samples):
        raise TrainError(f"{data}: found no sample in {trained.settings.split!r} to calibrate with")
    held_out = reader.open(folder, trained.settings.val) if trained.settings.val else None
    rng = np.random.default_rng(trained.settings.seed)
    chosen = rng.choice(len(samples), min(count, len(samples)), replace=False)
    numbers = tuple(sorted(chosen.tolist()))
    return Calibration(trained, data, trained.settings.split, samples, numbers, held_out)


def score(
    calibration: Calibration, size: tuple[int, int], own: Predict, other: Predict
) -> Scores | None:
    """Return the scores of a model beside the run's own; None if the run has no validation split.

    Args:
      calibration: its data; as many images of the validation split are scored, from the first on.
      size: of the images that both models take; larger ones are cut into windows, smaller padded.
      own: returns classes (n, h, w), or (n,), of images (n, h, w, 3): the run's own model.
      other: the same of the other model.
    """
    trained, samples = calibration.trained, calibration.held_out
    split, classes = trained.settings.val, len(trained.facts.classes)
    if samples is None:
        return None
    count = min(len(samples), len(calibration.chosen))
    ignore = samples.ignore if samples.classes else trained.facts.ignore
    sums = [Confusion.empty(classes), Confusion.empty(classes)]
    same = total = 0
    for number in range(count):
        for image, label in _pieces(trained, samples[number], size):
            found = [_crop(predict(image[None])[0], label) for predict in (own, other)]
            same += int(np.count_nonzero(found[0] == found[1]))
            total += label.size
            for place, predicted in enumerate(found):
                sums[place] += Confusion.of(label, predicted, classes, ignore)
    if not total:
        return None
    own_sum, other_sum = sums
    return Scores(
        split=split,
        images=count,
        mean_iou=other_sum.mean_iou,
        float_mean_iou=own_sum.mean_iou,
        accuracy=other_sum.pixel_accuracy,
        float_accuracy=own_sum.pixel_accuracy,
        agreement=same / total,
    )


def _crop(classes: NDArray[Any], label: NDArray[Any]) -> NDArray[Any]:
    return classes[tuple(slice(side) for side in label.shape)]


def _pieces(
    trained: Trained, sample: Sample, size: tuple[int, int]
) -> Iterator[tuple[Images, NDArray[Any]]]:
    """Yield images of a size that cover a sample, each with the label of what it has of it."""
    image, label = image_range.picture(sample.image, trained.settings), np.asarray(sample.label)
    if trained.facts.task == "classification":
        yield _resized(image, size), label
        return
    if label.shape != image.shape[:2]:
        raise TrainError(
            f"sample {sample.key!r}: label: found shape {label.shape}, expected {image.shape[:2]}"
        )
    for top in range(0, image.shape[0], size[0]):
        for left in range(0, image.shape[1], size[1]):
            rows, columns = slice(top, top + size[0]), slice(left, left + size[1])
            yield _window(trained, image, (top, left), size), label[rows, columns]


def _window(trained: Trained, image: Images, place: Sequence[int], size: tuple[int, int]) -> Images:
    """Return a window of an image, padded on the right and below with the mean pixel."""
    settings = trained.settings
    fill = SCALINGS[scaling(settings.backbone, settings.pixels)].fill
    found = np.empty((*size, 3), np.uint8)
    found[:] = np.round(fill)
    piece = image[place[0] : place[0] + size[0], place[1] : place[1] + size[1]]
    found[: piece.shape[0], : piece.shape[1]] = piece
    return found


def _resized(image: Images, size: tuple[int, int]) -> Images:
    """Return an image that is classified as a whole, resized."""
    found = keras.ops.image.resize(image.astype(np.float32), size, antialias=True)
    pixels: Images = np.round(keras.ops.convert_to_numpy(found)).clip(0, 255).astype(np.uint8)
    return pixels
