"""Measure a trained model on a split of a data set."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dsbuild import engines, reader, storage
from dsbuild.errors import TrainError
from dsbuild.format.folder import Folder
from dsbuild.reader import Reader
from dsbuild.reader.sample import Sample
from dsbuild.train import dataset, runs
from dsbuild.train.metrics import report
from dsbuild.train.metrics.boundary import BoundaryF1
from dsbuild.train.metrics.confusion import Confusion
from dsbuild.train.metrics.matting import Matting, unknown
from dsbuild.train.metrics.top import Top
from dsbuild.train.predict.predictor import How, Predictor


@dataclass(frozen=True, eq=False)
class Scores:
    """What was measured: a confusion matrix, and what else was asked for.

    Attributes:
      confusion: of pixels, or of images where the model classifies.
      boundary: boundary F1.
      matting: errors of mattes over whole images.
      unknown: the same over the unknown regions of trimaps, where records have some.
      top: top-5 accuracy of a model that classifies.
    """

    confusion: Confusion
    boundary: BoundaryF1 | None = None
    matting: Matting | None = None
    unknown: Matting | None = None
    top: Top | None = None


def measure(
    predictor: Predictor,
    samples: Reader,
    *,
    boundary: bool = False,
    matting: bool = False,
    advance: Callable[[], None] = lambda: None,
) -> Scores:
    """Return the scores of what is predicted of all samples; ignored pixels do not count.

    Args:
      predictor: of a model for the classes of the samples.
      samples: with labels.
      boundary: whether boundary F1 is measured.
      matting: whether the probability of class 1 is held against the `alpha` of the records;
        also in the unknown region of their `trimap`, if the first one has it.
      advance: is called after each sample.

    Raises TrainError, with the sample's key, for labels that are no classes or not of the
    image's size, for samples without labels, or without alpha where it is asked for.
    """
    known = predictor.trained.facts
    classes = len(known.classes)
    ignore = samples.ignore if samples.classes else known.ignore
    _fitting(predictor, classes, boundary, matting)
    total = Confusion.empty(classes)
    contours = BoundaryF1.empty(classes) if boundary else None
    mattes = Matting() if matting else None
    trimaps = Matting() if matting and _has(samples[0], "trimap") else None
    top = None if predictor.pixels else Top()
    for sample in samples.epoch(threads=2):
        label = _label(sample, predictor.pixels)
        if mattes is not None or top is not None:
            found = predictor.probabilities(sample.image)
            if top is not None:
                top += _top(label, found, predictor, ignore)
            else:
                alpha, probable = _plane(sample, "alpha") / 255, found[..., -1].clip(0, 1)
                mattes += Matting.of(alpha, probable)
                if trimaps is not None:
                    trimaps += Matting.of(alpha, probable, unknown(_plane(sample, "trimap")))
            plane = predictor.decided(found)
        else:
            plane = predictor.classes(sample.image)
        try:
            total += Confusion.of(label, plane, classes, ignore)
            if contours is not None:
                contours += BoundaryF1.of(label, plane, classes, ignore)
        except TrainError as error:
            raise TrainError(f"sample {sample.key!r}: {error}") from error
        advance()
    return Scores(total, contours, mattes, trimaps, top)


def _fitting(predictor: Predictor, classes: int, boundary: bool, matting: bool) -> None:
    for name, asked in (("boundary", boundary), ("matting", matting)):
        if asked and not predictor.pixels:
            raise TrainError(f"{name}: found a model that classifies images, which has none")
    if matting and classes != 2:
        raise TrainError(
            f"matting: found a model of {classes} classes, expected 2: alpha is the probability of "
            "class 1"
        )


def _label(sample: Sample, pixels: bool) -> np.ndarray:
    """Return a sample's label, integers (h, w) or (); raise TrainError where it has none."""
    label = sample.label
    if label is None:
        raise TrainError(f"sample {sample.key!r}: found no label; name a split that has labels")
    label = np.asarray(label)
    expected = sample.image.shape[:2] if pixels else ()
    if label.shape != expected:
        raise TrainError(
            f"sample {sample.key!r}: label: found shape {label.shape}, expected {expected}; "
            "build the data set anew"
        )
    return label


