"""Where each class lies in the frame, and the objects that it forms, as markup."""

from collections.abc import Mapping, Sequence

import numpy as np

from dsbuild.format.manifest import IGNORE
from dsbuild.images import colour
from dsbuild.images.regions import CELLS
from dsbuild.inspect import frame, tables
from dsbuild.inspect.frame import LARGE, SIDES, SMALL, Frame
from dsbuild.inspect.html import svg
from dsbuild.inspect.html.svg import escape

_MAPS = 24  # heat maps that are not folded
# Anchors of matplotlib's viridis, whose lightness grows evenly (BIDS/colormap, CC0).
_VIRIDIS = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))


def heat_maps(
    counted: Frame,
    names: Mapping[int, str],
    colours: Sequence[Sequence[int]],
    order: Sequence[int],
    shape: tuple[int, int],
    note: str,
) -> str:
    """Return a heat map for each class that occurs; nothing if no label is a plane.

    `order` are the label values in the order of display, `shape` is the usual (width, height).
    """
    heat = frame.heat(counted)
    shown = [value for value in order if value in heat]
    if not shown:
        return ""
    figures = [_figure(names[value], colours[value % len(colours)], heat[value]) for value in shown]
    width, height = shape
    ratio = min(max(width / height, 0.5), 2.2)
    text = (
        "How often a pixel of the frame belongs to a class: yellow is where it is most frequent, "
        "dark is never. All frames are stretched to one shape."
    )
    body = f'<div class="maps">{"".join(figures[:_MAPS])}</div>'
    if figures[_MAPS:]:
        rest = f'<div class="maps">{"".join(figures[_MAPS:])}</div>'
        body += svg.details(f"{len(figures) - _MAPS:,} more", rest)
    return f'{note}<p>{text}</p><div style="--frame:{ratio:.3f}">{body}</div>'


def _figure(name: str, rgb: Sequence[int], shares: Sequence[float]) -> str:
    cells = np.array(shares).reshape(CELLS, CELLS)
    most = cells.max()
    where = _place(cells)
    top = tables.share(round(most * 1_000_000), 1_000_000)
    words = f"{name}: most often {where}, up to {top} of the pixels there"
    return (
        f'<figure><img src="{_map(cells / most)}" alt="{escape(words)}" title="{escape(words)}">'
        f"<figcaption>{svg.named(name, rgb)}<span>up to {escape(top)}</span></figcaption>"
        "</figure>"
    )


def _map(cells: np.ndarray) -> str:
    """Return shares of the maximum as a data URI: a palette PNG, one pixel per cell."""
    at = np.linspace(0, len(_VIRIDIS) - 1, 256)
    channels = [np.interp(at, range(len(_VIRIDIS)), c) for c in zip(*_VIRIDIS, strict=True)]
    table = np.stack(channels, 1).round().astype(np.uint8)
    return colour.plane_uri((cells * 255).round().astype(np.uint8), table, CELLS)


def _place(cells: np.ndarray) -> str:
    """Return in words where the middle of the hottest cells is."""
    rows, columns = np.nonzero(cells >= cells.max() * 0.75)
    row, column = (int(np.mean(part) * 3 // CELLS) for part in (rows, columns))
    if (row, column) == (1, 1):
        return "in the centre"
    down, across = ("upper", "middle", "lower")[row], ("left", "middle", "right")[column]
    return f"in the {down} {across}" if row != 1 else f"on the {across}"


def objects(
    counted: Frame,
    names: Mapping[int, str],
    colours: Sequence[Sequence[int]],
    order: Sequence[int],
    note: str,
) -> str:
    """Return a table of the connected regions per class; nothing if no label is a plane."""
    sizes = frame.sizes(counted)
    rows = []
    for value in order:
        if value not in sizes or names[value] == IGNORE:
            continue
        counts = sizes[value]
        whole = sum(counts)
        parts = [sum(counts[:SMALL]), sum(counts[SMALL:LARGE]), sum(counts[LARGE:])]
        side = frame.median(counts)
        rows.append(
            [
                svg.named(names[value], colours[value % len(colours)]),
                f"{whole:,}",
                svg.stack(parts, ("small", "medium", "large")),
                f"{side:,} x {side:,}",
                svg.spark(counts, [f"{side} px" for side in SIDES]),
            ]
        )
    if not rows:
        return ""
    text = (
        "Objects are connected regions of one class: two cars that touch count as one, a car "
        "behind a pole as two. Small is below 32 x 32 pixels and large from 96 x 96, as in COCO."
    )
    head = ["class", "objects", "small, medium, large", "median", "sizes"]
    return f"{note}<p>{text}</p>" + svg.folded(head, rows, "<><><", "objects")
