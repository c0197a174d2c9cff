"""CVAT for images 1.1: masks or polygons in one XML file.

    annotations.xml                 labels, images, and a shape per object
    images/<split>/<key>.jpg        a split is a subset

Polygons go along the edges of pixels, with bridges of no width to holes. Parts of one object have
one `group_id`. Pixels that are ignored become background.

Source: CVAT's documentation of its XML format, version 1.1.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar
from xml.sax.saxutils import escape, quoteattr

from dsbuild.interop.annotations.base import Drawn, Rows
from dsbuild.interop.annotations.picture import Picture
from dsbuild.interop.annotations.shaped import POLYGONS, Shaped, facts, rings
from dsbuild.layouts import Layout
from dsbuild.layouts.cvat import FILE, Cvat
from dsbuild.shapes import runs
from dsbuild.shapes.components import Region


@dataclass(frozen=True)
class CvatTree(Shaped):
    """Shapes in an XML file."""

    name: ClassVar[str] = "cvat"
    choices: ClassVar[tuple[str, ...]] = ("masks", POLYGONS)
    most: ClassVar[int] = 254
    oriented: ClassVar[range] = range(2, 9)

    def image(self, one: Picture) -> str:
        """Return the path of a record's image in the target."""
        return f"images/{one.split}/{one.stem}.{one.ending}"

    def draw(self, one: Picture) -> Drawn:
        """Return the elements of a record's objects."""
        elements, found = list[str](), list[str]()
        for number, region in enumerate(self.regions(one), 1):
            label = quoteattr(self.about.classes[region.value])
            if self.shapes != POLYGONS:
                elements.append(_mask(region, label))
                continue
            polygons, more = rings(region)
            group = f' group_id="{number}"' if len(polygons) > 1 else ""
            elements += (_polygon(points, label, group) for points in polygons)
            found += more
        return Drawn({}, elements, facts(found))

    def whole(self, rows: Rows) -> Iterable[tuple[str, Iterator[bytes]]]:
        """Yield the XML file."""
        yield FILE, self._document(rows)

    def _document(self, rows: Rows) -> Iterator[bytes]:
        yield b'<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1</version>\n'
        name = escape(self.about.title)
        yield f"<meta><task><name>{name}</name>\n<labels>\n".encode()
        for value in self.about.things:
            colour = self.about.palette.get(value)
            shade = "<color>#{:02x}{:02x}{:02x}</color>".format(*colour) if colour else ""
            label = escape(self.about.classes[value])
            yield f"<label><name>{label}</name>{shade}<type>any</type></label>\n".encode()
        yield b"</labels>\n</task></meta>\n"
        number = 0
        for row in rows():
            if not row.labelled:
                continue
            stem = quoteattr(row.image.removeprefix(f"images/{row.split}/"))
            height, width = row.size
            head = f'<image id="{number}" name={stem} subset={quoteattr(row.split)}'
            yield f'{head} width="{width}" height="{height}">\n'.encode()
            yield from (f"{element}\n".encode() for element in row.piece)
            yield b"</image>\n"
            number += 1
        yield b"</annotations>\n"

    def layout(self, root: str) -> Layout:
        """Return the layout of CVAT."""
        return Cvat().bind(root)


def _mask(region: Region, label: str) -> str:
    counts = ", ".join(map(str, runs.cvat_counts(region.mask).tolist()))
    left, top, width, height = region.box
    place = f'left="{left}" top="{top}" width="{width}" height="{height}"'
    return f'<mask label={label} source="file" occluded="0" rle="{counts}" {place} z_order="0"/>'


def _polygon(points: list[int], label: str, group: str) -> str:
    pairs = ";".join(f"{x},{y}" for x, y in zip(points[0::2], points[1::2], strict=True))
    head = f'<polygon label={label} source="file" occluded="0"'
    return f'{head} points="{pairs}" z_order="0"{group}/>'
