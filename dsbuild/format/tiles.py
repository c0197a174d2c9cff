"""Tiles of large images: where they lie, what their records are called, which pixels they own.

A tile that would reach past an edge is moved inward, so that all tiles of an image have one size;
mmsegmentation cuts iSAID and Potsdam the same way. The key of a tile's record is that of its image
with the tile's first row and column, `berlin_y0000_x0448`.
"""

import itertools
import re
from collections.abc import Sequence
from typing import NamedTuple

ROLES = ("tile_y", "tile_x", "source_height", "source_width", "source_key")
_SUFFIX = re.compile(r"_y(\d{4,})_x(\d{4,})$")


class Tile(NamedTuple):
    """A rectangle of an image, in pixels."""

    top: int
    left: int
    height: int
    width: int

    @property
    def place(self) -> tuple[slice, slice]:
        """Its rows and columns."""
        return (
            slice(self.top, self.top + self.height),
            slice(self.left, self.left + self.width),
        )


def starts(size: int, tile: int, overlap: int) -> list[int]:
    """Return where tiles start along a side; the last one ends at the edge.

    >>> starts(2048, 512, 64), starts(1000, 512, 64), starts(300, 512, 64)
    ([0, 448, 896, 1344, 1536], [0, 448, 488], [0])
    """
    if size <= tile:
        return [0]
    return [*range(0, size - tile, tile - overlap), size - tile]


def grid(size: tuple[int, int], tile: int, overlap: int) -> list[Tile]:
    """Return the tiles of an image of this size, (h, w), row by row.

    A side that is shorter than a tile stays whole.
    """
    height, width = size
    return [
        Tile(top, left, min(tile, height), min(tile, width))
        for top in starts(height, tile, overlap)
        for left in starts(width, tile, overlap)
    ]


def key(source: str, tile: Tile, size: tuple[int, int]) -> str:
    """Return the key of a tile of an image of this size, (h, w).

    Tiles of one image sort row by row: all have as many digits as the image needs, at least 4.

    >>> key("berlin", Tile(0, 448, 512, 512), (1024, 2048))
    'berlin_y0000_x0448'
    """
    digits = max(4, len(str(max(size) - 1)))
    return f"{source}_y{tile.top:0{digits}}_x{tile.left:0{digits}}"


def source_of(key: str) -> str:
    """Return the key of the image that a tile is from.

    >>> source_of("berlin_y0000_x0448")
    'berlin'
    """
    return _SUFFIX.sub("", key)


def owned(starts: Sequence[int], length: int) -> list[tuple[int, int]]:
    """Return the range that each tile along a side contributes to the whole image.

    Where tiles overlap, each pixel belongs to the tile whose centre is nearer. `starts` is sorted;
    tiles are `length` long.

    >>> owned([0, 448, 488], 512)
    [(0, 480), (480, 724), (724, 1000)]
    """
    cuts = [(one + length + other) // 2 for one, other in itertools.pairwise(starts)]
    return list(itertools.pairwise([starts[0], *cuts, starts[-1] + length]))
