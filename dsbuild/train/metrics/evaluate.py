"""Measure a trained model on a split of a data set."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from dsbuild import engines, reader, storage
from dsbuild.errors import TrainError
from dsbuild.format.folder import Folder
from dsbuild.reader import Reader
from dsbuild.reader.sample import Sample
from dsbuild.train import dataset, described, image_range, runs
from dsbuild.train.dataset import Facts
from dsbuild.train.metrics import report
from dsbuild.train.metrics.boundary import BoundaryF1
from dsbuild.train.metrics.confusion import Confusion
from dsbuild.train.metrics.matting import Matting, unknown
from dsbuild.train.metrics.top import Top
from dsbuild.train.predict.predictor import How, Predictor


@dataclass(frozen=True, eq=False)
class Scores:
    """The scores of a measurement: a confusion matrix, and others on request.

    Attributes:
      confusion: of pixels, or of images if the model classifies.
      boundary: boundary F1.
      matting: errors of mattes over whole images.
      unknown: the same over the unknown regions of trimaps, if records have any.
      top: top-5 accuracy of a model that classifies.
    """

    confusion: Confusion
    boundary: BoundaryF1 | None = None
    matting: Matting | None = None
    unknown: Matting | None = None
    top: Top | None = None

    def __add__(self, other: "Scores") -> "Scores":
        return Scores(
            self.confusion + other.confusion,
            _added(self.boundary, other.boundary),
            _added(self.matting, other.matting),
            _added(self.unknown, other.unknown),
            _added(self.top, other.top),
        )


class _Adds(Protocol):
    def __add__(self, other: Self, /) -> Self: ...


_Part = TypeVar("_Part", bound=_Adds)


def _added(one: _Part | None, other: _Part | None) -> _Part | None:
    return None if one is None or other is None else one + other


def measure(
    predictor: Predictor,
    samples: Reader,
    *,
    boundary: bool = False,
    matting: bool = False,
    advance: Callable[[], None] = lambda: None,
) -> Scores:
    """Return the scores of the predictions for all samples; ignored pixels do not count.

    Args:
      predictor: of a model for the classes of the samples.
      samples: with labels.
      boundary: whether to measure boundary F1.
      matting: whether to compare the probability of class 1 with the `alpha` of the records; also
        in the unknown region of their `trimap`, if the first record has one.
      advance: is called after each sample.

    Raises TrainError, with the sample's key, for labels that are not classes or not of the
    image's size, and for samples without labels, or without alpha if that is needed.
    """
    facts = predictor.trained.facts
    classes = len(facts.classes)
    ignore = samples.ignore if samples.classes else facts.ignore
    _check(predictor, classes, boundary, matting)
    total = Scores(
        Confusion.empty(classes),
        BoundaryF1.empty(classes) if boundary else None,
        Matting() if matting else None,
        Matting() if matting and "trimap" in samples[0] else None,
        None if predictor.pixels else Top(),
    )
    for sample in samples.epoch(threads=2):
        total += _scored(predictor, sample, total, ignore)
        advance()
    return total


def _scored(predictor: Predictor, sample: Sample, wanted: Scores, ignore: int | None) -> Scores:
    """Return the scores of one sample, those that `wanted` has."""
    label = _label(sample, predictor.pixels)
    errors = unknown_errors = top = None
    if wanted.matting is not None or wanted.top is not None:
        probabilities = predictor.probabilities(sample.image)
        predicted = predictor.decided(probabilities)
        if wanted.top is not None:
            top = _top(label, probabilities, predictor, ignore)
        else:
            alpha = _plane(sample, "alpha") / 255
            matte = probabilities[..., -1].clip(0, 1)
            errors = Matting.of(alpha, matte)
            if wanted.unknown is not None:
                unknown_errors = Matting.of(alpha, matte, unknown(_plane(sample, "trimap")))
    else:
        predicted = predictor.classes(sample.image)
    contours, classes = None, len(predictor.trained.facts.classes)
    try:
        confusion = Confusion.of(label, predicted, classes, ignore)
        if wanted.boundary is not None:
            contours = BoundaryF1.of(label, predicted, classes, ignore)
    except TrainError as error:
        raise TrainError(f"sample {sample.key!r}: {error}") from error
    return Scores(confusion, contours, errors, unknown_errors, top)


def _check(predictor: Predictor, classes: int, boundary: bool, matting: bool) -> None:
    """Raise TrainError for scores that the model cannot have."""
    for name, wanted in (("boundary", boundary), ("matting", matting)):
        if wanted and not predictor.pixels:
            raise TrainError(f"{name}: found a model that classifies images, which has none")
    if matting and classes != 2:
        raise TrainError(
            f"matting: found a model of {classes} classes, expected 2: alpha is the probability of "
            "class 1"
        )


def _label(sample: Sample, pixels: bool) -> NDArray[Any]:
    """Return a sample's label, integers (h, w) or (); raise TrainError if it has none."""
    if sample.label is None:
        raise TrainError(f"sample {sample.key!r}: found no label; name a split that has labels")
    label = np.asarray(sample.label)
    expected = sample.image.shape[:2] if pixels else ()
    if label.shape != expected:
        raise TrainError(
            f"sample {sample.key!r}: label: found shape {label.shape}, expected {expected}; "
            "build the data set again"
        )
    return label


