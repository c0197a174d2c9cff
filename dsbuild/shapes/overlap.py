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
    """An object: its mask, bool (h, w), its value in the plane, and what messages call it."""

    mask: Mask
    value: int
    name: str


def plane(
    shapes: Iterable[Shape], size: tuple[int, int], rule: str, background: int, ignore: int
) -> NDArray[np.uint8]:
    """Return the plane of shapes on a background: uint8 (h, w).

    Shapes with the value `ignore` are beneath all others: they never hide an object.
    """
    made = np.full(size, background, np.uint8)
    seen, hidden, clash = (np.zeros(size, bool) for _ in range(3))
    if rule == "area":
        shapes = sorted(shapes, key=lambda shape: -int(np.count_nonzero(shape.mask)))
    for shape in shapes:
        if shape.value == ignore:
            hidden |= shape.mask
            continue
        if rule in ("ignore", "reject"):
            twice = seen & shape.mask & (made != shape.value)
            if rule == "reject" and twice.any():
                raise ImageError(
                    f"{shape.name} overlaps an object of another class in "
                    f"{np.count_nonzero(twice):,} pixels; say who wins: --overlap order, area or "
                    "ignore"
                )
            clash |= twice
        made[shape.mask] = shape.value
        seen |= shape.mask
    made[clash | (hidden & ~seen)] = ignore
    return made
