"""DeepLab's augmentation of parsed samples: random scale, pad, random crop, flip; and jitter.

A sample is a dict of tensors. `image` is uint8 (h, w, 3); `label`, if there is one, is uint8
(h, w) or (h, w, 1); every other numeric tensor of two or three dimensions is a plane of the image,
(h, w) or (h, w, c). All are cut from the same window. The rest passes through, and `height` and
`width` become those of the result.

- The image is interpolated bilinearly and stays float32, 0..255. Without rounding, padding is
  exactly the mean, even 127.5, and becomes 0 when a model subtracts it; and models compute in
  float32. As uint8, batches would take a quarter of the memory.
- The label, and planes that hold classes or follow them (`trimap`, `edges`, `canny`, `weights`,
  and any unknown name), are resampled by nearest neighbour: no new values, and no weight on an
  ignored pixel.
- Planes named in `Augmentation.soft`, which vary continuously, are interpolated bilinearly, and
  rounded if their dtype is integral.
- Label and planes keep their dtype and rank. Values are not scaled: a `distance` is still in
  pixels of the stored image, and the `laplacian` of an image resized by s is that of the stored
  image, resized; that of the resized image would be about 1/s^2 of it where the image is smooth,
  and something else where it is not.

Source: Chen et al., Encoder-Decoder with Atrous Separable Convolution for Semantic Image
Segmentation, ECCV 2018, and its published `input_preprocess`. This differs in that an image is
resized once (`resize` and scale in one step) and in the pixel centres (see `resample`).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import tensorflow as tf

from dsbuild.errors import PlanError
from dsbuild.reader.tf.resample import Window, bilinear, nearest, padded

Sample = Mapping[str, tf.Tensor]

SOFT = ("alpha", "distance", "laplacian", "sobel")


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """What is done to samples; the defaults are DeepLab's for Pascal VOC.

    Attributes:
      crop: height and width of the result; if None, the scaled image is neither padded nor
        cropped.
      scales: smallest and largest factor of the size.
      scale_step: between factors, all equally likely; 0 for any factor in between.
      flip: probability that an image is mirrored left to right.
      fill: R, G and B of padding, 0..255, such as the mean that a model subtracts.
      ignore: padding value of a label; planes are padded with 0.
      resize: smaller side, largest side, and n, applied first: the image gets the smaller side,
        unless its larger side would exceed the largest, which it then gets; both sides are
        rounded up to a multiple of n plus 1 (n = 1: unchanged), the largest side itself down,
        as in DeepLab's `resize_to_range`.
      soft: names of planes that are interpolated bilinearly.
      brightness: largest shift of all channels, as a share of 255.
      contrast: largest change of the factor 1, around each channel's mean.
      saturation: largest change of the factor 1, in HSV.
      hue: largest rotation of the hue; 0.5 is half the circle.

    Raises PlanError for any other value.
    """

    crop: tuple[int, int] | None = (513, 513)
    scales: tuple[float, float] = (0.5, 2.0)
    scale_step: float = 0.25
    flip: float = 0.5
    fill: tuple[float, float, float] = (127.5, 127.5, 127.5)
    ignore: int = 255
    resize: tuple[int, int, int] | None = None
    soft: tuple[str, ...] = SOFT
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0

    def __post_init__(self) -> None:
        side = range(1, 1 << 20)
        self._expect("crop", 2, "height and width, whole numbers from 1", lambda n: n in side)
        self._expect("scales", 2, "two factors above 0", lambda s: 0 < s < math.inf)
        low, high = self.scales
        self._refuse("scales", not low <= high, "the smaller one first")
        self._expect("scale_step", 0, "a number from 0", lambda s: 0 <= s < math.inf)
        if self.scale_step:
            steps = (high - low) / self.scale_step
            expected = f"0 or a step that divides the range of scales, {low} to {high}"
            self._refuse("scale_step", abs(steps - round(steps)) > 1e-6, expected)
        self._expect("flip", 0, "a likelihood from 0 to 1", lambda p: 0 <= p <= 1)
        self._expect("fill", 3, "R, G and B from 0 to 255", lambda v: 0 <= v <= 255)
        self._expect("ignore", 0, "a whole number from 0 to 255", lambda v: v in range(256))
        self._expect("resize", 3, "three whole numbers from 1", lambda n: n in side)
        if self.resize:
            wrong = self.resize[0] > self.resize[1]
            self._refuse("resize", wrong, "a smaller side that is at most the largest side")
        wrong = isinstance(self.soft, str) or not {"image", "label"}.isdisjoint(self.soft)
        self._refuse("soft", wrong, "names of planes other than image and label")
        for name, most in (("brightness", 1), ("contrast", 1), ("saturation", 1), ("hue", 0.5)):
            self._expect(name, 0, f"a number from 0 to {most}", _up_to(most))

    def _expect(self, name: str, count: int, expected: str, fits: Callable[[float], bool]) -> None:
        """Raise PlanError unless a value, or each of `count` values, fits."""
        value = getattr(self, name)
        if value is None and name in ("crop", "resize"):
            return
        many = isinstance(value, tuple | list)
        values = value if many else (value,)
        numbers = all(isinstance(v, int | float) for v in values)
        wrong = not numbers or many != bool(count) or len(values) != (count or 1)
        self._refuse(name, wrong or not all(map(fits, values)), expected)

    def _refuse(self, name: str, wrong: bool, expected: str) -> None:
        if wrong:
            raise PlanError(f"{name}: found {getattr(self, name)!r}, expected {expected}")


def _up_to(most: float) -> Callable[[float], bool]:
    return lambda value: 0 <= value <= most


def augment(sample: Sample, seed: tf.Tensor, settings: Augmentation) -> dict[str, tf.Tensor]:
    """Return an augmented sample; the same one for the same `seed`, two whole numbers.

    Shapes are static if there is a crop. Raises PlanError if a shape is known to be wrong, and
    InvalidArgumentError if it turns out to be wrong.
    """
    sample, shape = _checked(sample)
    # Always eight numbers in one draw, so that jitter does not change the window.
    chance = tf.random.stateless_uniform([8], seed)
    window = draw(chance[:4], shape, settings)
    return _seen(sample, window, settings, chance[4:])


def evaluation(sample: Sample, settings: Augmentation) -> dict[str, tf.Tensor]:
    """Return a sample for evaluation: resized if the settings say so, and padded to the crop.

    Without either, an image keeps its pixels. Raises as `augment` does, and InvalidArgumentError
    for an image larger than the crop.
    """
    sample, shape = _checked(sample)
    size = _resized(shape, settings)
    if settings.crop:
        expected = "expected at most the crop; choose a larger one, or resize"
        told = ["image: found height and width", size, expected, settings.crop, *_key(sample)]
        with tf.control_dependencies([tf.Assert(tf.reduce_all(size <= settings.crop), told)]):
            size = tf.identity(size)
    return _seen(sample, Window(size, tf.zeros(2, tf.int32), size, tf.constant(False)), settings)


def augmented(
    ds: tf.data.Dataset,
    settings: Augmentation,
    seed: int,
    num_parallel_calls: int = tf.data.AUTOTUNE,
    start: int = 0,
) -> tf.data.Dataset:
    """Return a dataset with each sample augmented by `seed` and its number, from `start` on.

    The result does not depend on the number of parallel calls; with the `start` of `tf_dataset`,
    a run continues as if it had never stopped. Repeat and shuffle before this: a dataset that is
    repeated afterwards repeats its random numbers.
    """

    def numbered(number: tf.Tensor, sample: Sample) -> dict[str, tf.Tensor]:
        return augment(sample, tf.stack([tf.constant(seed, tf.int64), number]), settings)

    return ds.enumerate(start).map(numbered, num_parallel_calls, deterministic=True)


def draw(chance: tf.Tensor, shape: tf.Tensor, settings: Augmentation) -> Window:
    """Return the window for four numbers 0 <= x < 1: scale, flip, row, column.

    `shape`: int32 [2], height and width of the image.
    """
    low, high = settings.scales
    if settings.scale_step:
        steps = round((high - low) / settings.scale_step)
        scales = [low + settings.scale_step * i for i in range(steps + 1)]
        scale = tf.gather(tf.constant(scales, tf.float32), _below(chance[0], len(scales)))
    else:
        scale = low + (high - low) * chance[0]
    size = tf.cast(tf.cast(_resized(shape, settings), tf.float32) * scale, tf.int32)
    size = tf.maximum(size, 1)
    seen = size if settings.crop is None else tf.minimum(size, settings.crop)
    return Window(size, _below(chance[2:], size - seen + 1), seen, chance[1] < settings.flip)


def _below(chance: tf.Tensor, count: tf.Tensor | int) -> tf.Tensor:
    """Return whole numbers 0 <= n < count for numbers 0 <= x < 1."""
    return tf.cast(chance * tf.cast(count, tf.float32), tf.int32)


def _resized(shape: tf.Tensor, settings: Augmentation) -> tf.Tensor:
    """Return the size, int32 [2], that `resize` gives an image."""
    if settings.resize is None:
        return shape
    least, most, multiple = settings.resize
    most = (most - 1) // multiple * multiple + 1
    shape = tf.cast(shape, tf.int64)
    by_smaller = shape * least // tf.reduce_min(shape)
    by_larger = shape * most // tf.reduce_max(shape)
    size = tf.where(tf.reduce_max(by_smaller) > most, by_larger, by_smaller)
    size = tf.maximum(size, 1)
    return tf.cast(size + (1 - size) % multiple, tf.int32)


def _checked(sample: Sample) -> tuple[Sample, tf.Tensor]:
    """Return a sample, checked that its planes fit its image, and the image's height and width."""
    if "image" not in sample:
        raise PlanError(
            f"sample: found {', '.join(sample) or 'nothing'}, expected an image as well"
        )
    image, planes = sample["image"], _planes(sample)
    if image.shape.rank != 3 or image.shape[2] != 3:
        raise PlanError(f"image: found shape {image.shape}, expected (height, width, 3)")
    shape, checks = tf.shape(image)[:2], []
    for name in planes:
        plane = sample[name]
        if not plane.shape[:2].is_compatible_with(image.shape[:2]):
            found = f"{name}: found height and width {plane.shape[:2]}"
            raise PlanError(f"{found}, expected those of the image, {image.shape[:2]}")
        told = [
            f"{name}: found height and width",
            tf.shape(plane)[:2],
            "expected those of the image",
        ]
        same = tf.reduce_all(tf.shape(plane)[:2] == shape)
        checks.append(tf.Assert(same, [*told, shape, *_key(sample)]))
    with tf.control_dependencies(checks):
        return {**sample, **{name: tf.identity(sample[name]) for name in planes}}, shape


