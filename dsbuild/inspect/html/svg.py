"""Charts as inline SVG and HTML tables: bars, sizes, co-occurrence.

Pure functions from numbers to markup; they escape every text that they put into it.
"""

from collections.abc import Mapping, Sequence
from html import escape as _escape

from dsbuild.storage import safe_text

RGB = Sequence[int]


def escape(text: str) -> str:
    """Return text as markup, also for attributes; control characters are escaped."""
    return _escape(safe_text.text(text))


def css(colour: RGB) -> str:
    """Return a colour in CSS notation.

    >>> css((255, 0, 128))
    '#ff0080'
    """
    return "#" + "".join(f"{int(channel):02x}" for channel in colour)


def bar(part: float, colour: RGB | None = None) -> str:
    """Return a bar whose length is a share of its container's width.

    Without a colour the bar is drawn on a full-width track; with one, alone, for comparison.
    """
    part = min(max(part, 0), 1)
    fill = f' style="fill:{css(colour)}"' if colour is not None else ""
    room = '<rect class="room" width="100%" height="100%"/>' if colour is None else ""
    return (
        f'<svg class="bar" aria-hidden="true">{room}'
        f'<rect class="part" width="{100 * part:.2f}%" height="100%"{fill}/></svg>'
    )


def stack(counts: Sequence[int], names: Sequence[str]) -> str:
    """Return a bar divided into parts in proportion to counts."""
    whole = max(sum(counts), 1)
    title = ", ".join(f"{count:,} {name}" for name, count in zip(names, counts, strict=True))
    parts = "".join(f'<i style="width:{100 * count / whole:.1f}%"></i>' for count in counts)
    return f'<span class="stacked" role="img" aria-label="{title}" title="{title}">{parts}</span>'


def spark(counts: Sequence[int], names: Sequence[str]) -> str:
    """Return a small histogram; `names` are those of its bars."""
    most = max(counts)
    path = "".join(
        f"M{4 * i} 20v-{max(20 * count / most, 1):.0f}h3V20z"
        for i, count in enumerate(counts)
        if count
    )
    used = [name for name, count in zip(names, counts, strict=True) if count]
    text = escape(f"from {used[0]} to {used[-1]}; most {names[list(counts).index(most)]}")
    return (
        f'<svg class="spark" viewBox="0 0 {4 * len(counts)} 20" role="img" aria-label="{text}">'
        f'<title>{text}</title><path d="{path}"/></svg>'
    )


def details(name: str, body: str, opened: bool = False) -> str:
    """Return markup that is folded under its name."""
    attribute = " open" if opened else ""
    return f"<details{attribute}><summary>{escape(name)}</summary>{body}</details>"


def sizes(counts: Mapping[tuple[int, int], int]) -> str:
    """Return a scatter of image sizes (width, height) -> images; a dot's area shows how many."""
    if not counts:
        return "<p>No image size is known.</p>"
    width, height, left, bottom = 460, 320, 46, 34
    wide, high = (_round_up(max(size[i] for size in counts)) for i in (0, 1))
    most = max(counts.values())

    def x(value: float) -> float:
        return left + (width - left - 12) * value / wide

    def y(value: float) -> float:
        return (height - bottom) - (height - bottom - 12) * value / high

    parts = [
        f'<svg class="chart" viewBox="0 0 {width} {height}" role="img" '
        'aria-label="image sizes: width against height">'
    ]
    for i in range(5):
        at_x, at_y = wide * i / 4, high * i / 4
        parts.append(
            f'<path class="grid" d="M{x(at_x):.1f} {y(0):.1f}V12"/>'
            f'<path class="grid" d="M{left} {y(at_y):.1f}H{width - 12}"/>'
            f'<text x="{x(at_x):.1f}" y="{height - bottom + 16}" text-anchor="middle">'
            f"{at_x:,.0f}</text>"
            f'<text x="{left - 6}" y="{y(at_y) + 4:.1f}" text-anchor="end">{at_y:,.0f}</text>'
        )
    parts.append(
        f'<text x="{width - 12}" y="{height - 4}" text-anchor="end">width in pixels</text>'
        f'<text x="{left + 6}" y="22">height</text>'
    )
    for (size_x, size_y), count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        radius = 2.5 + 11.5 * (count / most) ** 0.5
        parts.append(
            f'<circle cx="{x(size_x):.1f}" cy="{y(size_y):.1f}" r="{radius:.1f}">'
            f"<title>{size_x:,} x {size_y:,}: {count:,}</title></circle>"
        )
    return "".join([*parts, "</svg>"])


def _round_up(value: int) -> int:
    """Return the smallest 1, 2, 4, 6 or 8 times a power of ten that is not below `value`."""
    power: int = 10 ** (len(str(value)) - 1)
    return next(step * power for step in (1, 2, 4, 6, 8, 10) if step * power >= value)


def together(
    pairs: Mapping[tuple[int, int], int], names: Mapping[int, str], colours: Sequence[RGB]
) -> str:
    """Return a heat map: of the images with a row's class, the share with the column's.

    `pairs` is (class, class) -> images with both; for a class and itself, images with that class.
    """
    values = [value for value in names if pairs.get((value, value))]
    head = "".join(
        f'<th scope="col" title="{escape(names[v])}"><span>{_swatch(colours[v])}'
        f"{escape(names[v])}</span></th>"
        for v in values
    )
    rows = []
    for row in values:
        cells = []
        for column in values:
            count, whole = pairs.get((row, column), 0), pairs[row, row]
            part = count / whole
            text = f"{100 * part:.0f}" if count else ""
            title = escape(f"{names[row]} with {names[column]}: {count:,} of {whole:,} images")
            cells.append(f'<td style="--h:{part:.2f}" title="{title}">{text}</td>')
        rows.append(
            f'<tr><th scope="row">{escape(names[row])}{_swatch(colours[row])}</th>'
            f"{''.join(cells)}</tr>"
        )
    return (
        f'<div class="wide"><table class="heat"><thead><tr><td></td>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _swatch(colour: RGB) -> str:
    return f'<i class="swatch" style="background:{css(colour)}"></i>'


def named(name: str, colour: RGB) -> str:
    """Return a class's name after a patch of its colour."""
    return f"{_swatch(colour)}{escape(name)}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], sides: str, kind: str = "") -> str:
    """Return a table of cells that are markup already; `sides` aligns columns, each `<` or `>`."""
    classes = ["" if side == "<" else ' class="n"' for side in sides]
    top = "".join(
        f'<th scope="col"{name}>{escape(cell)}</th>'
        for name, cell in zip(classes, head, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(f"<td{name}>{cell}</td>" for name, cell in zip(classes, row, strict=True))
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="wide"><table class="{kind}"><thead><tr>{top}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def folded(
    head: Sequence[str], rows: Sequence[Sequence[str]], sides: str, kind: str = "", few: int = 40
) -> str:
    """Return a `table` of the first rows; if there are more than `few`, the others are folded."""
    if len(rows) <= few:
        return table(head, rows, sides, kind)
    shown = few // 2
    rest = table(head, rows[shown:], sides, kind)
    return table(head, rows[:shown], sides, kind) + details(f"{len(rows) - shown:,} more", rest)


def photo(uri: str | None) -> str:
    """Return the attribute of an element in which `.photo` shows a picture, embedded once."""
    return f' style="--photo: url({uri})"' if uri else ""
