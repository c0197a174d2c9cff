"""The sections of the page that show numbers: charts and tables, as markup."""

import collections
import itertools
from collections.abc import Mapping, Sequence

from dsbuild.format.manifest import IGNORE
from dsbuild.inspect import tables
from dsbuild.inspect.catalog import Census
from dsbuild.inspect.forms import ClassCount, Inspection, StatisticsDocument
from dsbuild.inspect.html import svg
from dsbuild.inspect.html.svg import escape

_MOST = 40  # classes in the co-occurrence; a larger table is unreadable
_GROUPS = 200  # of equal or similar images


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
    cells = [
        [escape(row.name), row.records, row.labels, row.shards, row.size]
        for row in tables.splits(document)
    ]
    head = ["split", "records", "with a label", "shards", "size"]
    return f'<div class="tiles">{made}</div>' + svg.table(head, cells, "<>>>>")


def note(census: Census, seed: int, counted: int | None = None) -> str:
    """Return a note on how many records the numbers come from, unless they come from all.

    It is `counted`, or the number of the census's rows.
    """
    count = len(census.rows) if counted is None else counted
    if count >= census.total:
        return ""
    return (
        f'<p class="note">From a sample of {count:,} of {census.total:,} records, seed {seed}.</p>'
    )


def sizes(census: Census, seed: int, counted: StatisticsDocument | None = None) -> str:
    """Return the sizes of the images, as a chart if there are several.

    They are those of all records if there are statistics, `counted`, else those of the census.
    """
    counts = collections.Counter((row.width, row.height) for row in census.rows if row.width)
    origin = note(census, seed)
    if counted is not None:
        counts = collections.Counter({(w, h): held for w, h, held in counted["all"]["sizes"]})
        origin = ""
    if len(counts) == 1:
        ((width, height),) = counts
        return f"{origin}<p>All images have {width:,} x {height:,} pixels.</p>"
    return origin + svg.sizes(counts)


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
    origin = note(census, seed) if counted is None else ""
    if len(kept) > _MOST:
        origin += f'<p class="note">The {_MOST} classes that occur in the most records.</p>'
        kept = sorted(sorted(kept, key=lambda value: -pairs[value, value])[:_MOST])
    made = svg.together(pairs, {value: names[value] for value in kept}, colours)
    legend = "Each cell: of the records with the row's class, the percentage with the column's."
    return f"{origin}<p>{legend}</p>{made}"


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
            parts.append(svg.details(f"{count} of images {what}", made))
    return "".join(parts)


def shard_ids(document: Inspection) -> dict[str, str]:
    """Return file name -> the id of its row in the table of shards."""
    files = [shard["name"] for split in document["splits"].values() for shard in split["shards"]]
    return {name: f"shard-{i}" for i, name in enumerate(files)}


def shards(document: Inspection) -> str:
    """Return a table of the files and their problems."""
    files = [shard for entry in document["splits"].values() for shard in entry["shards"]]
    ids = shard_ids(document)
    most = max((shard["bytes"] for shard in files), default=0) or 1
    rows = [
        [
            f'<span id="{ids[shard["name"]]}">{escape(shard["name"])}</span>',
            f"{shard['records']:,}",
            f"{svg.bar(shard['bytes'] / most)}<span>{tables.size(shard['bytes'])}</span>",
            f'<span class="bad">{escape(shard["problem"] or "")}</span>',
        ]
        for shard in files
    ]
    made = svg.table(["file", "records", "size", ""], rows, "<><<", "shards")
    if len(rows) <= 12:
        return made
    return svg.details(f"{len(rows):,} files", made)


def features(document: Inspection) -> str:
    """Return a table of the records' features."""
    rows = [[escape(cell) for cell in row] for row in tables.features(document)]
    first = "<p>From the first record of each split.</p>" if document["complete"] else ""
    return first + svg.table(tables.FEATURES, rows, "<<>><") if rows else ""
