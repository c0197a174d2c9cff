"""Objects of a plane of classes: its connected components, or all pixels of a class together.

Pixels that touch at a corner are connected, as contours of OpenCV have it.
"""

from collections.abc import Collection, Iterable, Iterator
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsbuild.shapes.runs import Mask

KINDS = ("components", "class")
Plane = NDArray[np.integer[Any]]


class Region(NamedTuple):
    """An object: its value, and its pixels within the smallest box that holds them.

    Attributes:
      value: of its pixels in the plane.
      top, left: where its box begins.
      mask: bool (h, w) of the box.
      crowd: whether these are objects that nobody told apart.
    """

    value: int
    top: int
    left: int
    mask: Mask
    crowd: bool = False

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, width and height in pixels."""
        return self.left, self.top, self.mask.shape[1], self.mask.shape[0]


def regions(
    plane: Plane,
    values: Iterable[int],
    kind: str = "components",
    numbers: Plane | None = None,
    counted: Collection[int] = (),
) -> Iterator[Region]:
    """Yield the objects of some values, by value, then by their first pixel, row by row.

    `numbers` are those of objects, from 1, for values that are `counted`; their pixels with the
    number 0 are a crowd.
    """
    for region, several in wholes(plane, values, kind, numbers, counted):
        yield from parts(region) if several else [region]


def wholes(
    plane: Plane,
    values: Iterable[int],
    kind: str = "components",
    numbers: Plane | None = None,
    counted: Collection[int] = (),
) -> Iterator[tuple[Region, bool]]:
    """Yield what `regions` does, but components of a value as one region, marked by True."""
    there = _values(plane)
    for value in values:
        whole = _boxed(plane == value, value) if value in there else None
        if whole is None:
            continue
        if numbers is not None and value in counted and kind == "components":
            yield from ((one, False) for one in _numbered(whole, numbers))
        else:
            yield whole, kind == "components"


def _numbered(whole: Region, numbers: Plane) -> Iterator[Region]:
    """Yield the objects of a region by their numbers, a crowd last."""
    left, top, width, height = whole.box
    inner = np.where(whole.mask, numbers[top : top + height, left : left + width] + 1, 0)
    order = sorted(number for number in np.unique(inner).tolist() if number > 1)
    for number in [*order, *([1] if (inner == 1).any() else [])]:
        found = _boxed(inner == number, whole.value)
        if found is not None:
            yield found._replace(top=found.top + top, left=found.left + left, crowd=number == 1)


def _values(plane: Plane) -> set[int]:
    """Return the values of a plane, from the ends of runs of equal pixels: masks have long ones."""
    flat = plane.reshape(-1)
    return {*flat[:1].tolist(), *np.unique(flat[1:][flat[1:] != flat[:-1]]).tolist()}


def parts(region: Region) -> list[Region]:
    """Return the connected components of a region, by their first pixel."""
    import cv2  # here, since few need it

    if region.mask.all():
        return [region]
    inside = region.mask.view(np.uint8)
    found, tree = cv2.findContours(inside, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    outer = [one for one, above in zip(found, tree[0, :, 3].tolist(), strict=True) if above < 0]
    if len(outer) == 1:
        return [region]
    # Boxes come from contours: the labelling that measures them, too, takes several times as long.
    _, labels = cv2.connectedComponents(inside, connectivity=8)
    parted = []
    for contour in outer:
        left, top, width, height = cv2.boundingRect(contour)
        column, row = contour[0, 0].tolist()
        mask = labels[top : top + height, left : left + width] == labels[row, column]
        first = (top, left + int(mask[0].argmax()))
        parted.append(
            (first, region._replace(top=region.top + top, left=region.left + left, mask=mask))
        )
    return [one for _, one in sorted(parted, key=itemgetter(0))]


def labelled(mask: Mask, numbers: Plane | None = None) -> tuple[int, NDArray[np.int32]]:
    """Return how many objects a mask has, and the number of each pixel's, from 1: (h, w).

    They are its components, unless `numbers` tell objects apart.
    """
    if numbers is not None:
        inner = np.where(mask, numbers + 1, 0)
        found, places = np.unique(inner, return_inverse=True)
        labels = places.reshape(mask.shape) + (found[0] > 0)
        return int(np.count_nonzero(found)), np.asarray(labels, np.int32)
    import cv2  # here, since few need it

    count, labels = cv2.connectedComponents(mask.view(np.uint8), connectivity=8)
    return count - 1, np.asarray(labels, np.int32)


def count(plane: Plane, value: int, kind: str = "components", numbers: Plane | None = None) -> int:
    """Return how many objects of a value a plane has; `numbers` are as in `labelled`."""
    mask = plane == value
    if kind == "class":
        return int(mask.any())
    if numbers is not None:
        return len(np.unique(numbers[mask]))
    import cv2  # here, since few need it

    # Much faster than numbering all pixels: only the edges of components are followed.
    _, tree = cv2.findContours(mask.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    return 0 if tree is None else int(np.count_nonzero(tree[0, :, 3] < 0))


def filled(mask: Mask) -> Mask:
    """Return a mask with its holes filled: bool (h, w)."""
    import cv2  # here, since few need it

    outer, _ = cv2.findContours(mask.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    plane = np.zeros(mask.shape, np.uint8)
    cv2.drawContours(plane, outer, -1, 1, cv2.FILLED)
    return plane.view(bool)


def _boxed(mask: Mask, value: int) -> Region | None:
    rows = np.flatnonzero(mask.any(1))
    if not rows.size:
        return None
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    columns = np.flatnonzero(mask[top:bottom].any(0))
    left, right = int(columns[0]), int(columns[-1]) + 1
    return Region(value, top, left, np.ascontiguousarray(mask[top:bottom, left:right]))
