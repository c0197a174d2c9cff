"""The sections of the page that show numbers: charts and tables, as markup."""

import collections
import itertools
from collections.abc import Mapping, Sequence

from dsbuild.format.manifest import IGNORE
from dsbuild.inspect import tables
from dsbuild.inspect.catalog import Census
from dsbuild.inspect.forms import ClassCount, Inspection, SplitState, StatisticsDocument
from dsbuild.inspect.html import svg
from dsbuild.inspect.html.svg import escape
from dsbuild.validate.problem import KINDS, Problem

_MOST = 40  # classes in the co-occurrence; a larger table is unreadable
_GROUPS = 200  # of equal or similar images


def rows(split: SplitState, name: str, census: Census) -> list[ClassCount]:
    """Return the classes of a split from its inspection, or from the census if that has none."""
    if split["classes"] or not split["labels"]:
        return list(split["classes"])
    pixels: collections.Counter[int] = collections.Counter()
    held: collections.Counter[int] = collections.Counter()
    for row in census.rows:
        if row.split == name:
            pixels.update(row.counts)
            held.update(row.counts.keys())
    return [
        {"value": value, "name": None, "pixels": pixels[value], "images": held[value]}
        for value in sorted(pixels)
    ]


def names(splits: Mapping[str, Sequence[ClassCount]], census: Census) -> dict[int, str]:
    """Return a name for each label value that occurs or has one, by value."""
    names = {row["value"]: row["name"] for rows in splits.values() for row in rows}
    for row in census.rows:
        names |= {value: None for value in row.counts if value not in names}
    return {value: names[value] or str(value) for value in sorted(names)}


def summary(document: Inspection, splits: Mapping[str, Sequence[ClassCount]]) -> str:
    """Return the key figures, and a table of the splits."""
    entries = document["splits"]
    shards = sum(len(entry["shards"]) for entry in entries.values())
    tiles = [
        ("records", f"{sum(entry['records'] for entry in entries.values()):,}"),
        ("size", tables.size(sum(entry["bytes"] for entry in entries.values()))),
        ("shards", f"{shards:,}"),
    ]
    classes = {row["value"] for rows in splits.values() for row in rows if row["name"] != IGNORE}
    if classes:
        tiles.append(("classes", f"{len(classes):,}"))
    for name, rows in splits.items():
        ignored = [row for row in rows if row["name"] == IGNORE and "pixels" in row]
        for row in ignored:
            whole = sum(other["pixels"] for other in rows)
            tiles.append((f"ignored in {name}", tables.share(row["pixels"], whole)))
    rejects = sum(entry.get("rejects", 0) for entry in entries.values())
    if rejects:
        tiles.append(("left out", f"{rejects:,}"))
    made = "".join(
        f"<div><b>{escape(text)}</b><span>{escape(what)}</span></div>" for what, text in tiles
    )
    if document["complete"] is False:
        made += "<p>This build is unfinished.</p>"
    cells = [
        [escape(row.name), row.records, row.labels, row.shards, row.size]
        for row in tables.splits(document)
    ]
    head = ["split", "records", "with a label", "shards", "size"]
    return f'<div class="tiles">{made}</div>' + svg.table(head, cells, "<>>>>")


def classes(
    document: Inspection,
    splits: Mapping[str, Sequence[ClassCount]],
    names: Mapping[int, str],
    colours: Sequence[Sequence[int]],
    census: Census,
    seed: int,
) -> str:
    """Return one table per split: each class's share of pixels and of records, and its weights."""
    parts: list[str] = []
    for split, rows in splits.items():
        labels = document["splits"][split]["labels"]
        if not rows:
            parts.append(_folded(split, "<p>No labels were counted.</p>", not parts))
            continue
        counted = document["splits"][split]["classes"]
        note = "" if counted else _note(census, seed)
        if not counted:
            labels = sum(row.split == split and bool(row.counts) for row in census.rows)
        whole = sum(row.get("pixels", 0) for row in rows)
        most = max([row.get("pixels", 0) for row in rows])
        weighted = tables.weights(document["splits"][split])
        lines = []
        for row in rows:
            value, held = row["value"], row["images"]
            colour = colours[value % len(colours)]
            line = [str(value), svg.named(names.get(value, str(value)), colour)]
            if whole:
                drawn = svg.bar(row["pixels"] / most, colour)
                line += [f"{drawn}<span>{tables.share(row['pixels'], whole)}</span>"]
            drawn = svg.bar(held / max(labels, 1))
            line += [f"{drawn}<span>{tables.share(held, labels)}</span>", f"{held:,}"]
            lines.append(line + [texts.get(value, "") for texts in weighted.values()])
        head = ["", "class", *(["share of pixels"] if whole else []), "share of records", "records"]
        sides = ("><<<>" if whole else "><<>") + ">" * len(weighted)
        kind = "classes weighed" if weighted else "classes"
        made = svg.table([*head, *weighted], lines, sides, kind)
        parts.append(_folded(split, note + made, not parts))
    return "".join(parts)


def _folded(name: str, body: str, opened: bool) -> str:
    attribute = " open" if opened else ""
    return f"<details{attribute}><summary>{escape(name)}</summary>{body}</details>"


