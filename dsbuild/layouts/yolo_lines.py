"""Read the polygons in a text file of YOLO: `class x1 y1 x2 y2 ...`, relative to the image.

Source: Ultralytics 8.4 (data/utils.py).
"""

import math
from collections.abc import Iterator

from dsbuild.errors import ImageError

_LEAST, _MOST = -0.01, 1.01  # coordinates that Ultralytics accepts


def polygons(data: bytes, classes: int) -> Iterator[tuple[int, int, list[float]]]:
    """Yield the line, class and relative coordinates of the polygons in a text file.

    Raises ImageError for a line that is no polygon of these `classes`.
    """
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ImageError("found bytes that are not UTF-8 text; expected polygons") from error
    for number, line in enumerate(lines, 1):
        if line.split():
            yield number, *_polygon(line, number, classes)


def _polygon(line: str, number: int, classes: int) -> tuple[int, list[float]]:
    """Return the class and the relative coordinates of a line; raise ImageError if it is none."""
    where = f"line {number}"
    try:
        value, *points = map(float, line.split())
    except ValueError:
        raise ImageError(f"{where}: found {line[:40]!r}; expected numbers") from None
    if not value.is_integer() or not 0 <= value < classes:
        one = " (classes count from 0)" if value == classes else ""
        raise ImageError(
            f"{where}: found the class {value:g}; expected 0 to {classes - 1}{one}", kind="values"
        )
    if len(points) == 4:
        raise ImageError(
            f"{where}: found a box, which is no polygon; expected `class x1 y1 x2 y2 x3 y3 ...`: "
            "these may be labels for detection"
        )
    if len(points) < 6 or len(points) % 2:
        raise ImageError(
            f"{where}: found {len(points)} coordinates; expected pairs, of 3 points or more"
        )
    if not (min(points) >= _LEAST and max(points) <= _MOST and math.isfinite(sum(points))):
        far = [point for point in points if not _LEAST <= point <= _MOST]
        raise ImageError(
            f"{where}: found the coordinate {far[0]:g}; expected 0 to 1, relative to width and "
            "height"
        )
    return int(value), points
