"""COCO: objects as run lengths or polygons, in one JSON file per split.

    <split>/<key>.jpg
    annotations/instances_<split>.json      images, annotations, categories
    annotations/image_info_<split>.json     of a split without labels: images and categories

Run lengths hold every object with its holes. Polygons go along the edges of pixels, with bridges
of no width to holes, so that pycocotools draws the same. Pixels that are ignored become
background. The background is no category; the others have ids from 1 on, in their order.

Source: cocodataset.org, format-data.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from dsbuild.interop.annotations.about import About
from dsbuild.interop.annotations.base import Drawn, Row, Rows
from dsbuild.interop.annotations.picture import Picture
from dsbuild.interop.annotations.shaped import POLYGONS, Shaped, facts, rings
from dsbuild.layouts import Layout
from dsbuild.layouts.coco import Coco
from dsbuild.shapes import encoded, runs
from dsbuild.shapes.components import Region
from dsbuild.shapes.encoded import Encoded


@dataclass(frozen=True)
class CocoTree(Shaped):
    """Instances in JSON files."""

    name: ClassVar[str] = "coco"
    choices: ClassVar[tuple[str, ...]] = ("masks", POLYGONS)
    most: ClassVar[int] = 254

    def image(self, one: Picture) -> str:
        """Return the path of a record's image in the target."""
        return f"{one.split}/{one.stem}.{one.ending}"

    def draw(self, one: Picture) -> Drawn:
        """Return the annotations of a record's objects, without their ids."""
        values, found = self.values(), list[str]()
        if self.shapes != POLYGONS:
            return Drawn({}, self._masks(one))
        bodies = []
        for region in self.regions(one):
            polygons, more = rings(region)
            found += more
            entry = {**described(region, values[region.value]), "segmentation": polygons}
            bodies.append(dumped(entry)[1:])
        return Drawn({}, bodies, facts(found))

    def _masks(self, one: Picture) -> list[str]:
        """Return the annotations of a record's objects as run lengths."""
        values, objects, entries = self.values(), list[Encoded](), list[dict[str, Any]]()
        for region, several in self.wholes(one):
            parts = (
                encoded.parts(region, one.size) if several else [encoded.whole(region, one.size)]
            )
            objects += parts
            for each in parts:
                entries.append(_entry(values[region.value], region.crowd, each.area, each.box))
        texts = runs.compressed([each.counts for each in objects])
        return [
            dumped({**entry, "segmentation": {"size": [*one.size], "counts": text}})[1:]
            for entry, text in zip(entries, texts, strict=True)
        ]

    def whole(self, rows: Rows) -> Iterable[tuple[str, Iterator[bytes]]]:
        """Yield the JSON file of each split."""
        for split in self.about.splits:
            kind = "instances" if labelled(rows, split) else "image_info"
            yield f"annotations/{kind}_{split}.json", self._document(rows, split)

    def _document(self, rows: Rows, split: str) -> Iterator[bytes]:
        kinds = [
            {"id": i, "name": name, "supercategory": ""} for i, name in enumerate(self.names, 1)
        ]
        yield from opening(self.about, kinds)
        yield from images(self.about, rows, split, f"{split}/")
        if not labelled(rows, split):
            yield b"]}\n"
            return
        yield b'],\n"annotations":['
        number = 0
        for image, row in enumerate(rows(split), 1):
            for body in row.piece or ():
                comma = ",\n" if number else "\n"
                number += 1
                yield f'{comma}{{"id":{number},"image_id":{image},{body}'.encode()
        yield b"]}\n"

    def layout(self, root: str) -> Layout:
        """Return the layout of COCO, for instances."""
        return Coco().bind(root)


def described(region: Region, category: int) -> dict[str, Any]:
    """Return category, area and box of an object."""
    return _entry(category, region.crowd, int(np.count_nonzero(region.mask)), region.box)


def _entry(category: int, crowd: bool, area: int, box: tuple[int, ...]) -> dict[str, Any]:
    return {"category_id": category, "iscrowd": int(crowd), "area": area, "bbox": [*box]}


def labelled(rows: Rows, split: str) -> bool:
    """Tell whether the records of a split have labels."""
    first = next(rows(split), None)
    return first is not None and first.labelled


def opening(about: About, categories: list[dict[str, Any]]) -> Iterator[bytes]:
    """Yield the beginning of a JSON file, up to the list of images."""
    terms = about.terms
    said = {"description": terms.description or about.title, "contributor": terms.citation}
    info = {key: value for key, value in said.items() if value}
    licenses = [{"id": 1, "name": terms.license, "url": ""}] if terms.license else []
    head = f'{{"info":{dumped(info)},\n"licenses":{dumped(licenses)},\n'
    yield f'{head}"categories":{dumped(categories)},\n"images":['.encode()


def images(about: About, rows: Rows, split: str, folder: str) -> Iterator[bytes]:
    """Yield the elements of the list of images."""
    license_ = {"license": 1} if about.terms.license else {}
    for number, row in enumerate(rows(split), 1):
        entry = {"id": number, **_size(row, folder), **license_}
        yield f"{',' if number > 1 else ''}\n{dumped(entry)}".encode()


def _size(row: Row, folder: str) -> dict[str, Any]:
    name = row.image.removeprefix(folder)
    return {"file_name": name, "height": row.size[0], "width": row.size[1]}


def dumped(value: Any) -> str:
    """Return a value as JSON without blanks."""
    return json.dumps(value, separators=(",", ":"))
