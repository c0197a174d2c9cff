"""Draw LabelMe's shapes with Pillow, as LabelMe's own exporters do.

Source: LabelMe's documented shapes: lines are 10 pixels wide, points have a radius of 5.
"""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from dsbuild.errors import ImageError
from dsbuild.shapes.runs import Mask

Point = tuple[float, float]

WIDTH, RADIUS = 10, 5  # of lines and points
_FAR = 1e6  # pixels; coordinates beyond it are refused
# Kind -> how many points it has: at least, and at most if that is another number.
_POINTS = {
    "polygon": (3, None),
    "rectangle": (2, 2),
    "oriented_rectangle": (4, 4),
    "circle": (2, 2),
    "line": (2, 2),
    "linestrip": (2, None),
    "point": (1, 1),
}


def mask(kind: str, points: Sequence[Point], size: tuple[int, int]) -> Mask:
    """Return the mask of a shape in an image of size (h, w): bool (h, w).

    Raises ImageError for a kind that is unknown or has another number of points.
    """
    if kind not in _POINTS:
        raise ImageError(f"found a shape of type {kind!r}; expected one of {', '.join(_POINTS)}")
    least, most = _POINTS[kind]
    if len(points) < least or (most is not None and len(points) > most):
        raise ImageError(
            f"found a {kind} of {len(points)} points; expected {least}"
            f"{' or more' if most is None else ''}"
        )
    if not all(abs(x) <= _FAR and abs(y) <= _FAR for x, y in points):
        raise ImageError(f"found a {kind} with coordinates far outside the image")
    image = Image.new("1", size[::-1])
    pen = ImageDraw.Draw(image)
    x, y = points[0]
    if kind == "circle":
        radius = math.dist(points[0], points[1])
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=1, outline=1)
    elif kind == "rectangle":
        (left, right), (top, bottom) = (sorted(pair) for pair in zip(*points, strict=True))
        pen.rectangle((left, top, right, bottom), fill=1, outline=1)
    elif kind in ("line", "linestrip"):
        pen.line(list(points), fill=1, width=WIDTH)
    elif kind == "point":
        pen.ellipse((x - RADIUS, y - RADIUS, x + RADIUS, y + RADIUS), fill=1, outline=1)
    else:
        pen.polygon(list(points), fill=1, outline=1)
    return np.array(image, bool)


def boxed(inner: Mask, corner: Point, size: tuple[int, int]) -> Mask:
    """Return a mask that lies in an image with its upper left pixel at a corner: bool (h, w).

    What is outside the image is cut off.
    """
    left, top = (math.trunc(value) for value in corner)
    height, width = inner.shape
    whole = np.zeros(size, bool)
    rows = slice(max(0, top), min(size[0], top + height))
    columns = slice(max(0, left), min(size[1], left + width))
    if rows.start < rows.stop and columns.start < columns.stop:
        cut = inner[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
        whole[rows, columns] = cut
    return whole