def _plane(sample: Sample, extra: str) -> NDArray[np.uint8]:
    """Return an extra of a record, uint8 (h, w); raise TrainError if it has none."""
    if extra not in sample:
        raise TrainError(
            f"sample {sample.key!r}: found no {extra}; build the data set with `--extra {extra}`"
        )
    return np.asarray(getattr(sample, extra))


def _top(
    label: NDArray[Any],
    probabilities: NDArray[np.float32],
    predictor: Predictor,
    ignore: int | None,
) -> Top:
    """Return the top-5 score of an image by its class () and probabilities (c,)."""
    if predictor.binary:
        probabilities = np.concatenate([1 - probabilities, probabilities])
    counts = label != ignore and 0 <= label < len(probabilities)  # `Confusion` names the rest
    return Top.of(int(label), probabilities) if counts else Top()


def evaluate(
    run: str,
    path: str | None = None,
    split: str = "val",
    how: How | None = None,
    *,
    out: str | None = None,
    last: bool = False,
    output_stride: int | None = None,
    boundary: bool | None = None,
    matting: bool = False,
    quiet: bool = True,
    note: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Measure the model of a run on a split, write the report, and return its document.

    Args:
      run: the folder of the run.
      path: a folder that dsbuild wrote, with the classes of the run. Default: the folder that
        the run was trained on.
      split: such as `val`, `test`, `train[:10%]`.
      how: how the model looks at images.
      out: the folder of the report. Default: a folder inside of the run's.
      last: use the last weights instead of the best.
      output_stride: that of the backbone, if not that of the training.
      boundary: measure boundary F1. Default: unless the model classifies.
      matting: measure errors of mattes.
      quiet: show no progress.
      note: is called with what is worth knowing, such as that the data was built again since.

    Raises TrainError, or another DsbuildError, for invalid input.
    """
    if path is None:
        path = described.data_of(run)
    source = Folder.of(path)
    facts = dataset.of(source)
    samples = reader.open(source, split)
    if not len(samples):
        raise TrainError(f"{path}: found no sample in {split!r}; name a part that has some")
    trained = runs.load(run, runs.LAST if last else None, output_stride)
    trained.facts.expect(facts, path)
    image_range.expect(trained.settings, source, split)
    rebuilt = described.rebuilt(run, path)
    if rebuilt:
        note(
            f"{path}: was built again since {run} was trained on it, so scores may differ from "
            "those of the training"
        )
    predictor = Predictor(trained, how or How())
    with engines.Bar(len(samples), "evaluate", "samples", quiet) as bar:
        scores = measure(
            predictor,
            samples,
            boundary=predictor.pixels if boundary is None else boundary,
            matting=matting,
            advance=lambda: bar.advance(1, 0),
        )
    words = [] if facts.digest == trained.facts.digest else _other(path, facts)
    folder = out or storage.join(run, _folder(split, predictor.how, last, output_stride, words))
    about: dict[str, Any] = {
        "run": run,
        "step": trained.step,
        "data": path,
        "rebuilt": rebuilt,
        "split": split,
        "samples": len(samples),
        "task": facts.task,
        "scales": list(predictor.how.scales),
        "flip": predictor.how.flip,
        "window": predictor.how.window,
        "eval_size": predictor.size,
        "output_stride": trained.settings.output_stride,
        "out": folder,
    }
    parts = (scores.confusion, facts.classes, scores.boundary, scores.matting)
    return dict(report.save(folder, *parts, about, scores.unknown, scores.top))


def _other(path: str, facts: Facts) -> list[str]:
    """Return words for data that a run was not trained on: the folder's name, and its digest."""
    return ["on", storage.name(storage.normal(path)), facts.digest[:8]]


def _folder(
    split: str, how: How, last: bool, output_stride: int | None, data: Sequence[str] = ()
) -> str:
    """Return the name of a report's folder, which differs for every way of measuring."""
    words = ["evaluation", split, *data]
    if how.scales != (1.0,):
        words += ["scales", *(f"{scale:g}" for scale in how.scales)]
    words += ["flip"] * how.flip + ["last"] * last
    words += [f"window-{how.window}"] * (how.window is not None)
    words += [f"size-{how.size}"] * (how.size is not None)
    words += [f"stride-{output_stride}"] * (output_stride is not None)
    return re.sub(r"[^\w.+-]", "_", "-".join(words))
