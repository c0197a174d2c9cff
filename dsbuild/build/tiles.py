"""Cut a sample into the records of its tiles: an image is decoded once for all of them.

Tiles are stored as PNG, or as JPEG if `--jpeg-quality` says so; an image that is no larger than a
tile keeps its bytes. Extras are computed from each tile, as readers compute them.
"""

from collections.abc import Iterator

import numpy as np

from dsbuild import images, storage
from dsbuild.build import encode, panoptic
from dsbuild.build.encode import Encoded, Loaded
from dsbuild.build.image_policy import Admitted, Policy
from dsbuild.build.planes import Aligned
from dsbuild.build.recipe import Recipe
from dsbuild.format import tiles
from dsbuild.format.tiles import Tile
from dsbuild.layouts import Sample

# Of zlib: three times as fast as 6, for photos a tenth larger.
_LEVEL = 3


def records(
    sample: Sample, root: str, recipe: Recipe, read: storage.Read = storage.read
) -> Iterator[Encoded]:
    """Read a sample's files and yield its records: one, or one per tile; raise as `load` does.

    Nothing is yielded before the whole sample is checked.
    """
    if recipe.policy.tile is None:
        yield encode.encode(sample, root, recipe, read)
        return
    loaded = encode.load(sample, root, recipe, read)
    with encode.named(sample, storage.join(root, sample.image)):
        size = (loaded.image.head.height, loaded.image.head.width)
        for tile in recipe.policy.grid(size):
            part = sample._replace(key=tiles.key(sample.key, tile, size))
            yield encode.encoded(part, _cut(sample, loaded, tile, recipe), recipe)


def _cut(sample: Sample, loaded: Loaded, tile: Tile, recipe: Recipe) -> Loaded:
    """Return a tile of a sample as a sample of its own."""
    whole = loaded.image
    assert whole.pixels is not None, "a sample is loaded with its pixels, to be cut"
    policy, pixels = recipe.policy, whole.pixels[tile.place]
    image = _stored(whole, pixels, policy)
    seen = None
    if recipe.roles("image"):
        lossless = policy.jpeg_quality is None
        seen = _colours(pixels) if lossless else images.decode(image.data, image.head, strict=True)
    values: dict[str, bytes | int] = {
        "tile_y": tile.top,
        "tile_x": tile.left,
        "source_height": whole.head.height,
        "source_width": whole.head.width,
        "source_key": sample.key.encode(),
    }
    planes = {name: np.ascontiguousarray(p[tile.place]) for name, p in loaded.planes.items()}
    counts = {}
    divisor = recipe.layout.divisor
    if divisor is not None and "panoptic" in planes:
        # Objects keep the numbers that they have in the whole image.
        values |= panoptic.values(planes["panoptic"], divisor)
    elif "label" in planes:
        values |= {"label": images.write(planes["label"]), "label.format": b"png"}
    if "label" in planes and recipe.verify != "header":  # which counts no pixels, as without tiles
        counts = images.histogram(planes["label"])
    return loaded._replace(
        image=image,
        pixels=seen,
        label=values,
        planes=planes,
        aligned=_parts(loaded, tile, whole),
        counts=counts,
    )


def _parts(loaded: Loaded, tile: Tile, whole: Admitted) -> dict[str, Aligned]:
    """Return what a tile shows of each plane; one that is not cut keeps its bytes."""
    if (tile.height, tile.width) == (whole.head.height, whole.head.width):
        return dict(loaded.aligned)
    return {name: Aligned(one.pixels[tile.place], None) for name, one in loaded.aligned.items()}


def _stored(whole: Admitted, pixels: np.ndarray, policy: Policy) -> Admitted:
    """Return a tile's image; an image that is one tile and was not changed keeps its bytes."""
    if whole.pixels is not None and pixels.shape == whole.pixels.shape and not whole.changes:
        return whole
    data = images.deep.encode(pixels, policy.jpeg_quality, _LEVEL)
    head = images.header(data)
    return Admitted(data, head, (head.height, head.width), whole.changes)


def _colours(pixels: np.ndarray) -> np.ndarray:
    """Return pixels in their own channels as RGB, as `images.decode` does."""
    if pixels.ndim == 2 or pixels.shape[2] < 3:
        grey = pixels if pixels.ndim == 2 else pixels[..., 0]
        return np.repeat(grey[..., None], 3, axis=2)
    return np.ascontiguousarray(pixels[..., :3])
