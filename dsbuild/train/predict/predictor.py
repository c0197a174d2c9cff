"""What a trained model says of images: probabilities and classes, at the size of each image.

Each scale, mirrored or not, gives logits at the image's own size; their probabilities are
averaged, as DeepLab's evaluation does. Like that, it pads images (see `sized`).
"""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from keras import ops

from dsbuild.errors import TrainError
from dsbuild.extras import EXTRAS
from dsbuild.train.predict import logits as sized
from dsbuild.train.runs import Trained

# What backends raise where memory does not suffice; each by a class of its own.
_MEMORY = ("MemoryError", "OutOfMemoryError", "ResourceExhaustedError")
LARGEST = 1 << 15  # pixels of a side that images are padded to


@dataclass(frozen=True, kw_only=True)
class How:
    """How an image is looked at.

    Attributes:
      scales: of the padded image, each to the k stride + 1 nearest to (size - 1) scale + 1;
        probabilities are averaged.
      flip: whether the mirrored image counts, too.
      window: height and width of windows, in pixels of the image, that are predicted one by
        one where the image is larger; None for the image as a whole. They overlap by a third,
        and where they do, probabilities are averaged.
      size: height and width that images, or windows of them, are padded to at least, rounded up
        to k stride + 1, as DeepLab's `eval_crop_size`; None for 513 where the model was trained at
        that, and else no more than k stride + 1.

    Raises TrainError for values that cannot be.
    """

    scales: tuple[float, ...] = (1.0,)
    flip: bool = False
    window: int | None = None
    size: int | None = None

    def __post_init__(self):
        if not self.scales or not all(0 < scale < float("inf") for scale in self.scales):
            raise TrainError(f"scales: found {self.scales}, expected one or more, each above 0")
        if self.window is not None and self.window < 3:
            raise TrainError(f"window: found {self.window}, expected 3 pixels or more")
        if self.size is not None and not 1 <= self.size <= LARGEST:
            raise TrainError(f"eval size: found {self.size}, expected 1 to {LARGEST} pixels")

    @property
    def plain(self) -> bool:
        """Whether an image is looked at once, as it is."""
        return self.scales == (1.0,) and not self.flip and self.window is None


