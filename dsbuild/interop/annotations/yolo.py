"""YOLO segmentation: a polygon per object and line, as Ultralytics draws them.

    images/<split>/<key>.jpg
    labels/<split>/<key>.txt      class x1 y1 x2 y2 ..., relative to width and height
    data.yaml

Polygons go through the centres of pixels, so that cv2.fillPoly draws the object itself, holes
included: a bridge of no width leads to each of them. With `--objects class` bridges lead through
what is between the parts, too, and are drawn. Pixels that are ignored become background.

Source: Ultralytics 8.4 (data/utils.py, data/dataset.py).
"""

import collections
import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dsbuild.interop.annotations import yaml
from dsbuild.interop.annotations.base import Drawn, Rows
from dsbuild.interop.annotations.picture import Picture
from dsbuild.interop.annotations.shaped import Shaped, facts
from dsbuild.layouts import Layout
from dsbuild.layouts.yolo import Yolo
from dsbuild.shapes import contours
from dsbuild.shapes.contours import Points


@dataclass(frozen=True)
class YoloTree(Shaped):
    """Polygons in text files."""

    name: ClassVar[str] = "yolo"
    roles: ClassVar[bool] = True
    most: ClassVar[int] = 254
    oriented: ClassVar[range] = Yolo.oriented
    first: ClassVar[int] = 0

    @property
    def uncovered(self) -> int:
        """The value of pixels that no polygon covers: it follows the classes."""
        return len(self.names)

    def image(self, one: Picture) -> str:
        """Return the path of a record's image in the target."""
        return f"images/{one.split}/{one.below_images}.{one.ending}"

    def draw(self, one: Picture) -> Drawn:
        """Return the lines of a record's objects."""
        lines, found, values = list[str](), list[str](), self.values()
        boxes = collections.Counter[tuple[int, ...]]()  # class and corners
        for value, parts in self.polygons(one):
            found += ["holes" for part in parts if part.holes]
            found += ["points" for part in parts if part.repeated]
            found += ["bridges"] * (len(parts) > 1)
            points = contours.joined([part.points for part in parts])
            box = (value, *points.min(0).tolist(), *points.max(0).tolist())
            lines.append(_line(values[value], points, one.size, boxes[box]))
            boxes[box] += 1
        path = f"labels/{one.split}/{one.below_images}.txt"
        return Drawn({path: "".join(lines).encode()}, facts=facts(found))

    def whole(self, rows: Rows) -> Iterable[tuple[str, Iterator[bytes]]]:
        """Yield data.yaml."""
        splits = {name: f"images/{name}" for name in self.about.splits}
        yield yaml.NAME, yaml.data(self.about, splits, self.names, {})

    def layout(self, root: str) -> Layout:
        """Return the layout of YOLO, for polygons."""
        return Yolo(labels="polygons").bind(root)


def _line(value: int, points: Points, size: tuple[int, int], twins: int) -> str:
    """Return the line of an object; the centres of pixels stay in them when they are cut.

    Ultralytics drops an object of the same class and box as another, so `twins`, the number of
    such objects before, moves this one within its pixels.
    """
    height, width = size
    across, down = _texts(width, twins), _texts(height, twins)
    texts = [str(value)] * (1 + points.size)
    texts[1::2] = map(across.__getitem__, points[:, 0].tolist())
    texts[2::2] = map(down.__getitem__, points[:, 1].tolist())
    return f"{' '.join(texts)}\n"


@functools.lru_cache(maxsize=64)  # images of a data set have few sizes
def _texts(side: int, twins: int) -> list[str]:
    """Return the text of all coordinates along a side."""
    return list(map("{:.6f}".format, ((np.arange(side) + 0.5 / (twins + 1)) / side).tolist()))
