"""Boundary F1: how well the contours of predicted classes match those of the labels.

Source: Csurka et al., What is a good evaluation measure for semantic segmentation?, BMVC
2013. A pixel of one contour is right if some pixel of the other is closer than a tolerance;
precision is the share of right pixels in the prediction's contour, recall that in the label's.

What the paper leaves open: the contour of a class consists of its pixels with another class above,
below, left or right; the edge of the image is not a contour. Labels such as Pascal VOC's ignore the
contours themselves, so an ignored pixel takes the class of the nearest pixel that counts, in
label and prediction alike: the prediction there does not matter, and contours run along the
middle of such a band. Pixels farther than the tolerance from all that counts are left out.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsbuild.errors import TrainError
from dsbuild.train.metrics.confusion import counted, mean, share

TOLERANCE = 0.0075  # of the image's diagonal, as in the paper


@dataclass(frozen=True, eq=False)
class BoundaryF1:
    """Boundary F1 by class; the scores of two parts of a data set add up.

    Attributes:
      total: sum of the F1 of each class over images, float64 (c,).
      images: number of images whose label or prediction has its contour, int64 (c,).
    """

    total: NDArray[np.float64]
    images: NDArray[np.int64]

    @classmethod
    def empty(cls, classes: int) -> "BoundaryF1":
        """Return the scores of no image."""
        return cls(np.zeros(classes), np.zeros(classes, np.int64))

    @classmethod
    def of(
        cls,
        label: NDArray[Any],
        prediction: NDArray[Any],
        classes: int,
        ignore: int | None = 255,
        tolerance: float = TOLERANCE,
    ) -> "BoundaryF1":
        """Return the scores of one image: label and prediction, integers (h, w).

        `tolerance` is a share of the image's diagonal, above 0. Raises TrainError as
        `confusion.counted` does, or for more than one image.
        """
        label, prediction = np.asarray(label), np.asarray(prediction)
        if label.ndim != 2 or not tolerance > 0:
            raise TrainError(
                f"boundary F1: found a label of shape {label.shape} and a tolerance of "
                f"{tolerance}, expected (height, width), one image at a time, and more than 0"
            )
        near = tolerance * float(np.hypot(*label.shape))
        counts = counted(label, prediction, classes, ignore)
        scores = cls.empty(classes)
        if not counts.any():
            return scores
        if not counts.all():
            places, away = nearest(counts)
            label, prediction = label.flat[places], prediction.flat[places]
            counts = away < near
        contours = [_contour(plane) & counts for plane in (label, prediction)]
        for value in np.union1d(label[contours[0]], prediction[contours[1]]).tolist():
            true = contours[0] & (label == value)
            predicted = contours[1] & (prediction == value)
            precision, recall = _right(predicted, true, near), _right(true, predicted, near)
            scores.total[value] = _f1(precision, recall)
            scores.images[value] = 1
        return scores

    def __add__(self, other: "BoundaryF1") -> "BoundaryF1":
        if self.total.shape != other.total.shape:
            raise TrainError(
                f"found boundary scores of {len(self.total)} and {len(other.total)} classes, "
                "expected equal numbers"
            )
        return BoundaryF1(self.total + other.total, self.images + other.images)

    @property
    def scores(self) -> NDArray[np.float64]:
        """Mean F1 of each class over the images that have its contour (c,); NaN without any."""
        return share(self.total, self.images)

    @property
    def mean(self) -> float:
        """Mean of the classes' scores; classes without any contour are left out."""
        return mean(self.scores)


def nearest(counts: NDArray[np.bool]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return for each pixel the flat index of the nearest one that counts, and its distance (h, w).

    The index uses OpenCV's approximate distances (5 x 5 chamfer), the distance is exact.
    """
    import cv2

    zeros = np.where(counts, 0, 1).astype(np.uint8)
    _, labels = cv2.distanceTransformWithLabels(
        zeros, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    index = np.zeros(labels.max() + 1, np.int64)
    index[labels[counts]] = np.flatnonzero(counts)
    return index[labels], _distance(counts)


def _distance(mask: NDArray[np.bool]) -> NDArray[np.float32]:
    """Return the exact Euclidean distance to the nearest pixel of a mask, in pixels (h, w)."""
    import cv2

    zeros = np.where(mask, 0, 1).astype(np.uint8)
    return np.asarray(cv2.distanceTransform(zeros, cv2.DIST_L2, cv2.DIST_MASK_PRECISE))


def _contour(plane: NDArray[Any]) -> NDArray[np.bool]:
    """Return which pixels have another class above, below, left or right: bool (h, w)."""
    contour = np.zeros(plane.shape, bool)
    for here, neighbour in (
        (np.s_[1:, :], np.s_[:-1, :]),
        (np.s_[:, 1:], np.s_[:, :-1]),
    ):
        differs = plane[here] != plane[neighbour]
        contour[here] |= differs
        contour[neighbour] |= differs
    return contour


def _right(contour: NDArray[np.bool], other: NDArray[np.bool], near: float) -> float:
    """Return the share of a contour's pixels that are closer than `near` to another contour."""
    if not contour.any() or not other.any():
        return 0.0
    return float(np.mean(_distance(other)[contour] < near))


def _f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
