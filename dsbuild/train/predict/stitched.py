"""Predict an image from the tiles of a folder of TFRecords, and put the results together.

Tiles are predicted one by one. Where they overlap, each pixel is taken from the tile whose centre
is nearer, since a prediction is worst at the edge of what the model sees. Only the classes of the
whole image are held in memory, not its probabilities, unless these are to be written.
"""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from dsbuild.errors import TrainError
from dsbuild.format import tiles
from dsbuild.format.tiles import Tile
from dsbuild.reader import Reader
from dsbuild.reader.sample import Sample
from dsbuild.storage import safe_text
from dsbuild.storage.spool import batches
from dsbuild.train.predict.outputs import (
    Image,
    Plane,
    Wanted,
    looked,
    prediction_size,
    resized,
    resized_back,
)
from dsbuild.train.predict.predictor import Predictor
from dsbuild.train.predict.sources import Piece, Source

Stitched = tuple[Image, Plane, NDArray[np.float32] | None]


def is_tile(sample: Sample) -> bool:
    """Tell whether a sample is a tile of a larger image."""
    return all(role in sample for role in tiles.ROLES)


def find(samples: Reader, path: str, split: str) -> tuple[Source, ...]:
    """Return the images that a reader has tiles of, each named by its key.

    Raises TrainError for an image of which some tiles are missing.
    """
    by_key: dict[str, list[tuple[Tile, int]]] = {}
    sizes: dict[str, tuple[int, int]] = {}
    for number in range(len(samples)):
        one = samples[number]
        tile = Tile(one.tile_y, one.tile_x, one.height, one.width)
        by_key.setdefault(one.source_key, []).append((tile, number))
        sizes[one.source_key] = one.source_height, one.source_width
    found = []
    for key, mine in by_key.items():
        pieces = tuple(_pieces(mine, sizes[key]))
        if not pieces:
            raise TrainError(
                f"{path}: found {len(mine)} of the tiles of {key!r} in {split!r}, expected all of "
                "them; name a part of the data that holds whole images, such as a split"
            )
        found.append(Source(f"{path}: {key}", safe_text.path(key), pieces=pieces, samples=samples))
    return tuple(found)


def _pieces(tiles_of: Sequence[tuple[Tile, int]], size: tuple[int, int]) -> Iterator[Piece]:
    """Yield what each tile contributes to an image; nothing if its tiles do not cover it."""
    numbers = {(tile.top, tile.left): number for tile, number in tiles_of}
    tops, lefts = (sorted({place[axis] for place in numbers}) for axis in (0, 1))
    shapes = {(tile.height, tile.width) for tile, _ in tiles_of}
    if len(shapes) != 1 or numbers.keys() != {*itertools.product(tops, lefts)}:
        return
    ((height, width),) = shapes
    if not (_covers(tops, height, size[0]) and _covers(lefts, width, size[1])):
        return
    for top, rows in zip(tops, tiles.owned(tops, height), strict=True):
        for left, columns in zip(lefts, tiles.owned(lefts, width), strict=True):
            yield Piece(
                numbers[top, left],
                (slice(*rows), slice(*columns)),
                (
                    slice(rows[0] - top, rows[1] - top),
                    slice(columns[0] - left, columns[1] - left),
                ),
            )


def _covers(starts: Sequence[int], length: int, size: int) -> bool:
    """Tell whether tiles along a side cover it without a gap."""
    gaps = any(other > one + length for one, other in itertools.pairwise(starts))
    return starts[0] == 0 and starts[-1] + length == size and not gaps


def predicted(predictor: Predictor, source: Source, wanted: Wanted) -> Stitched:
    """Return an image that is put together from its tiles, its classes, and its probabilities.

    The last are None unless they are to be written.
    """
    samples, pieces = source.samples, source.pieces
    assert samples is not None, "an image of pieces has a reader of them"
    height, width = (max(piece.whole[axis].stop for piece in pieces) for axis in (0, 1))
    image = np.empty((height, width, 3), np.uint8)
    plane: Plane | None = None
    shares = None
    for some in batches(pieces, wanted.batch):
        found = [samples[piece.number].image for piece in some]
        size = prediction_size(found[0], wanted)
        planes, likely = looked(
            predictor, np.stack([resized(one, size) for one in found]), wanted.probabilities
        )
        for piece, pixels, classes, share in zip(some, found, planes, likely, strict=True):
            seen = predictor.picture(pixels) if pixels.dtype == np.uint16 else pixels
            image[piece.whole] = seen[piece.inner]
            mine = resized_back(classes, pixels)
            plane = np.empty((height, width), mine.dtype) if plane is None else plane
            plane[piece.whole] = mine[piece.inner]
            if share is not None:
                if shares is None:
                    shares = np.empty((height, width, share.shape[-1]), np.float32)
                shares[piece.whole] = share[piece.inner]
    assert plane is not None, "an image has pieces"
    return image, plane, shares
