"""Errors of predicted mattes, as on alphamatting.com.

Source: Rhemann et al., A Perceptually Motivated Online Benchmark for Image Matting, CVPR
2009, and the benchmark's published evaluation code for what the paper leaves open: filters
of norm 1 with replicated edges, components of four neighbours, steps of connectivity.
"""

import math
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dsbuild.errors import TrainError

SIGMA = 1.4  # of the Gaussian derivatives, in pixels
STEPS = 10  # of connectivity, each 0.1 of alpha
THETA = 0.15  # below it a pixel counts as connected
_UNKNOWN = 128  # in a trimap
_EPSILON = 1e-2  # value of the Gaussian at which its filter ends


@dataclass(frozen=True)
class Matting:
    """Errors of mattes, summed over images; the errors of two parts of a data set add up.

    Attributes:
      sad: sum of absolute differences, in thousands.
      mse: mean squared difference.
      gradient: squared differences of the gradients' magnitudes, in thousands.
      connectivity: differences of the connectivity of pixels, in thousands.
      images: number of images with pixels that count.
    """

    sad: float = 0.0
    mse: float = 0.0
    gradient: float = 0.0
    connectivity: float = 0.0
    images: int = 0

    @classmethod
    def of(
        cls, alpha: ArrayLike, prediction: ArrayLike, mask: ArrayLike | None = None
    ) -> "Matting":
        """Return the errors of one image: two mattes, floats of 0..1 (h, w).

        `mask` selects the pixels that count, bool (h, w), such as `unknown(trimap)`; default: all.
        Raises TrainError for values or shapes that are not mattes of one image.
        """
        true, predicted = _checked("alpha", alpha), _checked("prediction", prediction)
        counts = np.ones(true.shape, bool) if mask is None else np.asarray(mask)
        for what, shape in (("prediction", predicted.shape), ("mask", counts.shape)):
            if shape != true.shape:
                raise TrainError(f"{what}: found {shape}, expected the alpha's {true.shape}")
        if counts.dtype != bool:
            raise TrainError(
                f"mask: found {counts.dtype}, expected bool; use `unknown` for a trimap"
            )
        if not counts.any():
            return cls()
        difference = np.abs(predicted - true)[counts]
        slope = (gradient(predicted) - gradient(true))[counts]
        level = connected(true, predicted)
        degree = (_degree(predicted, level) - _degree(true, level))[counts]
        return cls(
            sad=float(difference.sum() / 1000),
            mse=float(np.mean(difference**2)),
            gradient=float(np.sum(slope**2) / 1000),
            connectivity=float(np.abs(degree).sum() / 1000),
            images=1,
        )

    def __add__(self, other: "Matting") -> "Matting":
        return Matting(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    @property
    def means(self) -> dict[str, float]:
        """Mean of each error over the images, by name; NaN without an image."""
        names = [f.name for f in fields(self)][:-1]
        return {
            name: getattr(self, name) / self.images if self.images else math.nan for name in names
        }


def unknown(trimap: ArrayLike) -> NDArray[np.bool]:
    """Return the pixels of a trimap, uint8 (h, w), that are neither foreground nor background."""
    return np.asarray(np.asarray(trimap) == _UNKNOWN)


def _checked(what: str, matte: ArrayLike) -> NDArray[np.float64]:
    """Return a matte in float64; raise TrainError if it is not a matte."""
    plane = np.asarray(matte)
    if plane.ndim != 2 or plane.dtype.kind != "f":
        raise TrainError(
            f"{what}: found {plane.dtype} of shape {plane.shape}, expected floats of 0..1 (h, w), "
            "one image at a time; divide an 8-bit matte by 255"
        )
    plane = plane.astype(np.float64)
    if not np.all((plane >= 0) & (plane <= 1)):
        raise TrainError(
            f"{what}: found {plane.min():g} to {plane.max():g}, expected 0 to 1; clip the "
            "prediction, or divide by 255"
        )
    return plane


def gradient(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the magnitude of the gradient by Gaussian derivatives: float64 (h, w).

    The published code (`compute_gradient_loss.m`) first stretches each matte, prediction and truth
    separately, from its smallest and largest value to 0..1 (`mat2gray`). Here values count as they
    are, as in the paper: only errors of mattes that do not reach both 0 and 1 differ from those of
    the code.
    """
    import cv2

    # The filter ends where the Gaussian falls below epsilon: 9 x 9 for this sigma.
    half = math.ceil(SIGMA * math.sqrt(-2 * math.log(math.sqrt(2 * math.pi) * SIGMA * _EPSILON)))
    x = np.arange(-half, half + 1)
    smooth = np.exp(-(x**2) / (2 * SIGMA**2))
    slope = x * smooth
    # A product of two vectors of norm 1 has norm 1; its sign does not matter to a magnitude.
    smooth, slope = (vector / np.linalg.norm(vector) for vector in (smooth, slope))
    across, down = (
        cv2.sepFilter2D(plane, cv2.CV_64F, x, y, borderType=cv2.BORDER_REPLICATE)
        for x, y in ((slope, smooth), (smooth, slope))
    )
    return np.asarray(np.hypot(across, down), np.float64)


def connected(alpha: NDArray[np.float64], prediction: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the largest threshold at which a pixel belongs to the source region: float64 (h, w).

    The source region is the largest component, by four neighbours, of the pixels that reach the
    threshold in both mattes; among components of equal size the first in reading order.
    """
    import cv2

    level = np.ones(alpha.shape)
    rising = np.ones(alpha.shape, bool)  # in the source at all thresholds so far
    for step in range(1, STEPS + 1):
        # Not step * 0.1: for 0.6 that is another float than 153 / 255.
        both = (np.minimum(alpha, prediction) >= step / STEPS).astype(np.uint8)
        _, parts = cv2.connectedComponents(both, connectivity=4)
        sizes = np.bincount(parts[both > 0])
        source = np.zeros(alpha.shape, bool)
        if sizes.size:
            largest = np.flatnonzero(sizes == sizes.max())
            first = parts.flat[np.isin(parts, largest).argmax()]
            source = parts == first
        level[rising & ~source] = (step - 1) / STEPS
        rising &= source
    return level


def _degree(plane: NDArray[np.float64], level: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the degree of connectivity of pixels to the source, 0..1."""
    away = plane - level
    return np.asarray(1 - away * (away >= THETA))
