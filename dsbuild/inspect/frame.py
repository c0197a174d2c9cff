"""Where classes lie in the frame, and how many connected regions of which size they form."""

import bisect
import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dsbuild.images import regions
from dsbuild.inspect.forms import FrameDocument

# Regions are counted by size: by the largest of these sides whose square they cover. A square of
# 32 and one of 96 pixels divide small, medium and large objects in COCO's measures.
SIDES = (1, *(side for k in range(1, 13) for side in (2**k, 3 * 2 ** (k - 1))))
_AREAS = np.array([side * side for side in SIDES])
SMALL, LARGE = SIDES.index(32), SIDES.index(96)


@dataclass(frozen=True)
class Frame:
    """What was counted over planes of classes; the counts of two parts add up.

    Attributes:
      planes: how many there are.
      places: (label value, cell of `images.regions.cells`) -> pixels.
      regions: (label value, index into `SIDES`) -> connected regions of that size.
    """

    planes: int = 0
    places: Counter[tuple[int, int]] = field(default_factory=Counter)
    regions: Counter[tuple[int, int]] = field(default_factory=Counter)

    def __add__(self, other: "Frame") -> "Frame":
        if not self.planes or not other.planes:  # nothing to copy
            return self if self.planes else other
        return total([self, other])


def total(parts: Iterable[Frame]) -> Frame:
    """Return the sum of parts."""
    planes = 0
    places: Counter[tuple[int, int]] = Counter()
    found: Counter[tuple[int, int]] = Counter()
    for part in parts:
        planes += part.planes
        places.update(part.places)
        found.update(part.regions)
    return Frame(planes, places, found)


def of(plane: NDArray[np.uint8]) -> Frame:
    """Return what one plane adds."""
    found = regions.regions(plane)
    sizes = np.searchsorted(_AREAS, found.pixels, "right") - 1
    counted = Counter(zip(found.value.tolist(), sizes.tolist(), strict=True))
    return Frame(1, Counter(regions.cells(plane)), counted)


def document(frame: Frame) -> FrameDocument:
    """Return counts as a JSON document."""
    cells = range(regions.CELLS**2)
    values = sorted({value for value, _ in frame.places})
    return {
        "planes": frame.planes,
        "places": [[value, *(frame.places[value, cell] for cell in cells)] for value in values],
        "regions": [[value, SIDES[i], n] for (value, i), n in sorted(frame.regions.items())],
    }


def parse(document: FrameDocument) -> Frame:
    """Return the counts in a document that `document` made."""
    places = Counter(
        {
            (value, cell): pixels
            for value, *row in document["places"]
            for cell, pixels in enumerate(row)
            if pixels
        }
    )
    counts = Counter({(value, SIDES.index(side)): n for value, side, n in document["regions"]})
    return Frame(document["planes"], places, counts)


def heat(frame: Frame) -> dict[int, list[float]]:
    """Return label value -> for each cell, the share of its pixels that have the value."""
    whole: Counter[int] = Counter()
    for (_, cell), pixels in frame.places.items():
        whole[cell] += pixels
    made: dict[int, list[float]] = {}
    for (value, cell), pixels in frame.places.items():
        shares = made.setdefault(value, [0.0] * regions.CELLS**2)
        shares[cell] = pixels / whole[cell]
    return made


def sizes(frame: Frame) -> dict[int, list[int]]:
    """Return label value -> how many of its regions have each size of `SIDES`."""
    made: dict[int, list[int]] = {}
    for (value, i), count in frame.regions.items():
        made.setdefault(value, [0] * len(SIDES))[i] += count
    return made


def median(counts: Sequence[int]) -> int:
    """Return the side of the region in the middle, by size; 0 if there is none.

    >>> median([0, 0, 5, 1])
    3
    """
    ends = list(itertools.accumulate(counts))
    if not ends or not ends[-1]:
        return 0
    side: int = SIDES[bisect.bisect_left(ends, (ends[-1] + 1) // 2)]
    return side
