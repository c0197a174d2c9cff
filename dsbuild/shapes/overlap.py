"""Put the masks of objects into one plane: who wins where objects of several classes overlap.

    order       later objects cover earlier ones
    area        smaller objects cover larger ones
    ignore      pixels of several classes are ignored
    reject      such pixels are an error

Objects of the same class may overlap by every rule.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsbuild.errors import ImageError
from dsbuild.shapes.runs import Mask

RULES = ("order", "area", "ignore", "reject")


class Shape(NamedTuple):
    """An object in a plane.

    Attributes:
      mask: its pixels, bool (h, w); of the whole plane, or of a box in it.
      value: its value in the plane.
      name: what messages call it.
      beneath: whether all other objects cover it.
      corner: where the first pixel of its mask lies in the plane, x and y.
    """

    mask: Mask
    value: int
    name: str
    beneath: bool = False
    corner: tuple[int, int] = (0, 0)

    @property
    def box(self) -> tuple[slice, slice]:
        """The rows and columns of the plane that the mask is of."""
        (left, top), (height, width) = self.corner, self.mask.shape
        return slice(top, top + height), slice(left, left + width)


def plane(
    shapes: Iterable[Shape], size: tuple[int, int], rule: str, background: int, ignore: int
) -> NDArray[np.uint8]:
    """Return the plane of shapes on a background: uint8 (h, w)."""
    made = np.full(size, background, np.uint8)
    _draw(made, shapes, rule, ignore, 1)
    return made


def objects(
    shapes: Iterable[Shape], size: tuple[int, int], rule: str, ignore: int, step: int
) -> NDArray[np.int32]:
    """Return the plane of shapes whose values are class * step + object: int32 (h, w), 0 below."""
    made = np.zeros(size, np.int32)
    _draw(made, shapes, rule, ignore, step)
    return made


def _draw(
    made: NDArray[np.uint8] | NDArray[np.int32],
    shapes: Iterable[Shape],
    rule: str,
    ignore: int,
    step: int,
) -> None:
    """Draw shapes into a plane (h, w), in which a class has `step` values."""
    size = made.shape
    seen, clash = np.zeros(size, bool), np.zeros(size, bool)
    below: list[Shape] = []
    if rule == "area":
        shapes = sorted(shapes, key=lambda shape: -int(np.count_nonzero(shape.mask)))
    for shape in shapes:
        if shape.beneath:
            below.append(shape)
            continue
        box = shape.box
        if rule in ("ignore", "reject"):
            twice = seen[box] & shape.mask & (made[box] // step != shape.value // step)
            if rule == "reject" and twice.any():
                raise ImageError(
                    f"{shape.name} overlaps an object of another class in "
                    f"{np.count_nonzero(twice):,} pixels; say who wins: --overlap order, area or "
                    "ignore"
                )
            clash[box] |= twice
        np.copyto(made[box], shape.value, where=shape.mask)
        seen[box] |= shape.mask
    made[clash] = ignore
    for shape in below:
        np.copyto(made[shape.box], shape.value, where=shape.mask & ~seen[shape.box])