@dataclass(frozen=True)
class Predictor:
    """Predicts with a trained model, by models of its own over the same layers.

    They share the weights of the trained model, also while it is trained further. Make one
    outside the scope of any distribution strategy: it predicts on one device.

    Attributes:
      trained: of which the model is taken; its settings say whether it needs a plane besides.
      how: each image is looked at.
    """

    trained: Trained
    how: How = field(default_factory=How)

    def __post_init__(self):
        for name, asked in (("window", self.how.window), ("eval size", self.how.size)):
            if not self.pixels and asked is not None:
                raise TrainError(
                    f"{name}: found {asked}, expected none: the model classifies images as a whole"
                )
        sides = self.trained.settings.resize
        if sides and self.how.window is not None:
            raise TrainError(
                f"window: found {self.how.window}, expected none: the model was trained with "
                f"--resize {','.join(map(str, sides))} and sees each image at such a size"
            )
        if self.how.plain:
            _ = self._labels  # here, since a callback of a training may be in a scope

    @property
    def pixels(self) -> bool:
        """Whether the model tells the class of each pixel; else that of the image."""
        return self.trained.facts.task == "segmentation"

    @property
    def binary(self) -> bool:
        """Whether the model has one logit: that of class 1 against class 0."""
        return self.trained.settings.sigmoid

    @property
    def size(self) -> int:
        """The least height and width of what the model sees, before that is made k stride + 1."""
        if self.how.size is not None:
            return self.how.size
        found = sized.least(self.trained.settings)
        return found if self.how.window is None else min(found, self.how.window)

    @property
    def _kind(self) -> str:
        # Labels of pixels have 8 bits, so that there are 256 classes at most; not so of images.
        return "uint8" if self.pixels else "int32"

    def probabilities(self, image: np.ndarray) -> np.ndarray:
        """Return probabilities float32 (h, w, c), or (c,) where the model classifies.

        c is 1 where the model has one logit: then it is the probability of class 1. `image` is
        RGB uint8 (h, w, 3), or a stack (n, h, w, 3) of images that are predicted together, for
        which the result has n in front. Raises TrainError for other arrays.
        """
        return self._each(image, self._probable)

    def classes(self, image: np.ndarray) -> np.ndarray:
        """Return the most probable classes uint8 (h, w), or int32 () where the model classifies.

        With one logit that is class 1 where its probability is above 1/2. Stacks are predicted
        as by `probabilities`.
        """
        return self._each(image, self._certain if self.how.plain else self._decided)

    def decided(self, probabilities: np.ndarray) -> np.ndarray:
        """Return the classes (...) of probabilities (..., c), as `classes` does."""
        found = probabilities[..., 0] > 0.5 if self.binary else probabilities.argmax(-1)
        return found.astype(self._kind)

    def _each(self, image: np.ndarray, look: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        image = np.asarray(image)
        if image.dtype != np.uint8 or image.ndim not in (3, 4) or image.shape[-1] != 3:
            raise TrainError(
                f"image: found {image.dtype} of shape {image.shape}, expected RGB uint8 (h, w, 3), "
                "or a stack (n, h, w, 3)"
            )
        if 0 in image.shape:
            raise TrainError(f"image: found shape {image.shape}, expected some pixels")
        try:
            return look(image) if image.ndim == 4 else look(image[None])[0]
        except Exception as error:
            if type(error).__name__ not in _MEMORY:
                raise
            height, width = image.shape[-3:-1]
            raise TrainError(
                f"found too little memory for {width} x {height} pixels; predict fewer at a time: "
                "smaller batches, smaller scales, a smaller image, or windows of it"
            ) from error

    def _certain(self, stack: np.ndarray) -> np.ndarray:
        return _predicted(self._labels, self._inputs(stack))

    def _decided(self, stack: np.ndarray) -> np.ndarray:
        return self.decided(self._probable(stack))

    def _probable(self, stack: np.ndarray) -> np.ndarray:
        inputs, window = self._inputs(stack), self.how.window
        height, width = stack.shape[1:3]
        if window is None or max(height, width) <= window:
            return self._whole(inputs)
        total: Any = 0
        counts = np.zeros((height, width, 1), np.float32)
        for place in _windows(height, width, window):
            found = self._whole([plane[:, *place] for plane in inputs])
            if counts.max() == 0:
                total = np.zeros((len(stack), height, width, found.shape[-1]), np.float32)
            total[:, *place] += found
            counts[place] += 1
        return np.divide(total, counts, out=total)

    def _whole(self, inputs: list[np.ndarray]) -> np.ndarray:
        """Return the mean of the probabilities over scales, and over the mirrored image."""
        total: Any = 0
        for scale in self.how.scales:
            for mirrored in (False, True)[: 1 + self.how.flip]:
                total = total + _predicted(self._seeing(scale, mirrored), inputs)
        return total / np.float32(len(self.how.scales) * (1 + self.how.flip))

    def _inputs(self, stack: np.ndarray) -> list[np.ndarray]:
        """Return what the model takes of images: these, and where it has the branch, planes."""
        if len(self.trained.model.inputs) == 1:
            return [stack]
        planes = [EXTRAS["laplacian"].compute(image) for image in stack]
        return [stack, np.stack(planes)[..., None].astype(np.float32)]

    def _seeing(self, scale: float, mirrored: bool) -> keras.Model:
        """Return the model from images to probabilities by way of a scale, or of the mirror."""
        if (scale, mirrored) not in self._models:
            logits = sized.logits(
                self.trained, self._entries, scale, least=self.size, mirrored=mirrored
            )
            if logits.shape[-1] == 1 and not self.binary:
                found = ops.ones_like(logits, dtype="float32")  # softmax warns of one class
            else:
                kind = "sigmoid" if self.binary else "softmax"
                found = keras.layers.Activation(kind, dtype="float32")(logits)
            self._models[scale, mirrored] = _compiled(self._entries, found)
        return self._models[scale, mirrored]

    @functools.cached_property
    def _labels(self) -> keras.Model:
        """The model from images to classes; of logits, whose order rounding cannot change."""
        logits = sized.logits(self.trained, self._entries, least=self.size)
        found = logits[..., 0] > 0 if self.binary else ops.argmax(logits, -1)
        return _compiled(self._entries, ops.cast(found, self._kind))

    @functools.cached_property
    def _entries(self) -> list[Any]:
        return [keras.Input(one.shape[1:]) for one in self.trained.model.inputs]

    @functools.cached_property
    def _models(self) -> dict[tuple[float, bool], keras.Model]:
        return {}


def _compiled(entries: list[Any], found: Any) -> keras.Model:
    """Return a model that is not compiled anew for every size of images."""
    model = keras.Model(sized.given(entries), found)
    model.jit_compile = False
    return model


def _predicted(model: keras.Model, planes: list[np.ndarray]) -> np.ndarray:
    return np.asarray(model.predict_on_batch(sized.given(planes)))


def _windows(height: int, width: int, window: int) -> Iterator[tuple[slice, slice]]:
    """Yield the rows and columns of windows that cover an image and overlap by a third."""
    for top in _starts(height, window):
        for left in _starts(width, window):
            yield np.s_[top : top + window, left : left + window]


def _starts(size: int, window: int) -> list[int]:
    """Return where windows start; the last ends where the image does.

    >>> _starts(10, 6), _starts(5, 6)
    ([0, 4], [0])
    """
    if size <= window:
        return [0]
    return [*range(0, size - window, window - window // 3), size - window]
