"""Boundary F1: how well the contours of predicted classes lie on those of the labels.

Source: Csurka et al., What is a good evaluation measure for semantic segmentation?, BMVC
2013. A pixel of one contour is right where some pixel of the other is nearer than a
tolerance; precision is the share of right pixels of the prediction's contour, recall that
of the label's.

What the paper leaves open: the contour of a class are its pixels with another class above,
below, left or right; the image's edge is no contour. Labels such as Pascal VOC's ignore the
contours themselves, so an ignored pixel takes the class of the nearest pixel that counts, in
label and prediction alike: what is predicted there does not matter, and contours run in the
middle of such a band. Those farther than the tolerance from all that counts are left out.
"""

from dataclasses import dataclass

import numpy as np

from dsbuild.errors import TrainError
from dsbuild.train.metrics.confusion import counted, mean, share

TOLERANCE = 0.0075  # of the image's diagonal, as in the paper


@dataclass(frozen=True, eq=False)
class BoundaryF1:
    """Boundary F1 by class; those of two parts of a data set add up.

    Attributes:
      total: sum of the F1 of each class over images, float64 (c,).
      images: images in which its contour is in label or prediction, int64 (c,).
    """

    total: np.ndarray
    images: np.ndarray

    @classmethod
    def empty(cls, classes: int) -> "BoundaryF1":
        """Return the scores of no image."""
        return cls(np.zeros(classes), np.zeros(classes, np.int64))

    @classmethod
    def of(
        cls,
        label: np.ndarray,
        prediction: np.ndarray,
        classes: int,
        ignore: int | None = 255,
        tolerance: float = TOLERANCE,
    ) -> "BoundaryF1":
        """Return the scores of one image: label and prediction, integers (h, w).

        `tolerance` is a share of the image's diagonal. Raises TrainError for planes that do not
        fit each other, as `metrics.counted` does, and for a tolerance that is not above 0.
        """
        label, prediction = np.asarray(label), np.asarray(prediction)
        if label.ndim != 2 or not tolerance > 0:
            raise TrainError(
                f"boundary F1: found a label of shape {label.shape} and a tolerance of "
                f"{tolerance}, expected (height, width), one image at a time, and more than 0"
            )
        near = tolerance * float(np.hypot(*label.shape))
        counts = counted(label, prediction, classes, ignore)
        found = cls.empty(classes)
        if not counts.any():
            return found
        if not counts.all():
            places, away = nearest(counts)
            label, prediction = label.flat[places], prediction.flat[places]
            counts = away < near
        contours = [_contour(plane) & counts for plane in (label, prediction)]
        for value in np.union1d(label[contours[0]], prediction[contours[1]]).tolist():
            one = contours[0] & (label == value)
            other = contours[1] & (prediction == value)
            found.total[value] = _f1(_right(other, one, near), _right(one, other, near))
            found.images[value] = 1
        return found

    def __add__(self, other: "BoundaryF1") -> "BoundaryF1":
        if self.total.shape != other.total.shape:
            raise TrainError(
                f"found boundary scores of {len(self.total)} and {len(other.total)} classes, "
                "which do not add up"
            )
        return BoundaryF1(self.total + other.total, self.images + other.images)

    @property
    def scores(self) -> np.ndarray:
        """Mean F1 of each class over the images that have its contour (c,); nan without any."""
        return share(self.total, self.images)

    @property
    def mean(self) -> float:
        """Mean of the classes' scores; a class without any contour is left out."""
        return mean(self.scores)


def nearest(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return for every pixel the flat index of the nearest that counts, and its distance (h, w).

    The index is by OpenCV's approximate distances (5 x 5 chamfer), the distance is exact.
    """
    import cv2

    zeros = np.where(counts, 0, 1).astype(np.uint8)
    _, labels = cv2.distanceTransformWithLabels(
        zeros, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    index = np.zeros(labels.max() + 1, np.int64)
    index[labels[counts]] = np.flatnonzero(counts)
    return index[labels], _distance(counts)


def _distance(there: np.ndarray) -> np.ndarray:
    """Return the exact Euclidean distance to the nearest pixel that is there, in pixels (h, w)."""
    import cv2

    away = np.where(there, 0, 1).astype(np.uint8)
    return cv2.distanceTransform(away, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)


def _contour(plane: np.ndarray) -> np.ndarray:
    """Return which pixels have another class above, below, left or right: bool (h, w)."""
    found = np.zeros(plane.shape, bool)
    for one, other in (
        (np.s_[1:, :], np.s_[:-1, :]),
        (np.s_[:, 1:], np.s_[:, :-1]),
    ):
        differs = plane[one] != plane[other]
        found[one] |= differs
        found[other] |= differs
    return found


def _right(contour: np.ndarray, other: np.ndarray, near: float) -> float:
    """Return the share of a contour's pixels that are nearer than `near` to another contour."""
    if not contour.any() or not other.any():
        return 0.0
    return float(np.mean(_distance(other)[contour] < near))


def _f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
