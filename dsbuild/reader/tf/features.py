"""From a serialised record to the tensors of a sample, in a TensorFlow graph."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from dsbuild import images
from dsbuild.errors import PlanError
from dsbuild.extras import EXTRAS, OFFSET, Chosen
from dsbuild.format import example
from dsbuild.format.folder import Folder, split_of
from dsbuild.reader.reader import Reader
from dsbuild.reader.sample import Sample
from dsbuild.reader.tf import deep, labels
from dsbuild.reader.tf.python import call

NO_CLASS = -(1 << 63)
# How files begin and end: ITU-T T.81, B.1.1.3; W3C PNG, 5.2 and 11.2.5.
_JPEG, _EOI = b"\xff\xd8\xff", b"\xff\xd9"
_IEND = b"\0\0\0\0IEND\xaeB\x60\x82"


def type_of(extra: str) -> tf.DType:
    """Return the type of an extra's pixels, in whatever form it is stored."""
    return tf.uint8 if EXTRAS[extra].forms == ("png",) else tf.int16


@dataclass(frozen=True)
class Structure:
    """What a sample consists of; every record is checked against it.

    Attributes:
      names: role -> name of the feature that plays it.
      label: the role of the label: `label` for a plane, `class` for one number, or empty.
      divisor: that of panoptic labels, None for others.
      stored: extra -> the form in which records have it.
      computed: extras that records do not have.
      size: height and width, None if they differ.
      order: the values of a sample that is a tuple, in order; None for a dict of all.
      trusted: whether a build of dsbuild has checked that records decode, and to one size.
      kind: the type of labels that are planes: uint8, or uint16 with more than 256 classes.
      bands: of images with 16 bits per channel; 0 if images have 8, which become RGB.
      aligned: planes from files of their own: name -> channels and bits.
    """

    names: Mapping[str, str]
    label: str
    divisor: int | None
    stored: Mapping[str, str]
    computed: tuple[Chosen, ...]
    size: tuple[int | None, int | None]
    order: tuple[str, ...] | None
    trusted: bool
    kind: tf.DType = tf.uint8
    bands: int = 0
    aligned: tuple[tuple[str, int, int], ...] = ()

    @classmethod
    def of(cls, data: Reader, as_supervised: bool) -> "Structure":
        """Return the structure of a reader's samples, from its first one.

        With `as_supervised` they are tuples: image, label, and the extras that were asked for.
        Raises PlanError if some splits have labels and others do not.
        """
        path, firsts = data.folder.path, _firsts(data)
        first = next(iter(firsts.values()))
        names = {role: first.name(role) for role in first.roles}
        label = next((role for role in ("label", "class") if role in names), "")
        for split, sample in firsts.items():
            if bool(label) != ("label" in sample):
                raise PlanError(
                    f"{path}: found labels in some splits and none in others, such as {split}; "
                    "name splits of one kind, such as train"
                )
        stored = {}
        asked = tuple(one.name for one in data.extras)
        for name in asked if as_supervised else EXTRAS:
            if f"{name}.encoded" in names:
                stored[name] = example.first(first.stored(f"{name}.format")).decode()
            elif name in names:
                stored[name] = "int64"
        if "key" not in names:
            raise PlanError(f"{path}: the records have no key, such as image/filename")
        computed = tuple(one for one in data.extras if one.name not in stored)
        for one in computed:
            if one.extra.of not in (*names, *stored):
                raise PlanError(
                    f"{path}: extra {one.name} is computed from the {one.extra.of}, which the "
                    "records do not have"
                )
        if as_supervised and not label:
            raise PlanError(
                f"{path}: found no label in record {first.key!r}, expected one for (image, label); "
                "read a split that has labels, or omit as_supervised"
            )
        return cls(
            names,
            label,
            first["label_divisor"] if "panoptic" in first else None,
            stored,
            computed,
            _size(data.folder),
            ("image", "label", *asked) if as_supervised else None,
            data.folder.manifest is not None,
            labels.kind(firsts.values()),
            deep.bands(first),
            () if as_supervised else deep.aligned(first),
        )

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles that are read from a record."""
        extras = (n if form == "int64" else f"{n}.encoded" for n, form in self.stored.items())
        planes = (f"{name}.encoded" for name, _, _ in self.aligned)
        return tuple(filter(None, ("image", "key", self.label, *extras, *planes)))

    @property
    def spec(self) -> Any:
        """The shapes and types of a sample, as `decode` returns it."""
        plane = (*self.size, 1)
        spec = {
            "image": tf.TensorSpec(
                (*self.size, self.bands or 3), tf.uint16 if self.bands else tf.uint8
            ),
            "height": tf.TensorSpec((), tf.int64),
            "width": tf.TensorSpec((), tf.int64),
            "key": tf.TensorSpec((), tf.string),
        }
        for name in (*self.stored, *(one.name for one in self.computed)):
            spec[name] = tf.TensorSpec(plane, type_of(name))
        if self.divisor is not None:
            spec["panoptic"] = tf.TensorSpec(plane, tf.int32)
            spec["label_divisor"] = tf.TensorSpec((), tf.int64)
        for name, channels, bits in self.aligned:
            spec[name] = tf.TensorSpec((*self.size, channels), deep.TYPES[bits])
        label = tf.TensorSpec(plane, self.kind)
        if self.label == "class":
            label = tf.TensorSpec((), tf.int64)
        return self.shaped(spec | {"label": label} if self.label else spec)

    def shaped(self, sample: Mapping[str, Any]) -> Any:
        """Return a sample as it is to be: a dict of its values, or a tuple."""
        return dict(sample) if self.order is None else tuple(sample[name] for name in self.order)


def _firsts(data: Reader) -> dict[str, Sample]:
    """Return the first sample of each split, in the order of their samples."""
    firsts: dict[str, int] = {}
    for start in np.cumsum((0, *data.blocks[:-1])).tolist():
        firsts.setdefault(split_of(data.records.place(int(data.picks[start]))[0]), start)
    return {split: data[start] for split, start in firsts.items()}


def _size(folder: Folder) -> tuple[int | None, int | None]:
    """Return height and width of a folder's images, None if they differ or are not known."""
    splits = folder.manifest.splits.values() if folder.manifest else ()
    heights = {end for split in splits for end in split.heights}
    widths = {end for split in splits for end in split.widths}
    height, width = (side.pop() if len(side) == 1 else None for side in (heights, widths))
    return height, width


