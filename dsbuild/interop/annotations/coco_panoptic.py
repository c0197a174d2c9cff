"""Panoptic COCO: a PNG of segment ids per image, and what each segment is.

    <split>/<key>.jpg
    annotations/panoptic_<split>.json          images, annotations, categories
    annotations/panoptic_<split>/<key>.png     R + 256 G + 65536 B is the id of a segment

Every class is a category, with its index plus 1 as id; the background is one of stuff. Pixels that
are ignored are void, 0. With `--objects class` all categories are stuff, of one segment each.

Source: cocodataset.org, format-data; cocodataset/panopticapi.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dsbuild.images import encode
from dsbuild.interop.annotations.base import Drawn, Rows
from dsbuild.interop.annotations.coco import described, dumped, images, labelled, opening
from dsbuild.interop.annotations.picture import Picture
from dsbuild.interop.annotations.shaped import Shaped
from dsbuild.layouts import Layout
from dsbuild.layouts.coco import Coco
from dsbuild.shapes import components

VOID = 255


@dataclass(frozen=True)
class Panoptic(Shaped):
    """Segments in PNGs and JSON files."""

    name: ClassVar[str] = "coco-panoptic"
    holds_ignored: ClassVar[bool] = True
    most: ClassVar[int] = 254

    def values(self) -> Mapping[int, int]:
        """Return the values as they are, and void for those that are ignored."""
        found = {value: i for i, value in enumerate(self._kinds)}
        return found if self.about.ignore is None else {**found, self.about.ignore: VOID}

    @property
    def _kinds(self) -> list[int]:
        """The classes that are categories: all but one that is ignored."""
        return [i for i in range(len(self.about.classes)) if i != self.about.ignore]

    def image(self, one: Picture) -> str:
        """Return the path of a record's image in the target."""
        return f"{one.split}/{one.stem}.{one.ending}"

    def draw(self, one: Picture) -> Drawn:
        """Return the PNG of a record's segments, and their list."""
        plane = one.labelled[1]
        ids, segments = np.zeros(plane.shape, np.uint32), []
        stuff = tuple(i for i in self._kinds if i == self.about.background)
        if self.about.counted:  # what is no thing is one segment
            stuff = tuple(i for i in self._kinds if i not in self.about.counted)
        objects = (one for one in self.regions(one) if one.value not in stuff)
        found = [*components.regions(plane, stuff, "class"), *objects]
        for number, region in enumerate(found, 1):
            left, top, width, height = region.box
            ids[top : top + height, left : left + width][region.mask] = number
            segments.append({"id": number, **described(region, region.value + 1)})
        pixels = np.stack([ids & 255, ids >> 8 & 255, ids >> 16], 2).astype(np.uint8)
        body = dumped({"file_name": f"{one.stem}.png", "segments_info": segments})[1:]
        path = f"annotations/panoptic_{one.split}/{one.stem}.png"
        return Drawn({path: encode(pixels)}, body)

    def whole(self, rows: Rows) -> Iterable[tuple[str, Iterator[bytes]]]:
        """Yield the JSON file of each split with labels."""
        for split in self.about.splits:
            if labelled(rows, split):
                yield f"annotations/panoptic_{split}.json", self._document(rows, split)

    def _document(self, rows: Rows, split: str) -> Iterator[bytes]:
        about = self.about
        things = (about.counted or about.things) if self.objects == "components" else ()
        kinds = [
            {
                "id": i + 1,
                "name": about.classes[i],
                "supercategory": "",
                "isthing": int(i in things),
            }
            | ({"color": list(about.palette[i])} if i in about.palette else {})
            for i in self._kinds
        ]
        yield from opening(self.about, kinds)
        yield from images(self.about, rows, split, f"{split}/")
        yield b'],\n"annotations":['
        for number, row in enumerate(rows(split), 1):
            comma = ",\n" if number > 1 else "\n"
            yield f'{comma}{{"image_id":{number},{row.piece}'.encode()
        yield b"]}\n"

    def layout(self, root: str) -> Layout:
        """Return the layout of COCO, for panoptic segments."""
        return Coco(labels="panoptic").bind(root)
