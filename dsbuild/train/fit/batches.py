"""What is trained on: batches of augmented crops, from any step on."""

import tensorflow as tf

from dsbuild import reader
from dsbuild.errors import PlanError, TrainError
from dsbuild.format.folder import Folder, PathLike
from dsbuild.reader import Reader
from dsbuild.reader.tf import dataset
from dsbuild.reader.tf.augment import Augmentation, augmented
from dsbuild.train.dataset import Facts
from dsbuild.train.model.backbones import BACKBONES
from dsbuild.train.model.layers import FILLS
from dsbuild.train.settings import Settings

PLANE = "laplacian"  # of the gradient branch


def augmentation(asked: Settings, known: Facts) -> Augmentation:
    """Return what is done to samples."""
    return Augmentation(
        crop=(asked.crop, asked.crop),
        scales=asked.scales,
        scale_step=asked.scale_step,
        flip=asked.flip,
        fill=FILLS[BACKBONES[asked.backbone].pixels],
        ignore=0 if known.padding is None else known.padding,
        resize=asked.resize or None,
        brightness=asked.brightness,
        contrast=asked.contrast,
        saturation=asked.saturation,
        hue=asked.hue,
    )


def extras(asked: Settings) -> tuple[str, ...]:
    """Return the extras that a model needs."""
    return (PLANE,) if asked.gradient else ()


def labelled(path: PathLike, asked: Settings, option: str = "split") -> Reader:
    """Return the reader of the split of an option, `split` or `val`.

    Raises TrainError where there is none, or where its samples have no labels.
    """
    split = getattr(asked, option)
    folder = Folder.of(path)
    where = f"{folder.path}: {option} {split!r}"
    try:
        found = reader.open(folder, split, extras=extras(asked))
    except PlanError as error:
        remedy, prefix = "name another", f"split {split!r}: "
        if option == "val":
            remedy = (
                "name another, or none by --val '', or divide one: "
                "--split 'train[:90%]' --val 'train[90%:]'"
            )
        raise TrainError(f"{where}: {str(error).removeprefix(prefix)}; {remedy}") from error
    if not len(found):
        raise TrainError(f"{where}: found no sample; name a part that has some")
    if found[0].label is None:
        raise TrainError(f"{where}: found no labels, expected some; name another split")
    return found


def batches(path: PathLike, asked: Settings, known: Facts, start: int = 0) -> tf.data.Dataset:
    """Return endless batches (inputs, labels), from batch `start` on.

    Inputs are images float32 (b, crop, crop, 3), or these and planes int16 (b, crop, crop, 1);
    labels uint8 (b, crop, crop, 1), or int64 (b,) of classes. The same for the same settings,
    wherever they start. A label that is no class is an InvalidArgumentError with its sample.
    """
    first = start * asked.batch
    samples = dataset.tf_dataset(
        path,
        asked.split,
        extras=extras(asked),
        seed=asked.seed,
        repeat=None,
        start=first,
    )
    samples = samples.map(lambda sample: _checked(sample, known), tf.data.AUTOTUNE)
    samples = augmented(samples, augmentation(asked, known), asked.seed, start=first)

    def pair(sample):
        planes = (sample["image"], sample[PLANE]) if asked.gradient else sample["image"]
        return planes, sample["label"]

    samples = samples.map(pair, tf.data.AUTOTUNE)
    return samples.batch(asked.batch, drop_remainder=True).prefetch(tf.data.AUTOTUNE)


def _checked(sample: dict[str, tf.Tensor], known: Facts) -> dict[str, tf.Tensor]:
    """Return a sample whose labels are classes."""
    label = tf.cast(sample["label"], tf.int64)
    right = label < len(known.classes)
    if known.ignore is not None:
        right |= label == known.ignore
    told = [
        "sample",
        sample["image_name"],
        "label: found",
        tf.reduce_max(tf.where(right, tf.zeros_like(label), label)),
        f"expected 0 to {len(known.classes) - 1}"
        + (f", or {known.ignore}, which is ignored" if known.ignore is not None else ""),
    ]
    with tf.control_dependencies([tf.Assert(tf.reduce_all(right), told)]):
        return {**sample, "label": tf.identity(sample["label"])}
