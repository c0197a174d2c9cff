"""Top-k accuracy of models that classify images."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsbuild.train.metrics.confusion import share


@dataclass(frozen=True)
class Top:
    """How often the label is among the `k` most probable classes; two parts add up.

    Attributes:
      right: images whose label is among them.
      images: all images.
      k: 5, as in ImageNet's challenge (Russakovsky et al., IJCV 2015).
    """

    right: int = 0
    images: int = 0
    k: int = 5

    @classmethod
    def of(cls, label: int, probabilities: NDArray[np.float32]) -> "Top":
        """Return the score of an image: its class, and probabilities (c,).

        Among equal probabilities the first class counts as the most probable, as with `argmax`.
        """
        mine = probabilities[label]
        before = np.count_nonzero(probabilities > mine)
        before += np.count_nonzero(probabilities[:label] == mine)
        return cls(int(before < cls.k), 1)

    def __add__(self, other: "Top") -> "Top":
        return Top(self.right + other.right, self.images + other.images)

    @property
    def accuracy(self) -> float:
        """Share of the images that are right; NaN without an image."""
        return float(share(self.right, self.images))
