"""The suspects of an audit as one self-contained HTML page: image, label, model, disagreement."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsbuild import images, reader, storage
from dsbuild.errors import PlanError
from dsbuild.format.folder import Folder
from dsbuild.images import colour
from dsbuild.inspect import gallery, tables
from dsbuild.inspect.html import svg
from dsbuild.inspect.html.document import document as whole
from dsbuild.inspect.html.svg import escape
from dsbuild.inspect.mask_pictures import RED, marks
from dsbuild.train.audit import shown
from dsbuild.train.audit.shown import Shown
from dsbuild.train.audit.suspects import Suspect, read, score_text
from dsbuild.train.dataset import of as facts_of

SAMPLES = 48  # suspects with pictures, unless another number is given
_LISTED = 200  # rows of a table that are shown at once


@dataclass(frozen=True)
class Pictures:
    """The pictures of a suspect, as data URIs."""

    image: str
    label: str
    model: str
    region: str


def make(folder: Folder, out: str, samples: int | None) -> str:
    """Return the page; the first `samples` suspects are shown as pictures, None for `SAMPLES`.

    Raises PlanError if the audit is of other data than the folder's.
    """
    suspects, report = read(out)
    if report["digest"] != facts_of(folder).digest:
        raise PlanError(
            f"{out}: found an audit of other data than {folder.path}, or that was built again "
            "since; run dsbuild audit again"
        )
    first = suspects[: SAMPLES if samples is None else samples]
    found = shown.regions_of(out, first)
    table, room = gallery.colours(folder), gallery.ROOM // max(1, len(found))
    names = {name: table[i % len(table)].tolist() for i, name in enumerate(folder.classes)}
    cards = [_card(one.suspect, _drawn(folder, one, table, room), names) for one in found]
    parts = [
        ("summary", "Summary", _summary(report)),
        ("moves", "From class to class", _moves(suspects, names)),
        ("suspects", "Suspects", _cards(cards, report)),
        ("all", "All listed suspects", _all(suspects)),
    ]
    name = storage.name(folder.path)
    return whole(f"Suspects: {name}", "Suspected label errors", folder.path, parts)


def _drawn(folder: Folder, one: Shown, table: NDArray[np.uint8], room: int) -> Pictures:
    """Return the pictures of a suspect, of at most `room` bytes in all."""
    sample = reader.open(folder, one.suspect.split)[one.suspect.record]
    image, label = images.deep.shown(sample.image), np.asarray(sample.label)
    model, mask = (images.pick(plane, one.seen.size) for plane in (one.seen.model, one.marks))

    def draw(side: int) -> list[str | None]:
        return [
            colour.photo_uri(image, side),
            colour.plane_uri(label, table, side),
            colour.plane_uri(model, table, side),
            colour.plane_uri(marks(mask > 0, side), RED, side),
        ]

    return Pictures(*(uri or "" for uri in gallery.fitted(draw, [image, label], room)))


def _summary(report: Mapping[str, Any]) -> str:
    tiles = [
        ("suspects", f"{report['suspects']:,}"),
        ("listed, the most likely errors first", f"{report['listed']:,}"),
        ("records", f"{report['records']:,}"),
    ]
    made = "".join(
        f"<div><b>{escape(text)}</b><span>{escape(what)}</span></div>" for what, text in tiles
    )
    judge = f"{report['folds']} models, none of which was trained on the labels that it judged"
    judge = f"the model of {report['run']}" if "run" in report else judge
    text = (
        f"Judged by {judge}. A suspect is a region that the model is sure is of another class. "
        "Look at it before you change a label."
    )
    noted = "".join(f'<p class="note">{escape(note)}</p>' for note in report["notes"])
    return f'<div class="tiles">{made}</div><p>{escape(text)}</p>{noted}'


def _moves(suspects: Sequence[Suspect], colours: Mapping[str, Sequence[int]]) -> str:
    total = Counter((one.given, one.suggested) for one in suspects)
    rows = [
        [
            *(svg.named(name, colours.get(name, (0, 0, 0))) for name in pair),
            f"{svg.bar(count / len(suspects))}<span>{count:,}</span>",
        ]
        for pair, count in sorted(total.items(), key=lambda item: (-item[1], item[0]))
    ]
    return svg.folded(["label", "model", "suspects"], rows, "<<<", "moves") if rows else ""


def _cards(cards: Sequence[str], report: Mapping[str, Any]) -> str:
    if not cards:
        return ""
    text = f"{len(cards):,} of {tables.count(report['suspects'], 'suspect')}."
    return f"<p>{escape(text)}</p>" + "".join(cards)


def _card(one: Suspect, drawn: Pictures, colours: Mapping[str, Sequence[int]]) -> str:
    figures = [
        _figure("", "image", one.key),
        _figure(drawn.label, "label", one.key),
        _figure(drawn.model, "model", one.key),
        _figure(drawn.region, "changed", one.key),
    ]
    given, suggested = (svg.named(n, colours.get(n, (0, 0, 0))) for n in (one.given, one.suggested))
    left, top, width, height = one.box
    text = (
        f"{one.split}, record {one.record}: {one.area:,} pixels within {width} x {height} at "
        f"{left}, {top}; score {score_text(one.score)}"
    )
    return (
        f'<article class="change" id="suspect-{one.rank}"{svg.photo(drawn.image)}>'
        f"<h3>{one.rank}. {escape(one.key)}</h3><p>{escape(text)}</p>"
        f'<div class="four">{"".join(figures)}</div>'
        f'<div class="chips"><span>{given} → {suggested}</span></div></article>'
    )


def _figure(mask: str, what: str, key: str) -> str:
    """Return a mask over the card's photo; the suspected pixels lie over a paler one."""
    alt = escape(f"{key}: {what}")
    over = f'<img class="mask" src="{mask}" alt="{alt}">' if mask else ""
    role = "" if mask else f' role="img" aria-label="{alt}"'
    said = "disagreement" if what == "changed" else what
    return (
        f'<figure><div class="stack overlay {what}"><div class="photo"{role}></div>{over}</div>'
        f"<figcaption>{said}</figcaption></figure>"
    )


def _all(suspects: Sequence[Suspect]) -> str:
    rows = [
        [
            str(one.rank),
            escape(one.split),
            escape(one.key),
            escape(one.given),
            escape(one.suggested),
            f"{one.area:,}",
            score_text(one.score),
        ]
        for one in suspects
    ]
    head = ["", "split", "key", "label", "model", "pixels", "score"]
    return svg.folded(head, rows, "><<<<>>", "listed", _LISTED) if rows else ""


def path_of(out: str) -> str:
    """Return where an audit's own page is."""
    return storage.join(os.fspath(out), "suspects.html")
