"""Panoptic maps: the class and the instance of every pixel in one number, as deeplab2 reads them.

    image/segmentation/class/encoded    int32, little-endian, row by row: class * divisor + instance
    image/segmentation/class/format     `raw`
    image/segmentation/class/divisor    the divisor, so that a record says what it holds

Instances of a class count from 1. Instance 0 is stuff, a crowd, or void: the ignore value with no
instance.

Source: google-research/deeplab2 (data/data_utils.py, data/build_coco_data.py).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsbuild.errors import ImageError

RAW = b"raw"


class Segment(NamedTuple):
    """What the pixels of one value are.

    Attributes:
      value: of the map: class * divisor + instance.
      label: the class index.
      instance: the number among the instances of the class; 0 for stuff, a crowd, or void.
      area: how many pixels there are.
    """

    value: int
    label: int
    instance: int
    area: int


@dataclass(frozen=True, eq=False)
class Instance:
    """An object of an image.

    Attributes:
      label: its class index.
      name: of the class, None if it is not known.
      number: among the objects of its class in the image, from 1.
      mask: which pixels it has, bool (h, w).
      bbox: left, top, width and height of the smallest box around it, in pixels.
      area: how many pixels it has.
    """

    label: int
    name: str | None
    number: int
    mask: NDArray[np.bool_]
    bbox: tuple[int, int, int, int]
    area: int

    def __repr__(self) -> str:
        name = f" {self.name}" if self.name else ""
        return f"<Instance {self.number} of {self.label}{name}: bbox {self.bbox}>"


def encode(plane: NDArray[np.int32]) -> bytes:
    """Return the bytes of a map, int32 (h, w)."""
    return plane.astype("<i4", copy=False).tobytes()


def decode(data: bytes, size: tuple[int, int]) -> NDArray[np.int32]:
    """Return the map of an image of this size, int32 (h, w); raise ImageError for other bytes."""
    height, width = size
    if len(data) != 4 * height * width:
        raise ImageError(
            f"found a panoptic map of {len(data):,} bytes, expected {4 * height * width:,}: "
            f"4 per pixel of {width} x {height}"
        )
    return np.frombuffer(data, "<i4").reshape(size).astype(np.int32)


def semantic(plane: NDArray[np.int32], divisor: int) -> NDArray[np.uint8]:
    """Return the class of every pixel, uint8 (h, w); raise ImageError for one beyond 255."""
    low, high = (int(plane.min()), int(plane.max())) if plane.size else (0, 0)
    if low < 0 or high >= 256 * divisor:
        raise ImageError(
            f"found the value {low if low < 0 else high} in a panoptic map, expected class * "
            f"{divisor} + instance with classes 0 to 255"
        )
    return (plane // divisor).astype(np.uint8)


def segments(plane: NDArray[np.int32], divisor: int) -> list[Segment]:
    """Return the segments of a map by their values, void included."""
    values, counts = np.unique(plane, return_counts=True)
    return [
        Segment(value, value // divisor, value % divisor, count)
        for value, count in zip(values.tolist(), counts.tolist(), strict=True)
    ]


def counted(plane: NDArray[np.int32], divisor: int, ignore: int | None) -> dict[int, int]:
    """Return class -> how many segments a map has of it; void is none."""
    found: dict[int, int] = {}
    for one in segments(plane, divisor):
        if one.label != ignore:
            found[one.label] = found.get(one.label, 0) + 1
    return found


def instances(
    plane: NDArray[np.int32], divisor: int, name: Callable[[int], str | None]
) -> list[Instance]:
    """Return the objects of a map by class and number; `name` returns that of a class."""
    made = []
    for one in segments(plane, divisor):
        if one.instance:
            mask = plane == one.value
            rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
            left, top = int(columns[0]), int(rows[0])
            box = left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1
            made.append(Instance(one.label, name(one.label), one.instance, mask, box, one.area))
    return made
