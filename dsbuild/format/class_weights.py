"""Class weights computed from class frequencies; stored in the manifest, not in the records."""

from collections.abc import Sequence


def weights(
    pixels: Sequence[int], around: Sequence[int], images: Sequence[int], beta: float
) -> dict[str, float | list[float]]:
    """Return `beta`, and frequencies and weights by class index; 0 for a class that never occurs.

    `pixels` are those of each class, `around` the labelled pixels of all images in which it
    occurs, `images` their number.

    - frequency: share of a class among all labelled pixels.
    - median_frequency: median(f) / f of the classes that occur, with f = pixels / around
      (Eigen and Fergus, Predicting Depth, Surface Normals and Semantic Labels, ICCV 2015).
      If labels are one class each, images replace pixels, and it is median(n) / n.
    - effective_number: (1 - b) / (1 - b^n) with n images and b = `beta`, scaled to a mean
      of 1 over the classes that occur (Cui et al., Class-Balanced Loss, CVPR 2019).
    """
    from statistics import median  # here, since it takes longer to import than the manifest

    whole = sum(pixels)
    shares = [p / a for p, a in zip(pixels, around, strict=True) if a]
    middle = median(shares) if shares else 0.0
    effective = [(1 - beta) / (1 - beta**n) if n else 0.0 for n in images]
    there = sum(1 for n in images if n)
    scale = there / sum(effective) if there else 0.0
    return {
        "beta": beta,
        "frequency": [p / whole if whole else 0.0 for p in pixels],
        "median_frequency": [
            middle * a / p if p else 0.0 for p, a in zip(pixels, around, strict=True)
        ],
        "effective_number": [scale * weight for weight in effective],
    }
