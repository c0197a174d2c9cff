"""Errors of predicted mattes, as alphamatting.com has them.

Source: Rhemann et al., A Perceptually Motivated Online Benchmark for Image Matting, CVPR
2009, and the benchmark's published evaluation code for what the paper leaves open: filters
of norm 1 with replicated edges, components by four neighbours, steps of connectivity.
"""

import math
from dataclasses import dataclass, fields

import numpy as np

from dsbuild.errors import TrainError

SIGMA = 1.4  # of the Gaussian derivatives, in pixels
STEPS = 10  # of connectivity, each 0.1 of alpha
THETA = 0.15  # below it a pixel counts as connected
_UNKNOWN = 128  # in a trimap
_EPSILON = 1e-2  # of the Gaussian, where its filter ends


@dataclass(frozen=True)
class Matting:
    """Errors of mattes, summed over images; those of two parts of a data set add up.

    Attributes:
      sad: sum of absolute differences, in thousands.
      mse: mean squared difference.
      gradient: squared differences of the gradients' magnitudes, in thousands.
      connectivity: differences of the connectivity of pixels, in thousands.
      images: how many; one of which no pixel counts is none.
    """

    sad: float = 0.0
    mse: float = 0.0
    gradient: float = 0.0
    connectivity: float = 0.0
    images: int = 0

    @classmethod
    def of(
        cls, alpha: np.ndarray, prediction: np.ndarray, mask: np.ndarray | None = None
    ) -> "Matting":
        """Return the errors of one image: two mattes, floats of 0..1 (h, w).

        `mask` is where pixels count, bool (h, w), such as `unknown(trimap)`; all without one.
        Raises TrainError for values or shapes that are no mattes of one image.
        """
        alpha, prediction = _checked("alpha", alpha), _checked("prediction", prediction)
        mask = np.ones(alpha.shape, bool) if mask is None else np.asarray(mask)
        for what, plane in (("prediction", prediction), ("mask", mask)):
            if plane.shape != alpha.shape:
                raise TrainError(f"{what}: found {plane.shape}, expected the alpha's {alpha.shape}")
        if mask.dtype != bool:
            raise TrainError(f"mask: found {mask.dtype}, expected bool; of a trimap take `unknown`")
        if not mask.any():
            return cls()
        away = np.abs(prediction - alpha)[mask]
        steep = (gradient(prediction) - gradient(alpha))[mask]
        level = connected(alpha, prediction)
        loose = (_degree(prediction, level) - _degree(alpha, level))[mask]
        return cls(
            sad=float(away.sum() / 1000),
            mse=float(np.mean(away**2)),
            gradient=float(np.sum(steep**2) / 1000),
            connectivity=float(np.abs(loose).sum() / 1000),
            images=1,
        )

    def __add__(self, other: "Matting") -> "Matting":
        return Matting(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    @property
    def means(self) -> dict[str, float]:
        """Mean of each error over the images, by name; nan without an image."""
        names = [f.name for f in fields(self)][:-1]
        return {
            name: getattr(self, name) / self.images if self.images else math.nan for name in names
        }


def unknown(trimap: np.ndarray) -> np.ndarray:
    """Return where a trimap, uint8 (h, w), is neither foreground nor background: bool (h, w)."""
    return np.asarray(trimap) == _UNKNOWN


def _checked(what: str, plane: np.ndarray) -> np.ndarray:
    """Return a matte in float64; raise TrainError where it is none."""
    plane = np.asarray(plane)
    if plane.ndim != 2 or plane.dtype.kind != "f":
        raise TrainError(
            f"{what}: found {plane.dtype} of shape {plane.shape}, expected floats of 0..1 (h, w), "
            "one image at a time; divide a matte of 8 bits by 255"
        )
    plane = plane.astype(np.float64)
    if not np.all((plane >= 0) & (plane <= 1)):
        raise TrainError(
            f"{what}: found {plane.min():g} to {plane.max():g}, expected 0 to 1; clip the "
            "prediction, or divide by 255"
        )
    return plane


def gradient(plane: np.ndarray) -> np.ndarray:
    """Return the magnitude of the gradient by Gaussian derivatives: float64 (h, w).

    The code that is published (`compute_gradient_loss.m`) first stretches each matte, prediction
    and truth by itself, from its smallest and largest value to 0..1 (`mat2gray`). Here values
    count as they are, as in the paper: errors of mattes that do not reach both 0 and 1 differ
    from the code's, and those of all others are the same.
    """
    import cv2

    # Where the Gaussian falls below epsilon the filter ends: 9 x 9 for this sigma.
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
    return np.hypot(across, down)


def connected(alpha: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Return the largest threshold at which a pixel belongs to the source region: float64 (h, w).

    That is the largest component of what both mattes have at a threshold, by four
    neighbours; of components of one size the first in reading order.
    """
    import cv2

    level = np.ones(alpha.shape)
    rising = np.ones(alpha.shape, bool)  # has been in the source at all thresholds so far
    for step in range(1, STEPS + 1):
        # Not step * 0.1, which is not the float next to 0.6 that 153 / 255 is.
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


def _degree(plane: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Return the degree of connectivity of pixels to the source, 0..1."""
    away = plane - level
    return 1 - away * (away >= THETA)
