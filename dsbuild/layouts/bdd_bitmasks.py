"""Bitmasks of BDD100K: RGBA PNGs that hold a category, its flags and an instance per pixel.

    R    category 1 to 40; 0 for none
    G    truncated << 3 | occluded << 2 | crowd << 1 | ignore
    B    instance >> 8
    A    instance & 255

Source: bdd100k/bdd100k (doc/source/format.rst, bdd100k/configs/pan_seg.toml).
"""

from typing import TYPE_CHECKING

from dsbuild.errors import ImageError
from dsbuild.layouts import panoptic

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dsbuild.images.labels import Label

NAMES = tuple(
    """dynamic,ego vehicle,ground,static,parking,rail track,road,sidewalk,bridge,building,fence,
garage,guard rail,tunnel,wall,banner,billboard,lane divider,parking sign,pole,polegroup,
street light,traffic cone,traffic device,traffic light,traffic sign,traffic sign frame,terrain,
vegetation,sky,person,rider,bicycle,bus,car,caravan,motorcycle,trailer,train,truck""".replace(
        "\n", ""
    ).split(",")
)
THINGS = tuple(range(31, 41))  # person to truck
_IGNORE, _CROWD = 1, 2  # flags


def classes(data: bytes) -> "Label":
    """Return the class of every pixel: its category less 1, and 255 for none."""
    import numpy as np

    from dsbuild.images import labels

    pixels = _pixels(data)
    there = (pixels[..., 0] > 0) & (pixels[..., 1] & _IGNORE == 0)
    return labels.of(np.where(there, pixels[..., 0] - np.uint8(1), 255).astype(np.uint8))


def label(data: bytes, divisor: int, ignores_crowds: bool) -> "Label":
    """Return the panoptic label; objects of a category are numbered in the order of instances."""
    import numpy as np

    pixels = _pixels(data).astype(np.int64)
    kinds, flags = pixels[..., 0], pixels[..., 1]
    numbers = pixels[..., 2] << 8 | pixels[..., 3]
    there = (kinds > 0) & (flags & _IGNORE == 0)
    crowd = (flags & _CROWD) >> 1
    # By category, then crowds last; an instance has one category.
    ids = np.where(there, (kinds << 17 | crowd << 16 | numbers) + 1, 0)
    parts = []
    for one in np.unique(ids[ids > 0]).tolist():
        kind, is_crowd = (one - 1) >> 17, bool((one - 1) >> 16 & 1)
        parts.append(panoptic.Part(one, kind, is_crowd and kind in THINGS))
    return panoptic.label(ids, parts, THINGS, 0, divisor, ignores_crowds)


def _pixels(data: bytes) -> "NDArray[np.uint8]":
    """Return the four channels, uint8 (h, w, 4); raise ImageError for anything else."""
    import numpy as np

    from dsbuild import images

    head = images.class_header(data)
    if head.model != "rgba" or head.bits != 8:
        raise ImageError(
            f"found a bitmask in {head.model} of {head.bits} bits; expected RGBA, with the "
            "category in red"
        )
    pixels = images.own(data, head).astype(np.uint8)
    if pixels[..., 0].max() > len(NAMES):
        raise ImageError(
            f"found the category {pixels[..., 0].max()}; expected 0 to {len(NAMES)}",
            kind="values",
        )
    return pixels
