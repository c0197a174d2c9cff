"""Images of 16 bits per channel as a model sees them: a stated range of values becomes 0 to 255.

The range is a setting of the run. Records and files, in training, evaluation and prediction, are
scaled by it to RGB of 0..255, not rounded, as `dsbuild.augmented` does; one band becomes grey.
Images of 8 bits are RGB of 0..255 already.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dsbuild import fields, images, reader
from dsbuild.errors import ImageError, TrainError
from dsbuild.format.folder import Folder
from dsbuild.images import display
from dsbuild.reader import Reader
from dsbuild.train.settings import Settings

WHOLE = "0:65535"
_SOME = 64  # images that are looked at before a training
_DARK = 16  # an image that reaches only this part of the range is nearly black
_BRIGHT = 0.999  # share of an image's values that are not above its brightest; others are specks

Pixels = NDArray[np.uint8 | np.uint16]


def limits(settings: Settings) -> tuple[int, int] | None:
    """Return the values that become 0 and 255, or None if a run is on images of 8 bits."""
    return fields.span(settings.image_range) if settings.image_range else None


def fitted(settings: Settings, samples: Reader) -> Settings:
    """Return the settings for training on samples: with a range if they have 16 bits.

    Raises TrainError for a range that images of 8 bits do not need, for other than 1 or 3 bands,
    and for what needs 8 bits.
    """
    image, where = samples[0].image, samples.folder.path
    if image.dtype != np.uint16:
        if settings.image_range:
            raise TrainError(
                f"image_range: found {settings.image_range}, but the images of {where} have 8 bits "
                "per channel; leave it out, or with --from-run say --image-range ''"
            )
        return settings
    if settings.gradient:
        raise TrainError(
            f"gradient: found True, but the images of {where} have 16 bits per channel, and a "
            "Laplacian is computed from 8; build the data with --scale LOW:HIGH"
        )
    try:
        _check_bands(image)
    except TrainError as error:
        raise TrainError(f"{where}: {error}") from error
    return dataclasses.replace(settings, image_range=settings.image_range or WHOLE)


def check(
    settings: Settings,
    samples: Reader,
    split: str,
    say: Callable[[str], None] = lambda _: None,
    remedy: str = "",
    chosen: bool = True,
) -> None:
    """Raise TrainError if the first images of a split are all nearly black or white; say the range.

    `remedy` says what to do; by default to train with the range of the values. Unless the range was
    `chosen`, raise it also if the largest value shows that images have fewer bits than the range.
    """
    span = limits(settings)
    if span is None:
        return
    low, high = span
    peak, count = 0, 0
    for count in range(1, min(len(samples), _SOME) + 1):
        sample = samples[count - 1]
        if sample.image.dtype != np.uint16:
            return
        bright = _bright(sample.image)
        if bright > _least(low, high) and np.median(sample.image) <= high:
            say(
                f"images have 16 bits per channel, of which {low}:{high} becomes 0 to 255 "
                f"(--image-range); {sample.key!r} reaches {bright:,}"
            )
            if not chosen:
                _narrow(samples, split, high, say)
            return
        peak = max(peak, bright)
    what = "the first image" if count == 1 else f"each of the first {count} images"
    most = (1 << max(peak.bit_length(), 8)) - 1
    remedy = remedy or f"give the range of the values, such as --image-range 0:{most}"
    nearly = f"are at most {peak:,}, which is nearly black in"
    said = nearly if peak <= _least(low, high) else "are outside of"
    raise TrainError(
        f"{samples.folder.path}: in {split!r}, nearly all values of {what} {said} the range "
        f"{low}:{high}; {remedy}"
    )


def _narrow(samples: Reader, split: str, high: int, say: Callable[[str], None]) -> None:
    """Raise TrainError if the first images are of fewer bits, or say that they may be.

    A camera of 14 bits that is overexposed somewhere ends at 16,383 exactly, which an image that
    is merely dark does not.
    """
    largest = 0
    for number in range(min(len(samples), _SOME)):
        largest = max(largest, int(samples[number].image.max()))
        if largest > high // 4:
            return
    most = (1 << largest.bit_length()) - 1
    text = (
        f"{samples.folder.path}: in {split!r}, the first {number + 1:,} images have no value above "
        f"{largest:,}, and the model would see them {(high + 1) // (most + 1)} times too dark"
    )
    if largest == most:
        raise TrainError(
            f"{text}: {largest:,} is the largest of {most.bit_length()} bits; give --image-range "
            f"0:{most}, or --image-range {WHOLE} if they are dark"
        )
    say(f"{text} unless they are dark; --image-range 0:{most} would suit them")


def _bright(pixels: Pixels) -> int:
    return int(np.quantile(pixels, _BRIGHT, method="lower"))


def _least(low: int, high: int) -> float:
    """Return the value that an image must exceed not to be nearly black."""
    return low + (high - low) / _DARK


def expect(settings: Settings, folder: Folder, split: str = "") -> None:
    """Raise TrainError if a folder has images of 16 bits, and the model of a run needs 8.

    Also if the first images of a split, if one is named, would be nearly black or white.
    """
    manifest = folder.manifest
    wide = manifest is not None and manifest.recipe.get("images", {}).get("depth") == 16
    if wide and not settings.image_range:
        raise TrainError(
            f"{folder.path}: found images of 16 bits per channel (--depth 16), expected 8, as the "
            "model was trained on; build the data with --scale LOW:HIGH, as that of the model"
        )
    if wide and split:
        remedy = "the model needs images in the range that it was trained with"
        check(settings, reader.open(folder, split), split, remedy=remedy)


def read(data: bytes, settings: Settings) -> Pixels:
    """Return the pixels of an image file for the model of a run, as viewers show it.

    They are RGB uint8 (h, w, 3). If the model was trained on images of 16 bits, and this is one,
    they are uint16 (h, w, c). Raises ImageError.
    """
    found = images.deep.look(data) if settings.image_range else None
    if found is None:
        return display.pixels(data)
    if found.reason:
        raise ImageError(found.reason)
    pixels = images.deep.read(data, found)
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    try:
        _check_bands(pixels)
    except TrainError as error:
        raise ImageError(str(error)) from error
    low, high = _span(settings)
    if _bright(pixels) <= _least(low, high):
        raise ImageError(
            f"found 16 bits per channel, of which nearly all values are at most "
            f"{_bright(pixels):,}: nearly black in {low}:{high}, the range that the model was "
            "trained with; scale the values to that range"
        )
    return images.turn(pixels, found.head.orientation if found.head else 1)


def seen(pixels: Pixels, settings: Settings) -> NDArray[np.uint8] | NDArray[np.float32]:
    """Return images (..., c) as the model of a run sees them: RGB of 0..255 (..., 3).

    Those of 8 bits are unchanged. Raises TrainError for 16 bits if the run is on 8.
    """
    if pixels.dtype != np.uint16:
        return np.asarray(pixels, np.uint8)
    low, high = _span(settings)
    _check_bands(pixels)
    found = np.clip(pixels, low, high).astype(np.float32) - np.float32(low)
    found /= np.float32((high - low) / 255)
    return np.repeat(found, 3, -1) if found.shape[-1] == 1 else found


def picture(pixels: Pixels, settings: Settings) -> NDArray[np.uint8]:
    """Return an image for people, and for models that take 8 bits: RGB uint8 (h, w, 3).

    One of 16 bits is scaled as the model sees it, and rounded.
    """
    if pixels.dtype != np.uint16:
        return np.asarray(pixels, np.uint8)
    _check_bands(pixels)
    return images.deep.narrowed(images.deep.scaled(np.asarray(pixels, np.uint16), *_span(settings)))


def _span(settings: Settings) -> tuple[int, int]:
    found = limits(settings)
    if found is None:
        raise TrainError(
            "image: found 16 bits per channel, expected 8, as the model was trained on; scale the "
            "image to 8 bits, or train on data that is built with --depth 16"
        )
    return found


def _check_bands(pixels: Pixels) -> None:
    """Raise TrainError for pixels (..., c) that do not become RGB."""
    bands = pixels.shape[-1]
    if bands not in (1, 3):
        raise TrainError(
            f"found {bands} bands of 16 bits, expected 1 or 3, since the model takes RGB; choose "
            "some first, for example with gdal_translate -b 1 -b 2 -b 3, or train a model of your "
            "own with dsbuild.tf_dataset or dsbuild.torch_dataset"
        )