def _key(sample: Sample) -> list[tf.Tensor | str]:
    """Return words that name the sample, if it has a key."""
    return ["key", sample["key"]] if "key" in sample else []


def _planes(sample: Sample) -> list[str]:
    """Return the names of label and planes."""
    ranks = {k: v.shape.rank for k, v in sample.items() if k != "image" and v.dtype != tf.string}
    for name, rank in ranks.items():
        if rank is None or (name == "label" and rank not in (0, 2, 3)):
            raise PlanError(
                f"{name}: found shape {sample[name].shape}, expected (height, width) or "
                "(height, width, channels)"
            )
    return [name for name, rank in ranks.items() if rank in (2, 3)]


def _seen(
    sample: Sample, window: Window, settings: Augmentation, chance: tf.Tensor | None = None
) -> dict[str, tf.Tensor]:
    """Return a sample with the visible part of its image and planes, padded."""

    def finished(plane: tf.Tensor, fill: Sequence[float]) -> tf.Tensor:
        if settings.crop is None:
            return plane
        return padded(plane, settings.crop, tf.constant(fill), window.flip)

    result = dict(sample)
    image = bilinear(sample["image"], window)
    if chance is not None:
        image = _jittered(image, chance, settings)
    result["image"] = finished(image, settings.fill)
    for name in _planes(sample):
        plane = sample[name]
        flat = plane.shape.rank == 2
        deep = plane[..., tf.newaxis] if flat else plane
        if name in settings.soft:
            seen = bilinear(deep, window)
            seen = tf.cast(seen if plane.dtype.is_floating else tf.round(seen), plane.dtype)
        else:
            seen = nearest(deep, window)
        seen = finished(seen, [settings.ignore if name == "label" else 0])
        result[name] = seen[..., 0] if flat else seen
    for i, name in enumerate(("height", "width")):
        if name in sample:
            side = tf.cast(tf.shape(result["image"])[i], sample[name].dtype)
            result[name] = tf.reshape(side, tf.shape(sample[name]))
    return result


def _jittered(image: tf.Tensor, chance: tf.Tensor, settings: Augmentation) -> tf.Tensor:
    """Return an image, float32 0..255, with its colours changed by four numbers 0 <= x < 1."""
    change = 2 * chance - 1
    if settings.hue:
        image = tf.image.adjust_hue(image, settings.hue * change[3])
    if settings.saturation:
        image = tf.image.adjust_saturation(image, 1 + settings.saturation * change[2])
    if settings.contrast:
        image = tf.image.adjust_contrast(image, 1 + settings.contrast * change[1])
    if settings.brightness:
        image += 255 * settings.brightness * change[0]
    if settings.hue or settings.saturation or settings.contrast or settings.brightness:
        image = tf.clip_by_value(image, 0.0, 255.0)
    return image
