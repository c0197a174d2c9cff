"""Scores of predicted segmentations, from a confusion matrix that adds up over images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dsbuild.errors import TrainError


def counted(label: np.ndarray, prediction: np.ndarray, classes: int, ignore: int | None):
    """Return which pixels count, bool: those whose label is not `ignore`.

    Raises TrainError where the two differ in shape or are no integers, or where a pixel that
    counts has a label, or a prediction, that is not in 0..classes-1.
    """
    if label.shape != prediction.shape:
        raise TrainError(
            f"prediction: found shape {prediction.shape}, expected the label's {label.shape}; "
            "resize it"
        )
    for what, plane in (("label", label), ("prediction", prediction)):
        if plane.dtype.kind not in "iub":
            raise TrainError(
                f"{what}: found {plane.dtype}, expected integers; take the argmax of the logits"
            )
    counts = np.ones(label.shape, bool) if ignore is None else label != ignore
    for what, plane in (("label", label), ("prediction", prediction)):
        wrong = counts & ((plane < 0) | (plane >= classes))
        if wrong.any():
            values = ", ".join(map(str, np.unique(plane[wrong])[:8].tolist()))
            # A prediction that is the ignore value is wrong, too: the pixel has a class.
            also = (
                f" or {ignore}, which is ignored" if what == "label" and ignore is not None else ""
            )
            raise TrainError(
                f"{what}: found {values} in {np.count_nonzero(wrong):,} pixels, expected 0 to "
                f"{classes - 1}{also}; it is of other classes"
            )
    return counts


@dataclass(frozen=True, eq=False)
class Confusion:
    """A confusion matrix; those of two parts of a data set add up.

    Scores are shares of 1 in float64; nan where nothing was counted that they are of.

    Attributes:
      counts: pixels by class in the label (rows) and in the prediction (columns), int64 (c, c).
    """

    counts: np.ndarray

    @classmethod
    def empty(cls, classes: int) -> "Confusion":
        """Return the matrix of no pixels."""
        return cls(np.zeros((classes, classes), np.int64))

    @classmethod
    def of(
        cls, label: np.ndarray, prediction: np.ndarray, classes: int, ignore: int | None = 255
    ) -> "Confusion":
        """Return the matrix of labels and predictions, integers of one shape, such as (n, h, w).

        Raises TrainError as `counted` does.
        """
        label, prediction = np.asarray(label), np.asarray(prediction)
        counts = counted(label, prediction, classes, ignore)
        places = label[counts].astype(np.int64) * classes + prediction[counts]
        return cls(np.bincount(places, minlength=classes**2).reshape(classes, classes))

    def __add__(self, other: "Confusion") -> "Confusion":
        if self.counts.shape != other.counts.shape:
            raise TrainError(
                f"found confusion matrices of {len(self.counts)} and {len(other.counts)} classes, "
                "which do not add up"
            )
        return Confusion(self.counts + other.counts)

    @property
    def labelled(self) -> np.ndarray:
        """Pixels of each class in the labels: int64 (c,)."""
        return self.counts.sum(1)

    @property
    def predicted(self) -> np.ndarray:
        """Pixels of each class in the predictions: int64 (c,)."""
        return self.counts.sum(0)

    @property
    def iou(self) -> np.ndarray:
        """Intersection over union of each class (c,); nan where neither has it.

        Source: Everingham et al., The Pascal Visual Object Classes Challenge, IJCV 2010.
        """
        hit = self.counts.diagonal()
        return share(hit, self.labelled + self.predicted - hit)

    @property
    def accuracy(self) -> np.ndarray:
        """Share of each class's labelled pixels that is predicted (c,), its recall."""
        return share(self.counts.diagonal(), self.labelled)

    @property
    def precision(self) -> np.ndarray:
        """Share of the pixels predicted as a class that are of it (c,)."""
        return share(self.counts.diagonal(), self.predicted)

    @property
    def mean_iou(self) -> float:
        """Mean of the classes' IoU; a class that neither labels nor predictions have is left out.

        So a class that is predicted and never labelled counts, as 0.
        """
        return mean(self.iou)

    @property
    def mean_accuracy(self) -> float:
        """Mean of the accuracies of the classes that labels have."""
        return mean(self.accuracy)

    @property
    def pixel_accuracy(self) -> float:
        """Share of all pixels whose class is predicted."""
        return float(share(self.counts.trace(), self.counts.sum()))

    @property
    def frequency_weighted_iou(self) -> float:
        """Mean of the classes' IoU, each weighted by its share of the labelled pixels.

        Source: Long et al., Fully Convolutional Networks for Semantic Segmentation, CVPR 2015.
        """
        there = self.labelled > 0
        return float(share(self.labelled[there] @ self.iou[there], self.counts.sum()))


def share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return part / whole in float64, nan where whole is 0."""
    whole = np.asarray(whole, np.float64)
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)


def mean(values: Sequence[float] | np.ndarray) -> float:
    """Return the mean of the values that are not nan; nan where none is."""
    values = np.asarray(values, np.float64)
    there = values[~np.isnan(values)]
    return float(there.mean()) if there.size else float("nan")
