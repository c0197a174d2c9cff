"""Predictions of a trained model: probabilities and classes, at the size of each image.

Each scale, mirrored or not, gives logits at the image's own size; their probabilities are
averaged, as in DeepLab's evaluation. Images are padded as there (see `logits`).
"""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from dsbuild.errors import TrainError
from dsbuild.extras import EXTRAS
from dsbuild.train import image_range
from dsbuild.train.image_range import Pixels
from dsbuild.train.model.places import Tensor
from dsbuild.train.predict import logits as sized
from dsbuild.train.runs import Trained

# The errors of backends that run out of memory; each has a class of its own.
_MEMORY = ("MemoryError", "OutOfMemoryError", "ResourceExhaustedError")
LARGEST = 1 << 15  # largest side, in pixels, that images are padded to


@dataclass(frozen=True, kw_only=True)
class How:
    """How a model looks at an image.

    Attributes:
      scales: of the padded image, each to the k stride + 1 nearest to (size - 1) scale + 1;
        probabilities are averaged.
      flip: whether to average with the mirrored image.
      window: height and width, in pixels of the image, of windows that a larger image is predicted
        by; None for the whole image at once. Windows overlap by a third, where their probabilities
        are averaged.
      size: smallest height and width that images, or their windows, are padded to, rounded up to
        k stride + 1, as DeepLab's `eval_crop_size`; None for 513 if the model was trained at that
        crop, and otherwise just k stride + 1.

    Raises TrainError for values out of range.
    """

    scales: tuple[float, ...] = (1.0,)
    flip: bool = False
    window: int | None = None
    size: int | None = None

    def __post_init__(self) -> None:
        if not self.scales or not all(0 < scale < float("inf") for scale in self.scales):
            raise TrainError(f"scales: found {self.scales}, expected one or more, each above 0")
        if self.window is not None and self.window < 3:
            raise TrainError(f"window: found {self.window}, expected at least 3 pixels")
        if self.size is not None and not 1 <= self.size <= LARGEST:
            raise TrainError(f"eval size: found {self.size}, expected 1 to {LARGEST} pixels")

    @property
    def plain(self) -> bool:
        """Whether the model sees each image once, as it is."""
        return self.scales == (1.0,) and not self.flip and self.window is None