def _has(sample: Sample, extra: str) -> bool:
    return any(role in sample for role in (extra, f"{extra}.encoded"))


def _plane(sample: Sample, extra: str) -> np.ndarray:
    """Return an extra of a record, uint8 (h, w); raise TrainError where it has none."""
    if not _has(sample, extra):
        raise TrainError(
            f"sample {sample.key!r}: found no {extra}; build the data set with `--extra {extra}`"
        )
    return np.asarray(getattr(sample, extra))


def _top(label: np.ndarray, found: np.ndarray, predictor: Predictor, ignore: int | None) -> Top:
    """Return the top-5 score of an image by its class () and probabilities (c,)."""
    if predictor.binary:
        found = np.concatenate([1 - found, found])
    counts = label != ignore and 0 <= label < len(found)  # what is no class, `Confusion` names
    return Top.of(int(label), found) if counts else Top()


def evaluate(
    run: str,
    path: str,
    split: str = "val",
    how: How | None = None,
    *,
    out: str | None = None,
    last: bool = False,
    output_stride: int | None = None,
    boundary: bool | None = None,
    matting: bool = False,
    quiet: bool = True,
) -> dict[str, Any]:
    """Measure the model of a run on a split, write the report, and return it with what it is of.

    Args:
      run: the folder of the run.
      path: a folder that dsbuild wrote, of the classes of the run.
      split: such as `val`, `test`, `train[:10%]`.
      how: images are looked at.
      out: the folder of the report; without it one in that of the run.
      last: take the last weights, not the best.
      output_stride: of the backbone, where it is not that of the training.
      boundary: measure boundary F1; without it wherever there are pixels.
      matting: measure errors of mattes.
      quiet: show no progress.

    Raises TrainError, or another DsbuildError, for what does not fit.
    """
    folder = Folder.of(path)
    known = dataset.of(folder)
    samples = reader.open(folder, split)
    if not len(samples):
        raise TrainError(f"{path}: found no sample in {split!r}; name a part that has some")
    trained = runs.load(run, runs.LAST if last else None, output_stride)
    trained.facts.expect(known, path)
    predictor = Predictor(trained, how or How())
    if boundary is None:
        boundary = predictor.pixels
    with engines.Bar(len(samples), "evaluate", "samples", quiet) as bar:
        found = measure(
            predictor,
            samples,
            boundary=boundary,
            matting=matting,
            advance=lambda: bar.advance(1, 0),
        )
    about = {
        "run": run,
        "step": trained.step,
        "data": path,
        "split": split,
        "samples": len(samples),
        "task": known.task,
        "scales": list(predictor.how.scales),
        "flip": predictor.how.flip,
        "window": predictor.how.window,
        "eval_size": predictor.size,
        "output_stride": trained.settings.output_stride,
    }
    words = [] if known.digest == trained.facts.digest else _other(path, known)
    folder = _named(split, predictor.how, last, output_stride, words)
    about["out"] = out or storage.join(run, folder)
    scores = (found.confusion, known.classes, found.boundary, found.matting)
    return dict(report.save(about["out"], *scores, about, found.unknown, found.top))


def _other(path: str, known: dataset.Facts) -> list[str]:
    """Return words for data that a run was not trained on: the folder's name, and its digest's."""
    return ["on", storage.name(storage.normal(path)), known.digest[:8]]


def _named(
    split: str, how: How, last: bool, output_stride: int | None, data: Sequence[str] = ()
) -> str:
    """Return the folder of a report, another one for whatever is measured otherwise."""
    words = ["evaluation", split, *data]
    if how.scales != (1.0,):
        words += ["scales", *(f"{scale:g}" for scale in how.scales)]
    words += ["flip"] * how.flip + ["last"] * last
    words += [f"window-{how.window}"] * (how.window is not None)
    words += [f"size-{how.size}"] * (how.size is not None)
    words += [f"stride-{output_stride}"] * (output_stride is not None)
    return re.sub(r"[^\w.+-]", "_", "-".join(words))
