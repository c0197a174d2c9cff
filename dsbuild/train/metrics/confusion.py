"""Scores of predicted classes, computed from a confusion matrix that adds up over images."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dsbuild.errors import TrainError


def counted(
    label: NDArray[Any], prediction: NDArray[Any], classes: int, ignore: int | None
) -> NDArray[np.bool]:
    """Return which pixels count, bool: those whose label is not `ignore`.

    Raises TrainError if the two differ in shape or are not integers, or if a pixel that counts has
    a label, or a prediction, outside of 0..classes-1.
    """
    if label.shape != prediction.shape:
        raise TrainError(
            f"prediction: found shape {prediction.shape}, expected the label's {label.shape}; "
            "resize it"
        )
    for what, plane in (("label", label), ("prediction", prediction)):
        if plane.dtype.kind not in "iub":
            raise TrainError(
                f"{what}: found {plane.dtype}, expected integers; use the argmax of the logits"
            )
    counts = np.ones(label.shape, bool) if ignore is None else label != ignore
    for what, plane in (("label", label), ("prediction", prediction)):
        wrong = counts & ((plane < 0) | (plane >= classes))
        if wrong.any():
            values = ", ".join(map(str, np.unique(plane[wrong])[:8].tolist()))
            # A prediction equal to the ignore value is wrong, too: the pixel has a class.
            also = (
                f" or {ignore}, which is ignored" if what == "label" and ignore is not None else ""
            )
            raise TrainError(
                f"{what}: found {values} in {np.count_nonzero(wrong):,} pixels, expected 0 to "
                f"{classes - 1}{also}; the {what} has other classes"
            )
    return counts


@dataclass(frozen=True, eq=False)
class Confusion:
    """A confusion matrix; the matrices of two parts of a data set add up.

    Scores are shares of 1 in float64, NaN if nothing was counted.

    Attributes:
      counts: pixels by class in the label (rows) and in the prediction (columns), int64 (c, c).
    """

    counts: NDArray[np.int64]

    @classmethod
    def empty(cls, classes: int) -> "Confusion":
        """Return the matrix of no pixels at all."""
        return cls(np.zeros((classes, classes), np.int64))

    @classmethod
    def of(
        cls, label: ArrayLike, prediction: ArrayLike, classes: int, ignore: int | None = 255
    ) -> "Confusion":
        """Return the matrix of labels and predictions, integers of the same shape, any.

        Raises TrainError as `counted` does.
        """
        labels, predictions = np.asarray(label), np.asarray(prediction)
        counts = counted(labels, predictions, classes, ignore)
        places = labels[counts].astype(np.int64) * classes + predictions[counts]
        return cls(np.bincount(places, minlength=classes**2).reshape(classes, classes))

    def __add__(self, other: "Confusion") -> "Confusion":
        if self.counts.shape != other.counts.shape:
            raise TrainError(
                f"found confusion matrices of {len(self.counts)} and {len(other.counts)} classes, "
                "expected equal numbers"
            )
        return Confusion(self.counts + other.counts)

    @property
    def labelled(self) -> NDArray[np.int64]:
        """Pixels of each class in the labels: int64 (c,)."""
        return np.asarray(self.counts.sum(1))

    @property
    def predicted(self) -> NDArray[np.int64]:
        """Pixels of each class in the predictions: int64 (c,)."""
        return np.asarray(self.counts.sum(0))

    @property
    def iou(self) -> NDArray[np.float64]:
        """Intersection over union of each class (c,); NaN if neither side has it.

        Source: Everingham et al., The Pascal Visual Object Classes Challenge, IJCV 2010.
        """
        hit = self.counts.diagonal()
        return share(hit, self.labelled + self.predicted - hit)

    @property
    def accuracy(self) -> NDArray[np.float64]:
        """Share of each class's labelled pixels that are predicted as it (c,), its recall."""
        return share(self.counts.diagonal(), self.labelled)

    @property
    def precision(self) -> NDArray[np.float64]:
        """Share of the pixels predicted as a class that are labelled as it (c,)."""
        return share(self.counts.diagonal(), self.predicted)

    @property
    def mean_iou(self) -> float:
        """Mean of the classes' IoU, over classes that labels or predictions have.

        A class that is predicted but never labelled counts as 0.
        """
        return mean(self.iou)

    @property
    def mean_accuracy(self) -> float:
        """Mean accuracy of the classes that labels have."""
        return mean(self.accuracy)

    @property
    def pixel_accuracy(self) -> float:
        """Share of all pixels whose class is predicted correctly."""
        return float(share(self.counts.trace(), self.counts.sum()))

    @property
    def frequency_weighted_iou(self) -> float:
        """Mean of the classes' IoU, each weighted by its share of the labelled pixels.

        Source: Long et al., Fully Convolutional Networks for Semantic Segmentation, CVPR 2015.
        """
        has = self.labelled > 0
        return float(share(self.labelled[has] @ self.iou[has], self.counts.sum()))


def share(part: ArrayLike, whole: ArrayLike) -> NDArray[np.float64]:
    """Return part / whole in float64, NaN if whole is 0."""
    whole = np.asarray(whole, np.float64)
    shares = np.full(whole.shape, np.nan)
    np.divide(part, whole, out=shares, where=whole > 0)
    return shares


def mean(values: ArrayLike) -> float:
    """Return the mean of the values that are not NaN; NaN if all are."""
    numbers = np.asarray(values, np.float64)
    numbers = numbers[~np.isnan(numbers)]
    return float(numbers.mean()) if numbers.size else float("nan")