def parse(data: tf.Tensor, structure: Structure) -> dict[str, tf.Tensor]:
    """Return role -> what a serialised record holds for it; empty if it holds nothing."""
    names, wanted = structure.names, {}
    for role in structure.roles:
        wanted[names[role]] = tf.io.FixedLenFeature((), tf.string, "")
        if structure.stored.get(role) == "int64":
            wanted[names[role]] = tf.io.RaggedFeature(tf.int64)
        elif role == "class":
            wanted[names[role]] = tf.io.FixedLenFeature((), tf.int64, NO_CLASS)
    found = tf.io.parse_single_example(data, wanted)
    return {role: found[names[role]] for role in structure.roles}


def regular(record: tf.Tensor, structure: Structure) -> tf.Tensor:
    """Tell whether image and label begin and end like files that decode: bool ()."""
    raw = parse(record, structure)
    found = _ends(raw["image"], _JPEG, _EOI) | _ends(raw["image"], images.PNG, _IEND)
    if structure.label == "label" and structure.divisor is None:
        found &= _ends(raw["label"], images.PNG, _IEND)
    if structure.label == "class":
        found &= raw["class"] != NO_CLASS
    return found


def _ends(data: tf.Tensor, first: bytes, last: bytes) -> tf.Tensor:
    # substr does not accept a start before the first byte.
    begin = tf.maximum(tf.strings.length(data) - len(last), 0)
    end = tf.strings.substr(data, begin, len(last))
    return tf.equal(tf.strings.substr(data, 0, len(first)), first) & tf.equal(end, last)