@dataclass(frozen=True)
class Predictor:
    """Predicts with a trained model, through models of its own over the same layers.

    They share the weights of the trained model, also while it is trained further. Create it outside
    the scope of any distribution strategy: it predicts on one device.

    Attributes:
      trained: the model, and the settings that say whether it needs a second input.
      how: how it looks at each image.
    """

    trained: Trained
    how: How = field(default_factory=How)

    def __post_init__(self) -> None:
        for name, value in (("window", self.how.window), ("eval size", self.how.size)):
            if not self.pixels and value is not None:
                raise TrainError(
                    f"{name}: found {value}, expected none: the model classifies whole images"
                )
        sides = self.trained.settings.resize
        if sides and self.how.window is not None:
            raise TrainError(
                f"window: found {self.how.window}, expected none: the model was trained with "
                f"--resize {','.join(map(str, sides))} and sees each image at such a size"
            )
        if self.how.plain:
            # Built here, since callbacks of a training may run in the scope of a strategy.
            _ = self._labels

    @property
    def pixels(self) -> bool:
        """Whether the model predicts the class of each pixel, rather than of the image."""
        return self.trained.facts.task == "segmentation"

    @property
    def binary(self) -> bool:
        """Whether the model has one logit: that of class 1 against class 0."""
        return self.trained.settings.sigmoid

    @property
    def size(self) -> int:
        """The smallest height and width that the model sees, before rounding up to k stride + 1."""
        if self.how.size is not None:
            return self.how.size
        least = sized.least(self.trained.settings)
        return least if self.how.window is None else min(least, self.how.window)

    @property
    def _kind(self) -> str:
        narrow = self.pixels and len(self.trained.facts.classes) <= 256
        return "uint8" if narrow else "uint16" if self.pixels else "int32"

    def probabilities(self, image: Pixels) -> NDArray[np.float32]:
        """Return probabilities float32 (h, w, c), or (c,) if the model classifies.

        For a model with one logit c is 1, the probability of class 1. `image` is RGB uint8
        (h, w, 3), or a stack (n, h, w, 3) of images that are predicted together, whose result has
        a first axis of n. A model that was trained on images of 16 bits also takes uint16 (h, w, c)
        and stacks, c = 1 or 3, which its `image_range` is applied to. Raises TrainError for other
        arrays.
        """
        return self._each(image, self._probable)

    def classes(self, image: Pixels) -> NDArray[Any]:
        """Return the most probable classes (h, w), or int32 () if the model classifies.

        They are uint8, or uint16 with more than 256 classes.

        With one logit that is class 1 if its probability is above 1/2. Takes stacks like
        `probabilities`.
        """
        return self._each(image, self._certain if self.how.plain else self._decided)

    def decided(self, probabilities: NDArray[np.float32]) -> NDArray[Any]:
        """Return the classes (...) of probabilities (..., c), as `classes` does."""
        if self.binary:
            return (probabilities[..., 0] > 0.5).astype(self._kind)
        largest: NDArray[Any] = probabilities.argmax(-1)
        return largest.astype(self._kind)

    def _each(self, image: Pixels, look: Callable[[NDArray[Any]], NDArray[Any]]) -> NDArray[Any]:
        image = np.asarray(image)
        stack: NDArray[Any] = image
        if image.dtype == np.uint16 and image.ndim in (3, 4):
            stack = image_range.seen(image, self.trained.settings)
        elif image.dtype != np.uint8 or image.ndim not in (3, 4) or image.shape[-1] != 3:
            raise TrainError(
                f"image: found {image.dtype} of shape {image.shape}, expected RGB uint8 (h, w, 3), "
                "or a stack (n, h, w, 3)"
            )
        if 0 in image.shape:
            raise TrainError(f"image: found shape {image.shape}, expected at least one pixel")
        try:
            if stack.ndim == 4:
                return look(stack)
            result: NDArray[Any] = look(stack[None])[0]
            return result
        except Exception as error:
            if type(error).__name__ not in _MEMORY:
                raise
            height, width = image.shape[-3:-1]
            raise TrainError(
                f"found too little memory for {width} x {height} pixels; predict fewer at a time: "
                "use smaller batches, smaller scales, a smaller image, or windows"
            ) from error

    def picture(self, image: Pixels) -> NDArray[np.uint8]:
        """Return an image for people: RGB uint8 (h, w, 3), one of 16 bits as the model sees it."""
        return image_range.picture(image, self.trained.settings)

    def _certain(self, stack: NDArray[Any]) -> NDArray[Any]:
        return _predicted(self._labels, self._inputs(stack))

    def _decided(self, stack: NDArray[Any]) -> NDArray[Any]:
        return self.decided(self._probable(stack))

    def _probable(self, stack: NDArray[Any]) -> NDArray[np.float32]:
        inputs, window = self._inputs(stack), self.how.window
        height, width = stack.shape[1:3]
        if window is None or max(height, width) <= window:
            return self._whole(inputs)
        channels = self.trained.model.output_shape[-1]
        total = np.zeros((len(stack), height, width, channels), np.float32)
        counts = np.zeros((height, width, 1), np.float32)
        for place in _windows(height, width, window):
            total[:, *place] += self._whole([plane[:, *place] for plane in inputs])
            counts[place] += 1
        return np.divide(total, counts, out=total)

    def _whole(self, inputs: list[NDArray[Any]]) -> NDArray[np.float32]:
        """Return the mean of the probabilities over scales, and over the mirrored image."""
        total: Any = 0  # before the first view
        for scale in self.how.scales:
            for mirrored in (False, True)[: 1 + self.how.flip]:
                total = total + _predicted(self._seeing(scale, mirrored), inputs)
        return np.asarray(total / np.float32(len(self.how.scales) * (1 + self.how.flip)))

    def _inputs(self, stack: NDArray[Any]) -> list[NDArray[Any]]:
        """Return the inputs of the model: images, and planes if it has a gradient branch."""
        if len(self.trained.model.inputs) == 1:
            return [stack]
        planes = [EXTRAS["laplacian"].compute(image) for image in stack]
        return [stack, np.stack(planes)[..., None].astype(np.float32)]

    def _seeing(self, scale: float, mirrored: bool) -> keras.Model:
        """Return the model from images to probabilities, at a scale, mirrored or not."""
        if (scale, mirrored) not in self._models:
            logits = sized.logits(
                self.trained, self._entries, scale, least=self.size, mirrored=mirrored
            )
            if logits.shape[-1] == 1 and not self.binary:
                output = ops.ones_like(logits, dtype="float32")  # softmax warns about one class
            else:
                kind = "sigmoid" if self.binary else "softmax"
                output = keras.layers.Activation(kind, dtype="float32")(logits)
            self._models[scale, mirrored] = _compiled(self._entries, output)
        return self._models[scale, mirrored]

    @functools.cached_property
    def _labels(self) -> keras.Model:
        """The model from images to classes, by logits, whose order no rounding changes."""
        logits = sized.logits(self.trained, self._entries, least=self.size)
        classes = logits[..., 0] > 0 if self.binary else ops.argmax(logits, -1)
        return _compiled(self._entries, ops.cast(classes, self._kind))

    @functools.cached_property
    def _entries(self) -> list[Tensor]:
        return [keras.Input(entry.shape[1:]) for entry in self.trained.model.inputs]

    @functools.cached_property
    def _models(self) -> dict[tuple[float, bool], keras.Model]:
        return {}


def _compiled(entries: list[Tensor], output: Tensor) -> keras.Model:
    """Return a model that is not compiled again for every image size."""
    model = keras.Model(sized.given(entries), output)
    model.jit_compile = False
    return model


def _predicted(model: keras.Model, planes: list[NDArray[Any]]) -> NDArray[Any]:
    return np.asarray(model.predict_on_batch(sized.given(planes)))


def _windows(height: int, width: int, window: int) -> Iterator[tuple[slice, slice]]:
    """Yield the rows and columns of windows that cover an image and overlap by a third."""
    for top in _starts(height, window):
        for left in _starts(width, window):
            yield np.s_[top : top + window, left : left + window]


def _starts(size: int, window: int) -> list[int]:
    """Return where windows start; the last one ends at the image's edge.

    >>> _starts(10, 6), _starts(5, 6)
    ([0, 4], [0])
    """
    if size <= window:
        return [0]
    return [*range(0, size - window, window - window // 3), size - window]
