"""A trained model with the interface of DeepLab's demo: an image in, a class map out."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsbuild import images
from dsbuild.errors import TrainError
from dsbuild.images import colour, display
from dsbuild.train import runs
from dsbuild.train.predict.outputs import fitted
from dsbuild.train.predict.predictor import How, Predictor


class DeepLabModel:
    """A trained model that predicts every image at the same longest side.

    Attributes:
      label_names: of the classes, by index: str (c,).
      colormap: RGB of label values, uint8 (256, 3).
      full_color_map: the colours of the classes, uint8 (c, 1, 3), as in the legend of the demo.
      predictor: the predictor behind it.
    """

    INPUT_SIZE = 513

    def __init__(self, run: str, size: int = INPUT_SIZE, how: How | None = None) -> None:
        """Load the best weights of a run; `size` is the longest side.

        Raises TrainError if there is no run, or if its model classifies whole images.
        """
        if size < 1:
            raise TrainError(f"size: found {size}, expected at least 1")
        trained = runs.load(run)
        self.predictor = Predictor(trained, how or How())
        if not self.predictor.pixels:
            raise TrainError(
                f"{run}: found a model that classifies whole images, expected one that segments "
                "them; use `dsbuild predict`, which takes both"
            )
        self.size = size
        self.label_names = np.asarray(trained.facts.classes)
        self.colormap = trained.facts.colours
        self.full_color_map = self.colormap[: len(self.label_names), None]

    def run(self, image: Any) -> tuple[Any, NDArray[np.uint8]]:
        """Return the resized image, of the type that was given, and its classes uint8 (h, w).

        `image` is a Pillow image, which is turned by its EXIF orientation, or an array, RGB uint8
        (h, w, 3). A model that was trained on images of 16 bits also takes uint16 (h, w, c), with
        c = 1 or 3, and Pillow's grey images of 16 bits; of colours with 16 bits Pillow itself keeps
        only the upper 8. Raises ImageError for pixels of an unknown range, such as floats.
        """
        wide = bool(self.predictor.trained.settings.image_range)
        if hasattr(image, "getexif"):
            if wide and image.mode.startswith("I;16"):
                resized, classes = self.run(display.deep(image))
                return display.picture(resized[..., 0]), classes
            resized, classes = self.run(display.opened(image))
            return display.picture(resized), classes
        image = np.asarray(image)
        if wide and image.dtype == np.uint16 and image.ndim == 3 and image.size:
            resized = images.deep.resample(image, fitted(image.shape[:2], self.size))
            return resized, self.predictor.classes(resized)
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise TrainError(
                f"image: found {image.dtype} of shape {image.shape}, expected an image of Pillow, "
                "or RGB uint8 (h, w, 3)"
            )
        resized = images.resample(image, fitted(image.shape[:2], self.size))
        return resized, self.predictor.classes(resized)

    def colours(self, classes: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a class map in its colours: uint8 (h, w, 3)."""
        return colour.paint(classes, self.colormap)