def decode(record: tf.Tensor, structure: Structure, where: tf.Tensor | None = None) -> Any:
    """Return the tensors of a serialised record, as `Structure.spec` has them.

    `where` names the record in an error if its planes differ in size; without it sizes are not
    checked.
    """
    raw = parse(record, structure)
    image = image_of(raw["image"], structure)
    shape = tf.shape(image, tf.int64)
    planes = {"image": tf.ensure_shape(image, (*structure.size, structure.bands or 3))}
    for name, plane in labels_of(raw, structure, shape, where).items():
        planes[name] = _fitting(plane, structure, shape, where) if plane.shape.rank else plane
    planes |= rest_of(raw, structure, shape, where)
    for one in structure.computed:
        planes[one.name] = _fitting(_computed(one, planes[one.extra.of]), structure, shape, where)
    return structure.shaped(planes)


def image_of(data: tf.Tensor, structure: Structure) -> tf.Tensor:
    """Return the pixels of an image: RGB uint8 (h, w, 3), or uint16 (h, w, bands)."""
    if structure.bands:
        return deep.decoded(data, structure.bands)
    return tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE")


def rest_of(
    raw: Mapping[str, tf.Tensor],
    structure: Structure,
    shape: tf.Tensor,
    where: tf.Tensor | None = None,
) -> dict[str, tf.Tensor]:
    """Return what a parsed record holds besides the pixels of image and label."""
    found = {"height": shape[0], "width": shape[1], "key": raw["key"]}
    if structure.label == "class":
        found["label"] = raw["class"]
    for name, form in structure.stored.items():
        data = raw[name if form == "int64" else f"{name}.encoded"]
        found[name] = _fitting(_FORMS[form](data), structure, shape, where)
    for name, channels, bits in structure.aligned:
        plane = deep.plane(raw[f"{name}.encoded"], channels, bits)
        found[name] = tf.ensure_shape(plane, (*structure.size, channels))
    return found


def labels_of(
    raw: Mapping[str, tf.Tensor],
    structure: Structure,
    shape: tf.Tensor,
    where: tf.Tensor | None = None,
) -> dict[str, tf.Tensor]:
    """Return the class of every pixel (h, w, 1), and what else a panoptic label is.

    `shape` is that of the image; without `where`, labels are known to be grey.
    """
    if structure.label != "label":
        return {}
    if structure.divisor is None:
        return {"label": labels.plane_of(raw["label"], structure.kind, where is None)}
    return labels.panoptic_of(raw["label"], shape, structure.divisor, structure.kind, where)


def _fitting(
    pixels: tf.Tensor, structure: Structure, shape: tf.Tensor, where: tf.Tensor | None
) -> tf.Tensor:
    """Return a plane of the image's shape, int64 [2] or [3]: (h, w, 1)."""
    if pixels.shape.rank == 1:
        pixels = tf.reshape(pixels, (shape[0], shape[1], 1))
    elif where is not None:
        same = tf.reduce_all(tf.equal(tf.shape(pixels, tf.int64)[:2], shape[:2]))
        text = ": found a label or an extra whose size is not the image's"
        with tf.control_dependencies([tf.debugging.Assert(same, [where + text])]):
            pixels = tf.identity(pixels)
    return tf.ensure_shape(pixels, (*structure.size, 1))


def _sixteen(data: tf.Tensor) -> tf.Tensor:
    pixels = tf.io.decode_png(data, channels=1, dtype=tf.uint16)
    return tf.cast(tf.cast(pixels, tf.int32) - OFFSET, tf.int16)


_FORMS: Mapping[str, Callable[[tf.Tensor], tf.Tensor]] = {
    "int64": lambda values: tf.cast(values, tf.int16),
    "png": lambda data: tf.io.decode_png(data, channels=1),
    "png16": _sixteen,
    "raw16": lambda data: tf.io.decode_raw(data, tf.int16, little_endian=True),
}


def _computed(chosen: Chosen, pixels: tf.Tensor) -> tf.Tensor:
    """Return an extra, computed in Python by the function with which builds compute it."""

    def compute(plane: np.ndarray) -> np.ndarray:
        plane = plane if chosen.extra.of == "image" else plane[..., 0]
        return chosen.extra.compute(plane, **dict(chosen.parameters))

    spec = tf.TensorSpec((None, None), type_of(chosen.name))
    return call(compute, [pixels], [spec])[0][..., tf.newaxis]
