"""DeepLab's augmentation of parsed samples: random scale, pad, random crop, flip; and more.

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

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from dsbuild.errors import PlanError
from dsbuild.reader.tf import crops, deep
from dsbuild.reader.tf.augmentation import Augmentation
from dsbuild.reader.tf.colour import blurred, jittered
from dsbuild.reader.tf.crops import Origin
from dsbuild.reader.tf.resample import Window, bilinear, nearest, padded
from dsbuild.reader.tf.rotation import rotated
from dsbuild.reader.tf.windows import draw, resized, varied

Sample = Mapping[str, tf.Tensor]


def augment(sample: Sample, seed: tf.Tensor, settings: Augmentation) -> dict[str, tf.Tensor]:
    """Return an augmented sample; the same one for the same `seed`, two whole numbers.

    Shapes are static if there is a crop. Raises PlanError if a shape is known to be wrong, and
    InvalidArgumentError if it turns out to be wrong.
    """
    sample, shape = _checked(sample, settings)
    chance, more = _chance(seed), _more(seed)
    window = draw(chance[:4], shape, settings)
    window = varied(window, sample.get("label"), more[0], settings)
    return _seen(sample, window, settings, _Changes(chance[4:], more[1]))


def augment_record(
    record: tf.Tensor, seed: tf.Tensor, settings: Augmentation, origin: Origin
) -> dict[str, tf.Tensor]:
    """Return the same for a serialised record, of which only what is seen is decoded."""
    chance, more = _chance(seed), _more(seed)

    def window(shape: tf.Tensor, label: tf.Tensor | None) -> Window:
        return varied(draw(chance[:4], shape, settings), label, more[0], settings)

    found = crops.decode(record, origin, window)
    changes = _Changes(chance[4:], more[1])
    return _seen(found.sample, found.window, settings, changes, found.shape)


class _Changes(NamedTuple):
    """The random numbers for what changes within a window.

    Attributes:
      jitter: four numbers 0 <= x < 1.
      seed: for rotation and blur.
    """

    jitter: tf.Tensor
    seed: tf.Tensor


def _chance(seed: tf.Tensor) -> tf.Tensor:
    # Always eight numbers in one draw, so that jitter does not change the window.
    return tf.random.stateless_uniform([8], seed)


def _more(seed: tf.Tensor) -> list[tf.Tensor]:
    # Seeds of their own, so that none of these changes what else is drawn.
    return [tf.random.experimental.stateless_fold_in(seed, number) for number in (1, 2)]


def evaluation(sample: Sample, settings: Augmentation) -> dict[str, tf.Tensor]:
    """Return a sample for evaluation: resized if the settings say so, and padded to the crop.

    Without either, an image keeps its pixels. Raises as `augment` does, and InvalidArgumentError
    for an image larger than the crop.
    """
    sample, shape = _checked(sample, settings)
    size = resized(shape, settings)
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
    """Return a dataset with each sample augmented by `seed` and its number.

    The result does not depend on the number of parallel calls; with the `start` of `tf_dataset`,
    a run continues as if it had never stopped. Repeat and shuffle before this: a dataset that is
    repeated afterwards repeats its random numbers.

    If `ds` is what `tf_dataset` returned, without cache or computed extras, only what a crop shows
    is decoded: the same pixels in less time.

    Args:
      ds: samples as dicts, or as pairs (image, label), from `dsbuild.tf_dataset`.
      settings: what is done to each sample.
      seed: seed for the random numbers.
      num_parallel_calls: how many samples to augment at once.
      start: the number of the first sample.

    Returns:
      A dataset of the same structure. The image is float32, 0 to 255; label and planes keep their
      type. Shapes are static if there is a crop.

    Raises:
      PlanError: if the samples have no image, or planes of another size.

    Example:
      >>> data = dsbuild.tf_dataset("tfrecord", "train", seed=1, as_supervised=True)
      >>> settings = dsbuild.Augmentation(crop=(33, 33), flip=0.5)
      >>> image, label = next(iter(dsbuild.augmented(data, settings, seed=1).batch(4)))
      >>> image.shape.as_list(), image.dtype.name, label.shape.as_list()
      ([4, 33, 33, 3], 'float32', [4, 33, 33, 1])
    """
    _check(ds.element_spec)
    origin = crops.origin(ds)
    if origin is not None and settings.crop is not None:
        return _from_records(origin, settings, seed, num_parallel_calls, start)

    def numbered(number: tf.Tensor, sample: Any) -> Any:
        both = tf.stack([tf.constant(seed, tf.int64), number])
        if isinstance(sample, Mapping):
            return augment(sample, both, settings)
        found = augment({"image": sample[0], "label": sample[1]}, both, settings)
        return found["image"], found["label"]

    return ds.enumerate(start).map(numbered, num_parallel_calls, deterministic=True)


def _from_records(
    origin: Origin, settings: Augmentation, seed: int, calls: int, start: int
) -> tf.data.Dataset:
    """Return what `augmented` does, from numbers of records."""

    def numbered(place: tf.Tensor, one: tuple[tf.Tensor, ...]) -> Any:
        both = tf.stack([tf.constant(seed, tf.int64), place])
        return origin.shaped(augment_record(origin.read(*one), both, settings, origin))

    calls = origin.parallel if calls == tf.data.AUTOTUNE else calls
    samples = origin.numbers.enumerate(start).map(numbered, calls, deterministic=True)
    return samples.prefetch(tf.data.AUTOTUNE).with_options(origin.options)


def _check(spec: Any) -> None:
    if isinstance(spec, Mapping) and "panoptic" in spec and "label_divisor" not in spec:
        raise PlanError("samples: found panoptic without label_divisor, which void is made of")
    if not isinstance(spec, Mapping) and not (isinstance(spec, tuple) and len(spec) == 2):
        raise PlanError(
            f"samples: found {spec}; expected a dict or (image, label); omit as_supervised to "
            "augment extras, which need their names"
        )
    deep.refuse(spec)


def _checked(sample: Sample, settings: Augmentation) -> tuple[Sample, tf.Tensor]:
    """Return a sample, checked that its planes fit its image, and the image's height and width."""
    if "image" not in sample:
        raise PlanError(
            f"sample: found {', '.join(sample) or 'nothing'}, expected an image as well"
        )
    image = deep.eight_bits(sample["image"], *settings.image_range)
    planes = _planes(sample)
    sample = {**sample, "image": image}
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
    sample: Sample,
    window: Window,
    settings: Augmentation,
    changes: _Changes | None = None,
    shape: tf.Tensor | None = None,
) -> dict[str, tf.Tensor]:
    """Return a sample with the visible part of its image and planes, padded and rotated.

    If the `shape` of the image is given, the sample's image is already that part.
    """
    angle = None
    if changes is not None and (settings.rotation or settings.blur):
        turn, sharp = tf.unstack(tf.random.stateless_uniform([2], changes.seed))
        angle = (2 * turn - 1) * settings.rotation if settings.rotation else None

    def finished(plane: tf.Tensor, fill: Sequence[Any], smooth: bool) -> tf.Tensor:
        if settings.crop is not None:
            plane = padded(plane, settings.crop, tf.stack(fill), window.flip)
        return plane if angle is None else rotated(plane, angle, fill, smooth)

    result = dict(sample)
    image = sample["image"] if shape is not None else bilinear(sample["image"], window)
    if changes is not None:
        image = jittered(image, changes.jitter, settings)
        if settings.blur:
            image = blurred(image, sharp * settings.blur, settings.blur)
    result["image"] = finished(image, settings.fill, True)
    for name in _planes(sample):
        plane = sample[name]
        flat = plane.shape.rank == 2
        whole = plane[..., tf.newaxis] if flat else plane
        soft = name in settings.soft
        seen = bilinear(whole, window) if soft else nearest(whole, window, shape)
        seen = finished(seen, _fill(name, sample, settings), soft)
        if soft:
            seen = tf.cast(seen if plane.dtype.is_floating else tf.round(seen), plane.dtype)
        result[name] = seen[..., 0] if flat else seen
    for i, name in enumerate(("height", "width")):
        if name in sample:
            side = tf.cast(tf.shape(result["image"])[i], sample[name].dtype)
            result[name] = tf.reshape(side, tf.shape(sample[name]))
    return result


def _fill(name: str, sample: Sample, settings: Augmentation) -> list[Any]:
    """Return what a plane is padded with: nothing, the ignore value, or void."""
    if name == "panoptic" and "label_divisor" in sample:
        return [settings.padding(tf.uint8.max) * sample["label_divisor"]]
    return [settings.padding(sample[name].dtype.max) if name == "label" else 0]
