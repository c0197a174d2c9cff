"""The report of an evaluation: scores as JSON, the confusion matrix as CSV and as a picture.

scores.json        means, and one row per class; null if nothing was counted
confusion.csv      pixels, or images, by class in the label (rows) and the prediction (columns)
confusion.png      the same matrix as shares of each row
"""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsbuild import images, storage
from dsbuild.errors import TrainError
from dsbuild.format import manifest
from dsbuild.images import heatmap
from dsbuild.train.metrics.boundary import BoundaryF1
from dsbuild.train.metrics.confusion import Confusion, share
from dsbuild.train.metrics.matting import Matting
from dsbuild.train.metrics.top import Top

SCORES = "scores.json"
TABLE = "confusion.csv"
PICTURE = "confusion.png"


def document(
    confusion: Confusion,
    classes: Sequence[str],
    boundary: BoundaryF1 | None = None,
    matting: Matting | None = None,
    unknown: Matting | None = None,
    top: Top | None = None,
) -> dict[str, Any]:
    """Return the scores as a JSON document; `classes` are names by index.

    It has boundary F1 and errors of mattes if they were measured: `matting` over whole images,
    `unknown` over the unknown regions of trimaps. With `top`, the scores of a classification, it
    counts images instead of pixels. Raises TrainError unless there is one name per class.
    """
    _check(confusion, classes)
    columns = {"accuracy": confusion.accuracy, "precision": confusion.precision}
    means = {"accuracy": confusion.pixel_accuracy, "mean_accuracy": confusion.mean_accuracy}
    if top is not None:
        means[f"top_{top.k}_accuracy"] = top.accuracy
    else:
        columns = {"iou": confusion.iou} | columns
        means = {
            "mean_iou": confusion.mean_iou,
            "pixel_accuracy": confusion.pixel_accuracy,
            "mean_accuracy": confusion.mean_accuracy,
            "frequency_weighted_iou": confusion.frequency_weighted_iou,
        }
    unit = _unit(top)
    if boundary is not None:
        columns["boundary_f1"], means["boundary_f1"] = boundary.scores, boundary.mean
    counted = {"label": confusion.labelled, "prediction": confusion.predicted}
    return {
        unit: int(confusion.counts.sum()),
        **{name: _number(value) for name, value in means.items()},
        "classes": [
            {"index": i, "name": name}
            | {f"{plane}_{unit}": int(number[i]) for plane, number in counted.items()}
            | {column: _number(values[i]) for column, values in columns.items()}
            for i, name in enumerate(classes)
        ],
        **({} if matting is None else {"matting": _matting(matting)}),
        **({} if unknown is None else {"matting_unknown": _matting(unknown)}),
    }


def _unit(top: Top | None) -> str:
    """Return what a confusion matrix counts."""
    return "pixels" if top is None else "images"


def _matting(errors: Matting) -> dict[str, Any]:
    return {
        "images": errors.images,
        **{name: _number(value) for name, value in errors.means.items()},
    }


def _number(value: float) -> float | None:
    """Return a score for JSON, which has no NaN."""
    return None if math.isnan(value) else float(value)


def _check(confusion: Confusion, classes: Sequence[str]) -> None:
    if len(classes) != len(confusion.counts):
        raise TrainError(
            f"found {len(classes)} class names for a confusion matrix of {len(confusion.counts)} "
            "classes, expected one name per class"
        )


def table(confusion: Confusion, classes: Sequence[str]) -> str:
    """Return the confusion matrix as CSV: one row per class of the label, after its name."""
    _check(confusion, classes)
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(["label \\ prediction", *classes])
    lines.writerows(
        [name, *row] for name, row in zip(classes, confusion.counts.tolist(), strict=True)
    )
    return text.getvalue()


def picture(
    confusion: Confusion, classes: Sequence[str], unit: str = "pixels"
) -> NDArray[np.uint8]:
    """Return the confusion matrix as a picture of shares of each row: uint8 (h, w, 3).

    `unit`, what it counts, is in the title.
    """
    _check(confusion, classes)
    whole = np.broadcast_to(confusion.labelled[:, None], confusion.counts.shape)
    shares = share(confusion.counts, whole)
    return heatmap.picture(shares, classes, "label", f"prediction, in % of the label's {unit}")


def save(
    folder: str,
    confusion: Confusion,
    classes: Sequence[str],
    boundary: BoundaryF1 | None = None,
    matting: Matting | None = None,
    about: Mapping[str, Any] | None = None,
    unknown: Matting | None = None,
    top: Top | None = None,
) -> Mapping[str, Any]:
    """Write the report into a folder, over an existing one; return its document.

    The document begins with `about`, such as the run and the data.
    """
    scores = {**(about or {}), **document(confusion, classes, boundary, matting, unknown, top)}
    files = {
        SCORES: manifest.dump(scores, indent=2).encode() + b"\n",
        TABLE: table(confusion, classes).encode(),
        PICTURE: images.encode(picture(confusion, classes, _unit(top))),
    }
    storage.write_all({storage.join(folder, name): data for name, data in files.items()})
    return scores