def _note(census: Census, seed: int) -> str:
    """Return a note on how many records the numbers come from, unless they come from all."""
    if census.whole:
        return ""
    return (
        f'<p class="note">From a sample of {len(census.rows):,} of {census.total:,} records, '
        f"seed {seed}.</p>"
    )


def problems(listed: Sequence[Problem], notes: Sequence[str]) -> str:
    """Return a table of the kinds of problems, each with its first problem, and the notes."""
    first: dict[str, Problem] = {}
    for problem in listed:
        first.setdefault(problem.kind, problem)
    counts = collections.Counter(problem.kind for problem in listed)
    rows = [
        [
            kind,
            escape(what),
            f"{counts[kind]:,}",
            f'<span class="bad">{escape(str(first[kind]))}</span>',
        ]
        for kind, what in KINDS.items()
        if kind in first
    ]
    made = svg.table(["kind", "", "problems", "first problem"], rows, "<<><", "problems")
    noted = "".join(f'<p class="note">{escape(note)}</p>' for note in notes)
    return (made if rows else "<p>No problem was found.</p>") + noted


def sizes(census: Census, seed: int, counted: StatisticsDocument | None = None) -> str:
    """Return the sizes of the images, as a chart if there are several.

    They are those of all records if there are statistics, `counted`, else those of the census.
    """
    counts = collections.Counter((row.width, row.height) for row in census.rows if row.width)
    note = _note(census, seed)
    if counted is not None:
        counts = collections.Counter({(w, h): held for w, h, held in counted["all"]["sizes"]})
        note = ""
    if len(counts) == 1:
        ((width, height),) = counts
        return f"{note}<p>All images have {width:,} x {height:,} pixels.</p>"
    return note + svg.sizes(counts)


def together(
    census: Census,
    names: Mapping[int, str],
    colours: Sequence[Sequence[int]],
    seed: int,
    counted: StatisticsDocument | None = None,
) -> str:
    """Return the co-occurrence of classes; nothing if each record has one class.

    It is that of all records if there are statistics, `counted`, else that of the census.
    """
    pairs: collections.Counter[tuple[int, int]] = collections.Counter()
    if counted is not None:
        every = counted["all"]
        planes = [row for row in every["classes"] if "pixels" in row]
        pairs.update({(row["value"],) * 2: row["images"] for row in planes})
        for value, other, held in every["together"]:
            pairs[value, other] = pairs[other, value] = held
    for row in census.rows if counted is None else ():
        if row.plane:
            pairs.update(itertools.product(row.counts, row.counts))
    kept = [value for value in names if pairs[value, value] and names[value] != IGNORE]
    if len(kept) < 2:
        return ""
    note = _note(census, seed) if counted is None else ""
    if len(kept) > _MOST:
        note += f'<p class="note">The {_MOST} classes that occur in the most records.</p>'
        kept = sorted(sorted(kept, key=lambda value: -pairs[value, value])[:_MOST])
    made = svg.together(pairs, {value: names[value] for value in kept}, colours)
    legend = "Each cell: of the records with the row's class, the percentage with the column's."
    return f"{note}<p>{legend}</p>{made}"


def statistics(counted: StatisticsDocument | None) -> str:
    """Return colours, and equal or similar images, of all records; nothing without statistics."""
    if counted is None:
        return ""
    rows = [[escape(cell) for cell in row] for row in tables.colours(counted)]
    parts = [svg.table(tables.COLOURS, rows, "<>>>>>")]
    recurring = counted["duplicates"]
    shared = (f"{line[:1].upper()}{line[1:]}." for line in tables.shared(recurring))
    parts += [f"<p>{escape(line)}</p>" for line in shared]
    for kind, what in tables.ALIKE.items():
        groups = [
            [
                escape(", ".join(group["splits"])),
                escape(
                    ", ".join(
                        place["key"] or f"{place['file']}:{place['record']}"
                        for place in group["records"]
                    )
                ),
            ]
            for group in recurring[kind][:_GROUPS]
        ]
        if groups:
            count = tables.count(len(recurring[kind]), "group")
            made = svg.table(["splits", "samples"], groups, "<<")
            parts.append(_folded(f"{count} of images {what}", made, opened=False))
    return "".join(parts)


def shards(document: Inspection) -> str:
    """Return a table of the files and their problems."""
    files = [shard for entry in document["splits"].values() for shard in entry["shards"]]
    most = max((shard["bytes"] for shard in files), default=0) or 1
    rows = [
        [
            escape(shard["name"]),
            f"{shard['records']:,}",
            f"{svg.bar(shard['bytes'] / most)}<span>{tables.size(shard['bytes'])}</span>",
            f'<span class="bad">{escape(shard["problem"] or "")}</span>',
        ]
        for shard in files
    ]
    made = svg.table(["file", "records", "size", ""], rows, "<><<", "shards")
    if len(rows) <= 12:
        return made
    return _folded(f"{len(rows):,} files", made, opened=False)


def features(document: Inspection) -> str:
    """Return a table of the records' features."""
    rows = [[escape(cell) for cell in row] for row in tables.features(document)]
    first = "<p>From the first record of each split.</p>" if document["complete"] else ""
    return first + svg.table(tables.FEATURES, rows, "<<>><") if rows else ""
