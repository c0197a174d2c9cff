"""One shape of LabelMe as a mask: polygons and others as Pillow draws them, bitmaps in their box.

Source: wkentaro/labelme, utils/shape.py.
"""

import base64
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dsbuild.errors import ImageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def mask(one: Mapping[str, Any], size: tuple[int, int]) -> "NDArray[np.bool_]":
    """Return the pixels of a shape in an image of this size, bool (h, w); raise ImageError."""
    from dsbuild import images
    from dsbuild.shapes import pillow

    points = [(float(x), float(y)) for x, y in one["points"]]
    kind = one.get("shape_type") or "polygon"
    if kind != "mask":
        return pillow.mask(kind, points, size)
    data = base64.b64decode(one["mask"], validate=True)
    inner = images.decode(data, images.header(data))[..., 0] > 0
    sides = [math.trunc(end) - math.trunc(start) + 1 for start, end in zip(*points, strict=True)]
    if len(points) != 2 or any(abs(a - b) > 1 for a, b in zip(sides, inner.T.shape, strict=True)):
        raise ImageError(
            f"found a mask of {inner.shape[1]} x {inner.shape[0]} pixels in the box {points}; "
            "expected it to fill the box"
        )
    return pillow.boxed(inner, points[0], size)
