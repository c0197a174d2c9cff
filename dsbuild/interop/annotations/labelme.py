"""LabelMe: a JSON file beside each image, with a shape per object.

    <split>/<key>.jpg      <split>/<key>.json
    labels.txt             __ignore__, _background_, then the classes

Shapes are masks, or polygons through the centres of pixels, as Pillow draws them. Pixels that are
ignored are a shape of their own, `__ignore__`. Parts of one object have one `group_id`.

Source: wkentaro/labelme (examples, label_file.py).
"""

import base64
import itertools
import json
import posixpath
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from dsbuild import images
from dsbuild.errors import PlanError
from dsbuild.interop.annotations.base import Drawn, Rows
from dsbuild.interop.annotations.picture import Picture
from dsbuild.interop.annotations.shaped import POLYGONS, Shaped, facts
from dsbuild.layouts import Layout
from dsbuild.layouts.labelme import BACKGROUND, IGNORED, NAMES, LabelMe, read_labels
from dsbuild.shapes import components, contours
from dsbuild.shapes.components import Region
from dsbuild.storage import join

_VERSION = "5.5.0"  # of LabelMe; it has masks, and later ones read its files
_IGNORED = 255


@dataclass(frozen=True)
class LabelMeTree(Shaped):
    """Shapes in JSON files beside images."""

    name: ClassVar[str] = "labelme"
    roles: ClassVar[bool] = True
    holds_ignored: ClassVar[bool] = True
    choices: ClassVar[tuple[str, ...]] = ("masks", POLYGONS)
    most: ClassVar[int] = 254
    oriented: ClassVar[range] = range(2, 9)

    def refuse(self) -> None:
        """Raise PlanError if a class has a name that LabelMe gives a meaning of its own."""
        super().refuse()
        taken = [name for name in self.names if name in (IGNORED, BACKGROUND)]
        if taken:
            raise PlanError(
                f"--to {self.name}: found a class named {taken[0]}, which has a meaning of its own "
                "in labels.txt; build again with other names"
            )

    def values(self) -> Mapping[int, int]:
        """Return the background as 0, the other classes from 1 on, and 255 for ignored pixels."""
        found = {**super().values()}
        return found if self.about.ignore is None else {**found, self.about.ignore: _IGNORED}

    def image(self, one: Picture) -> str:
        """Return the path of a record's image in the target."""
        return f"{one.split}/{one.stem}.{one.ending}"

    def draw(self, one: Picture) -> Drawn:
        """Return the JSON file of a record."""
        shapes, found = list[dict[str, Any]](), list[str]()
        if self.shapes != POLYGONS:
            regions = itertools.chain(self.regions(one), self._ignored(one))
            shapes += [shape(self._label(each.value), each) for each in regions]
        else:
            ignored = (
                (each.value, contours.polygons(each.mask, (each.left, each.top)))
                for each in self._ignored(one)
            )
            objects = itertools.chain(self.polygons(one), ignored)
            for number, (value, parts) in enumerate(objects):
                group = number if len(parts) > 1 else None
                for part in parts:
                    found += ["holes"] * (part.holes > 0) + ["points"] * part.repeated
                    points = part.points.tolist()
                    shapes.append(_shape(self._label(value), group, "polygon", points, {}))
        document: dict[str, Any] = {
            "version": _VERSION,
            "flags": {},
            "shapes": shapes,
            "imagePath": posixpath.basename(self.image(one)),
            "imageData": None,
            "imageHeight": one.size[0],
            "imageWidth": one.size[1],
        }
        data = json.dumps(document, indent=1).encode()
        return Drawn({f"{one.split}/{one.stem}.json": data}, facts=facts(found))

    def _label(self, value: int) -> str:
        return IGNORED if value == self.about.ignore else self.about.classes[value]

    def _ignored(self, one: Picture) -> Iterator[Region]:
        """Yield all ignored pixels of a record as one object."""
        if self.about.ignore is not None:
            yield from components.regions(one.labelled[1], [self.about.ignore], "class")

    def whole(self, rows: Rows) -> Iterable[tuple[str, Iterator[bytes]]]:
        """Yield labels.txt."""
        names = (IGNORED, BACKGROUND, *self.names)
        yield NAMES, iter([("\n".join(names) + "\n").encode()])

    def layout(self, root: str) -> Layout:
        """Return the layout of LabelMe."""
        return LabelMe(names=read_labels(join(root, NAMES)))


def shape(label: str, region: Region) -> dict[str, Any]:
    """Return an object as a shape that is a mask."""
    return _shape(label, None, *_mask(region))


def _mask(region: Region) -> tuple[str, list[list[int]], dict[str, str]]:
    """Return kind, corners and mask of an object, as a shape has them."""
    left, top, width, height = region.box
    data = images.write(region.mask.astype(np.uint8))
    corners = [[left, top], [left + width - 1, top + height - 1]]
    return "mask", corners, {"mask": base64.b64encode(data).decode()}


def _shape(
    label: str, group: int | None, kind: str, points: list[list[int]], more: Mapping[str, str]
) -> dict[str, Any]:
    return {
        "label": label,
        "points": points,
        "group_id": group,
        "description": "",
        "shape_type": kind,
        "flags": {},
        **more,
    }
