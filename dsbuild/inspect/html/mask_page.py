"""The labels that two builds hold differently, as one self-contained HTML page."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsbuild import storage
from dsbuild.engines import Engine
from dsbuild.inspect import gallery, mask_changes, mask_pictures, tables
from dsbuild.inspect.diff import Side
from dsbuild.inspect.forms import Difference
from dsbuild.inspect.html import svg
from dsbuild.inspect.html.document import document as whole
from dsbuild.inspect.html.svg import escape
from dsbuild.inspect.mask_changes import MaskChange
from dsbuild.inspect.mask_pictures import MaskPictures

SAMPLES = 48  # changed labels with pictures, unless another number is given
_MOVES = 20  # changes from one class to another that are listed for one label
_LISTED = 200  # rows of a table that are shown at once


@dataclass(frozen=True)
class Legend:
    """Names and colours of the label values of one build."""

    names: Mapping[int, str]
    colours: NDArray[np.uint8]

    def text(self, value: int) -> str:
        """Return a value's name after a patch of its colour, as markup."""
        colour = self.colours[value % len(self.colours)].tolist()
        return svg.named(self.names.get(value, str(value)), colour)


def make(
    before: Side, after: Side, document: Difference, samples: int | None, engine: Engine
) -> str:
    """Return the page; `samples` changed labels are shown as pictures, None for `SAMPLES`."""
    changes = mask_changes.compare(before, after, document, engine)
    shown = changes[: SAMPLES if samples is None else samples]
    colours = gallery.colours(before.folder), gallery.colours(after.folder)
    names = before.folder.names, after.folder.names
    drawn = mask_pictures.draw(shown, names, colours, engine, gallery.ROOM)
    values = {value for change in changes for move in change.moves for value in move}
    legends = [
        Legend({value: side.folder.class_name(value) or str(value) for value in values}, table)
        for side, table in zip((before, after), colours, strict=True)
    ]
    return page(document, changes, list(zip(shown, drawn, strict=True)), legends)


def page(
    document: Difference,
    changes: Sequence[MaskChange],
    shown: Sequence[tuple[MaskChange, MaskPictures]],
    legends: Sequence[Legend],
) -> str:
    """Return the page of all changes, with pictures of those that are `shown`."""
    parts = [
        ("summary", "Summary", _summary(document, changes)),
        ("moves", "From class to class", _moves(changes, legends)),
        ("masks", "Changed masks", _cards(shown, len(changes), legends)),
        ("all", "All changed labels", _all(changes)),
    ]
    name = " and ".join(storage.name(document[side]) for side in ("a", "b"))
    kind = f"{document['a']} and {document['b']}"
    return whole(f"Changed masks: {name}", "Changed masks", kind, parts)


def _summary(document: Difference, changes: Sequence[MaskChange]) -> str:
    whole = sum(change.pixels for change in changes)
    pixels = sum(change.changed for change in changes)
    records = sum(extents[1]["records"] for extents in document["extent"].values())
    tiles = [("changed labels", f"{len(changes):,}"), ("records in B", f"{records:,}")]
    if whole:
        tiles.append(("changed pixels", f"{pixels:,}"))
        tiles.append(("of the changed labels' pixels", tables.share(pixels, whole)))
    unlike = sum(bool(change.why) for change in changes)
    if unlike:
        tiles.append(("cannot be compared by pixel", f"{unlike:,}"))
    for what in ("removed", "added"):
        count = sum(len(change[what]) for change in document["splits"].values())
        if count:
            tiles.append((f"samples {what}", f"{count:,}"))
    made = "".join(
        f"<div><b>{escape(text)}</b><span>{escape(what)}</span></div>" for what, text in tiles
    )
    text = "A is before, B is after. Labels are compared by their values, not by their encoding."
    if not changes:
        text = "No label of a sample that both builds hold has changed."
    return f'<div class="tiles">{made}</div><p>{escape(text)}</p>'


def _moves(changes: Sequence[MaskChange], legends: Sequence[Legend]) -> str:
    total: Counter[tuple[int, int]] = Counter()
    labels: Counter[tuple[int, int]] = Counter()
    for change in changes:
        total.update(change.moves)
        labels.update(change.moves.keys())
    whole = sum(total.values())
    rows = [
        [
            legends[0].text(was),
            legends[1].text(now),
            f"{svg.bar(count / whole)}<span>{tables.share(count, whole)}</span>",
            f"{count:,}",
            f"{labels[was, now]:,}",
        ]
        for (was, now), count in sorted(total.items(), key=lambda item: (-item[1], item[0]))
    ]
    head = ["before", "after", "share of changed pixels", "pixels", "labels"]
    return svg.folded(head, rows, "<<<>>", "moves") if rows else ""


def _cards(
    shown: Sequence[tuple[MaskChange, MaskPictures]], count: int, legends: Sequence[Legend]
) -> str:
    if not shown:
        return ""
    text = (
        f"{len(shown):,} of {tables.count(count, 'changed label')}, those that changed most first."
    )
    return f"<p>{escape(text)}</p>" + "".join(_card(*one, legends) for one in shown)


def _card(change: MaskChange, drawn: MaskPictures, legends: Sequence[Legend]) -> str:
    figures = [
        _figure(drawn.before, "before", change.key),
        _figure(drawn.after, "after", change.key),
        _figure(drawn.changed, "changed", change.key),
    ]
    moves = sorted(change.moves.items(), key=lambda item: (-item[1], item[0]))
    rows = [
        f"{legends[0].text(was)} → {legends[1].text(now)} <span>{count:,} pixels</span>"
        for (was, now), count in moves[:_MOVES]
    ]
    if moves[_MOVES:]:
        rows.append(f"and {len(moves) - _MOVES:,} more")
    chips = "".join(f"<span>{row}</span>" for row in rows)
    problems = "".join(f'<p class="bad">{escape(text)}</p>' for text in drawn.problems)
    return (
        f'<article class="change"{svg.photo(drawn.image)}>'
        f"<h3>{escape(change.key)}</h3><p>{escape(_text(change))}</p>"
        f'<div class="triple">{"".join(figures)}</div>{problems}'
        f'<div class="chips">{chips}</div></article>'
    )


def _text(change: MaskChange) -> str:
    if change.why:
        return f"{change.split}: {change.why}"
    share = tables.share(change.changed, change.pixels)
    return f"{change.split}: {change.changed:,} of {change.pixels:,} pixels changed, {share}"


def _figure(mask: str | None, what: str, key: str) -> str:
    """Return a mask over the card's photo; the changed pixels lie over a paler one."""
    if mask is None:
        missing = f'<div class="stack"><p>no mask</p></div><figcaption>{what}</figcaption>'
        return f"<figure>{missing}</figure>"
    alt = escape(f"{key}: {what}")
    return (
        f'<figure><div class="stack overlay {what}"><div class="photo"></div>'
        f'<img class="mask" src="{mask}" alt="{alt}"></div><figcaption>{what}</figcaption></figure>'
    )


def _all(changes: Sequence[MaskChange]) -> str:
    rows = [
        [
            escape(change.split),
            escape(change.key),
            escape(change.why) or f"{change.changed:,}",
            "" if change.why else tables.share(change.changed, change.pixels),
        ]
        for change in changes
    ]
    head = ["split", "key", "changed pixels", "share"]
    return svg.folded(head, rows, "<<>>", "listed", _LISTED) if rows else ""
