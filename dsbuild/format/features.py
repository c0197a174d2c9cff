"""What a parsed record holds: values by role, its key, its label.

`names` is role -> features that may play it, and `labels` the features that may hold a label, both
as a `Folder` gives them.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from dsbuild.errors import ImageError, ShardError
from dsbuild.format import panoptic
from dsbuild.format.counts import Statistics
from dsbuild.format.example import Parsed, first
from dsbuild.format.schema import load

Names = Mapping[str, Sequence[str]]
Values = Mapping[str, Parsed]


def kind(value: Parsed) -> str:
    """Return what a parsed feature is: `bytes`, `int64`, `float32` or `none`."""
    if value is None:
        return "none"
    return "bytes" if isinstance(value, list) else str(value.dtype)


def given(value: Parsed) -> bool:
    """Tell whether a parsed feature holds anything."""
    return value is not None and len(value) > 0


def value(values: Values, names: Names, role: str) -> Parsed:
    """Return what a record holds for a role, or None."""
    return next(filter(given, map(values.get, names.get(role, ()))), None)


def key(values: Values, names: Names) -> str:
    """Return a record's key, or an empty text."""
    return first(value(values, names, "key")).decode(errors="surrogateescape")


def number(value: Parsed) -> int | None:
    """Return the one integer that a feature holds, or None."""
    if isinstance(value, np.ndarray) and kind(value) == "int64" and len(value) == 1:
        return int(value[0])
    return None


def is_panoptic(values: Values, name: str) -> bool:
    """Tell whether a record's label, the feature of that name, is a panoptic map."""
    of = load("panoptic")
    return name == of["label"].name and (first(values.get(of["label.format"].name)) == panoptic.RAW)


def panoptic_map(values: Values, name: str) -> tuple[np.ndarray, int]:
    """Return a record's panoptic map, int32 (h, w), and its divisor.

    `name` is the feature that holds it. Raises ImageError if its size or its divisor is not known.
    """
    from dsbuild import images  # here, since many commands decode nothing

    of = load("panoptic")
    divisor = number(values.get(of["label.divisor"].name))
    if divisor is None or divisor < 2:
        raise ImageError(
            f"found a raw label without {of['label.divisor'].name}, which divides its values into "
            "class and instance; build the records again with dsbuild --target panoptic"
        )
    head = images.header(first(values.get(of["image"].name)))
    return panoptic.decode(first(values.get(name)), (head.height, head.width)), divisor


def plane(values: Values, name: str) -> np.ndarray:
    """Return the class of every pixel of a record's label, uint8 (h, w).

    `name` is the feature that holds it. Raises ImageError if it cannot be decoded.
    """
    from dsbuild import images

    if is_panoptic(values, name):
        return panoptic.semantic(*panoptic_map(values, name))
    return images.plane(first(values.get(name)))


def plane_of(values: Values, names: Names) -> np.ndarray | None:
    """Return the same by the role of the feature; None if there is no label of pixels."""
    for name in names.get("label", ()):
        if isinstance(values.get(name), list) and given(values[name]):
            return plane(values, name)
    return None


def segments_of(values: Values, names: Names) -> np.ndarray | None:
    """Return a record's panoptic map, int32 (h, w), by the role of its feature, or None."""
    for name in names.get("label", ()):
        if first(values.get(name)) and is_panoptic(values, name):
            return panoptic_map(values, name)[0]
    return None


def label(values: Values, labels: Sequence[str]) -> int | np.ndarray | None:
    """Return a record's label, from the first of its features `labels` that holds one, or None.

    A class index, or the class indices of the pixels: uint8 (h, w), or uint16 with 16 bits.
    """
    for name in labels:
        value = values.get(name)
        if value is None or len(value) != 1:
            continue
        index = number(value)
        if index is not None:
            return index
        if isinstance(value, list):
            try:
                return plane(values, name)
            except ImageError:
                continue
    return None


def label_values(values: Values, labels: Sequence[str]) -> list[int]:
    """Return the label values of a record; raise ShardError if its label does not decode."""
    from dsbuild import images

    for name in labels:
        value = values.get(name)
        index = number(value)
        if index is not None:
            return [index]
        if first(value):
            try:
                return list(images.histogram(plane(values, name)))
            except ImageError as error:
                raise ShardError(f"label: {error}") from error
    return []


def count(label: int | np.ndarray | None) -> Statistics:
    """Return what a record's label adds to statistics: pixels by value, or one class."""
    if label is None:
        return Statistics()
    if isinstance(label, int):
        return Statistics(images={label: 1}, labels=1)
    from dsbuild import images

    pixels = images.histogram(label)
    return Statistics(pixels, dict.fromkeys(pixels, 1), labels=1)
