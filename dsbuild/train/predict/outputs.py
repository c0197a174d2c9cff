"""The results that are written for an image, and their paths."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsbuild import images, storage
from dsbuild.images import colour
from dsbuild.train.predict.predictor import Predictor
from dsbuild.train.predict.sources import Source

_QUALITY = 92  # JPEG quality of overlays

Image = NDArray[np.uint8 | np.uint16]
Plane = NDArray[Any]  # of classes
Size = tuple[int, int]  # height and width


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which results to write.

    Attributes:
      out: the folder for them; None to write none, if the model classifies.
      overlay: whether to write the image under the colours of its classes, too.
      probabilities: whether to write probabilities, too, at the size of the prediction.
      batch: number of consecutive images of equal size that are predicted together.
      resize: longest side that images are resized to first; None for their own size.
    """

    out: str | None
    overlay: bool = False
    probabilities: bool = False
    batch: int = 1
    resize: int | None = None


def fitted(size: tuple[int, ...], side: int) -> Size:
    """Return (height, width) scaled to a longer side of `side`, as in DeepLab's demo.

    >>> fitted((375, 500), 513)
    (384, 513)
    """
    height, width = (max(1, length * side // max(size)) for length in size)
    return height, width


def targets(source: Source, wanted: Wanted) -> dict[str, str]:
    """Return the paths of the results for a source, by kind."""
    base = storage.join(wanted.out or "", source.name)
    if source.video:
        return {"video": f"{base}.mp4"}
    found = {"classes": f"{base}.png"}
    if wanted.overlay:
        found["overlay"] = f"{base}.overlay.jpg"
    if wanted.probabilities:
        found["probabilities"] = f"{base}.npz"
    return found


def _about(source: Source) -> dict[str, Any]:
    several = {"pictures": source.pictures} if source.pictures > 1 else {}
    return {"path": source.path, **several}


def classified(
    predictor: Predictor, source: Source, index: int, shares: NDArray[np.float32]
) -> dict[str, Any]:
    """Return the document of an image that was classified."""
    names = predictor.trained.facts.classes
    return {
        **_about(source),
        "class": names[index],
        "probability": float(shares[index]),
        "probabilities": dict(zip(names, shares.astype(float).tolist(), strict=True)),
    }


def segmented(
    predictor: Predictor,
    source: Source,
    image: Image,
    plane: Plane,
    shares: NDArray[np.float32] | None,
    wanted: Wanted,
) -> dict[str, Any]:
    """Write the results for an image that was segmented; return its document."""
    names = predictor.trained.facts.classes
    plane = resized_back(plane, image)
    colours = predictor.trained.facts.colours
    paths = targets(source, wanted)
    files = {paths["classes"]: colour.paletted(plane, colours)}
    if "overlay" in paths:
        drawn = colour.overlay(predictor.picture(image), plane, colours)
        files[paths["overlay"]] = images.encode(drawn, _QUALITY)
    if shares is not None and "probabilities" in paths:
        data = io.BytesIO()
        np.savez_compressed(data, probabilities=shares, classes=np.array(names))
        files[paths["probabilities"]] = data.getvalue()
    storage.write_all(files)
    counts = np.bincount(plane.ravel(), minlength=len(names))
    parts = {names[i]: int(counts[i]) / plane.size for i in np.argsort(-counts) if counts[i]}
    return {**_about(source), **paths, "shares": parts}


def prediction_size(image: Image, wanted: Wanted) -> Size:
    """Return the height and width at which an image is predicted."""
    height, width = image.shape[:2]
    return fitted((height, width), wanted.resize) if wanted.resize else (height, width)


def resized(image: Image, size: Size) -> Image:
    """Return an image at the size at which it is predicted."""
    return image if image.shape[:2] == size else images.deep.resample(image, size)


def looked(
    predictor: Predictor, stack: Image, probabilities: bool
) -> tuple[Plane, Sequence[NDArray[np.float32] | None]]:
    """Return the classes of a stack of images, and their probabilities, None unless asked for.

    A model that classifies always gives them.
    """
    if predictor.pixels and not probabilities:
        return predictor.classes(stack), [None] * len(stack)
    shares = predictor.probabilities(stack)
    planes = predictor.decided(shares)
    if predictor.binary:
        shares = np.concatenate([1 - shares, shares], -1)
    return planes, list(shares)


def resized_back(plane: Plane, image: Image) -> Plane:
    """Return a plane at the size of its image."""
    height, width = image.shape[:2]
    return plane if plane.shape == (height, width) else images.pick(plane, (height, width))
