"""Training data: batches of augmented crops, starting at any step."""

import tensorflow as tf

from dsbuild import reader
from dsbuild.errors import PlanError, TrainError
from dsbuild.format.folder import Folder, PathLike
from dsbuild.reader import Reader
from dsbuild.reader.caching import NONE, Caching
from dsbuild.reader.tf import crops, dataset
from dsbuild.reader.tf.augment import augmented
from dsbuild.reader.tf.augmentation import Augmentation
from dsbuild.reader.tf.paste import pasted
from dsbuild.train.dataset import Facts
from dsbuild.train.image_range import limits
from dsbuild.train.model.backbones import scaling
from dsbuild.train.model.scalings import SCALINGS
from dsbuild.train.settings import Settings

PLANE = "laplacian"  # the extra that the gradient branch takes
BACKGROUND = ("background", "_background_", "bg")  # classes that are no object


def augmentation(settings: Settings, facts: Facts) -> Augmentation:
    """Return the augmentation of training samples; raise TrainError for what needs labels."""
    for name in ("cat_max_ratio", "copy_paste"):
        value, default = getattr(settings, name), getattr(Settings, name)
        if facts.task != "segmentation" and value != default:
            raise TrainError(f"{name}: found {value}, expected {default} for classification")
    return Augmentation(
        crop=(settings.crop, settings.crop),
        scales=settings.scales,
        scale_step=settings.scale_step,
        flip=settings.flip,
        fill=SCALINGS[scaling(settings.backbone, settings.pixels)].fill,
        ignore=0 if facts.padding is None else facts.padding,
        resize=_resize(settings),
        image_range=limits(settings) or Augmentation.image_range,
        brightness=settings.brightness,
        contrast=settings.contrast,
        saturation=settings.saturation,
        hue=settings.hue,
        rotation=settings.rotation,
        blur=settings.blur,
        cat_max_ratio=settings.cat_max_ratio,
    )


def _resize(settings: Settings) -> tuple[int, int, int] | None:
    if not settings.resize:
        return None
    least, most, multiple = settings.resize
    return least, most, multiple


def extras(settings: Settings) -> tuple[str, ...]:
    """Return the extras that a model needs."""
    return (PLANE,) if settings.gradient else ()


def labelled(path: PathLike, settings: Settings, option: str = "split") -> Reader:
    """Return a reader of the split that an option names, `split` or `val`.

    Raises TrainError if there is no such split, or if its samples have no labels.
    """
    split = getattr(settings, option)
    folder = Folder.of(path)
    where = f"{folder.path}: {option} {split!r}"
    try:
        samples = reader.open(folder, split, extras=extras(settings))
    except PlanError as error:
        remedy, prefix = "name another", f"split {split!r}: "
        if option == "val":
            remedy = (
                "name another, or none with --val '', or divide one: "
                "--split 'train[:90%]' --val 'train[90%:]'"
            )
        text = str(error).removeprefix(prefix)
        end = "" if text.endswith("?") else f"; {remedy}"
        raise TrainError(f"{where}: {text}{end}") from error
    if not len(samples):
        raise TrainError(f"{where}: found no sample; name a part that has some")
    if samples[0].label is None:
        raise TrainError(f"{where}: found no labels, expected some; name another split")
    return samples


def batches(
    path: PathLike, settings: Settings, facts: Facts, start: int = 0, caching: Caching = NONE
) -> tf.data.Dataset:
    """Return endless batches (inputs, labels), beginning at batch `start`.

    Inputs are images float32 (b, crop, crop, 3), or a pair of these and planes int16
    (b, crop, crop, 1); labels are uint8 (b, crop, crop, 1), or int32 with more than 256 classes,
    or int64 (b,) for classification.
    Batches depend on settings and number alone, wherever they start, with and without cache. A
    label that is not a class raises an InvalidArgumentError that names its sample.
    """
    first = start * settings.batch
    samples = dataset.tf_dataset(
        path,
        settings.split,
        extras=extras(settings),
        seed=settings.seed,
        repeat=None,
        start=first,
        cache=caching.cache or False,
        cache_folder=caching.folder,
        cache_size=caching.size,
    )
    paste = settings.copy_paste > 0
    samples = crops.checked(samples, lambda sample: _checked(sample, facts, paste))
    samples = augmented(samples, augmentation(settings, facts), settings.seed, start=first)

    def pair(sample: dict[str, tf.Tensor]) -> tuple[tf.Tensor | tuple[tf.Tensor, ...], tf.Tensor]:
        planes = (sample["image"], sample[PLANE]) if settings.gradient else sample["image"]
        label = sample["label"]  # other backends than TensorFlow calculate nothing in uint16
        return planes, tf.cast(label, tf.int32) if label.dtype == tf.uint16 else label

    if not paste:
        samples = samples.map(pair, tf.data.AUTOTUNE)
        return samples.batch(settings.batch, drop_remainder=True).prefetch(tf.data.AUTOTUNE)
    whole = samples.map(_planes, tf.data.AUTOTUNE).batch(settings.batch, drop_remainder=True)
    whole = pasted(
        whole,
        settings.copy_paste,
        settings.seed,
        classes=len(facts.classes),
        ignore=facts.ignore,
        skip=[i for i, name in enumerate(facts.classes) if name.casefold() in BACKGROUND],
        start=start,
    )
    return whole.map(pair, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def _planes(sample: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Return what a batch is made of."""
    names = ("image", "label", PLANE, "panoptic", "label_divisor")
    return {name: sample[name] for name in names if name in sample}


def _checked(sample: dict[str, tf.Tensor], facts: Facts, instances: bool) -> dict[str, tf.Tensor]:
    """Return a sample, with instances or not, and assert in the graph that labels are classes."""
    label = tf.cast(sample["label"], tf.int64)
    right = label < len(facts.classes)
    if facts.ignore is not None:
        right |= label == facts.ignore
    message = [
        "sample",
        sample["key"],
        "label: found",
        tf.reduce_max(tf.where(right, tf.zeros_like(label), label)),
        f"expected 0 to {len(facts.classes) - 1}"
        + (f", or {facts.ignore}, which is ignored" if facts.ignore is not None else ""),
    ]
    with tf.control_dependencies([tf.Assert(tf.reduce_all(right), message)]):
        names = [name for name in sample if instances or name != "panoptic"]
        rest = {name: sample[name] for name in names}
        return {**rest, "label": tf.identity(sample["label"])}
