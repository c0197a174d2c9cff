"""Augmented samples from records of which only what a crop shows is decoded.

The window is drawn from the size in the image's header. Of a JPEG, only the rows and columns are
transformed that the window needs; PNGs and labels are decoded whole. The pixels are those of whole
images.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import tensorflow as tf

from dsbuild import images
from dsbuild.reader.tf.features import Structure, labels_of, parse, rest_of
from dsbuild.reader.tf.resample import Region, Window, interpolated, region

# libjpeg interpolates chroma from at most 4 columns beside a pixel, of those that it decodes.
_MARGIN = 8
_ATTRIBUTE = "dsbuild_origin"


Sample = dict[str, tf.Tensor]


@dataclass(frozen=True)
class Origin:
    """Where the samples of a dataset come from, to decode their records in another way.

    Attributes:
      numbers: a dataset of the numbers of the samples, in order, and what is read of them.
      read: from these to the serialised record.
      structure: that of the records, which a build of dsbuild has checked.
      parallel: how many samples are decoded at once.
      options: those of the dataset.
      checks: functions that a sample goes through.
    """

    numbers: tf.data.Dataset
    read: Callable[..., tf.Tensor]
    structure: Structure
    parallel: int
    options: tf.data.Options
    checks: tuple[Callable[[Sample], Sample], ...] = ()

    def shaped(self, sample: Sample) -> Any:
        """Return a sample as the dataset has it."""
        if self.structure.order is not None:
            return self.structure.shaped(sample)
        return named(sample)


def named(sample: Sample) -> Sample:
    """Return a sample with the earlier name of its key, for one more release."""
    return {**sample, "image_name": sample["key"]}


def origin(ds: tf.data.Dataset) -> Origin | None:
    """Return the origin of a dataset that `tf_dataset` or `checked` returned, if it has one."""
    found = getattr(ds, _ATTRIBUTE, None)
    return found if isinstance(found, Origin) else None


def known(ds: tf.data.Dataset, found: Origin) -> tf.data.Dataset:
    """Return a dataset that `origin` knows. What other methods make of it is not known."""
    setattr(ds, _ATTRIBUTE, found)
    return ds


def checked(ds: tf.data.Dataset, check: Callable[[Sample], Sample]) -> tf.data.Dataset:
    """Return a dataset of samples, dicts, that went through a function that changes no pixel."""
    found, mapped = origin(ds), ds.map(check, tf.data.AUTOTUNE)
    return mapped if found is None else known(mapped, replace(found, checks=(*found.checks, check)))


class Seen(NamedTuple):
    """A sample whose image is what a window shows.

    Attributes:
      sample: with all its other values whole.
      window: of the image.
      shape: height and width of the whole image, int32 [2].
    """

    sample: Sample
    window: Window
    shape: tf.Tensor


def shape_of(data: tf.Tensor) -> tf.Tensor:
    """Return height and width of a JPEG or PNG, by its header: int32 [2]."""
    # IHDR begins with width and height, big-endian: W3C PNG, 11.2.1.
    return tf.cond(
        _is_png(data),
        lambda: tf.io.decode_raw(tf.strings.substr(data, 16, 8), tf.int32, False)[::-1],
        lambda: tf.io.extract_jpeg_shape(data)[:2],
    )


def _is_png(data: tf.Tensor) -> tf.Tensor:
    return tf.equal(tf.strings.substr(data, 0, len(images.PNG)), images.PNG)


def part(data: tf.Tensor, shape: tf.Tensor, area: Region) -> tf.Tensor:
    """Return the pixels of a region of an image of a shape: uint8 (h, w, 3)."""
    first = tf.maximum(area.low[1] - _MARGIN, 0)
    last = tf.minimum(area.high[1] + _MARGIN, shape[1])

    def jpeg() -> tf.Tensor:
        window = tf.stack([area.low[0], first, area.high[0] - area.low[0], last - first])
        found = tf.io.decode_and_crop_jpeg(data, window, channels=3, dct_method="INTEGER_ACCURATE")
        return found[:, area.low[1] - first : area.high[1] - first]

    def png() -> tf.Tensor:
        found = tf.io.decode_png(data, channels=3)
        return found[area.low[0] : area.high[0], area.low[1] : area.high[1]]

    return tf.cond(_is_png(data), png, jpeg)


def decode(
    record: tf.Tensor, source: Origin, draw: Callable[[tf.Tensor, tf.Tensor | None], Window]
) -> Seen:
    """Return what a record's sample shows in the window that `draw` returns for shape and label."""
    structure = source.structure
    raw = parse(record, structure)
    shape = shape_of(raw["image"])
    sample = rest_of(raw, structure, tf.cast(shape, tf.int64))
    sample |= labels_of(raw, structure, tf.cast(shape, tf.int64))
    for check in source.checks:
        sample = check(sample)
    window = draw(shape, sample.get("label"))
    area = region(shape, window)
    image = interpolated(part(raw["image"], shape, area), area, shape, window)
    return Seen({**sample, "image": image}, window, shape)
