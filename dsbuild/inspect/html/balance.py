"""Class balance: how often each class occurs, as markup."""

import collections
from collections.abc import Mapping, Sequence

from dsbuild.format.manifest import IGNORE
from dsbuild.inspect import tables
from dsbuild.inspect.catalog import Census
from dsbuild.inspect.forms import ClassCount, Inspection, SplitState
from dsbuild.inspect.html import svg
from dsbuild.inspect.html.svg import escape

FEW = 60  # classes that are shown in the order of their index; more by how often they occur


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


def held(splits: Mapping[str, Sequence[ClassCount]], census: Census) -> dict[int, int]:
    """Return label value -> how many records have it."""
    counts: collections.Counter[int] = collections.Counter()
    for rows in splits.values():
        counts.update({row["value"]: row["images"] for row in rows})
    for value in {value for row in census.rows for value in row.counts} - counts.keys():
        counts[value] = sum(value in row.counts for row in census.rows)
    return dict(counts)


def order(names: Mapping[int, str], held: Mapping[int, int]) -> list[int]:
    """Return the label values in the order of display: by value, or of many the frequent first."""
    if len(names) <= FEW:
        return sorted(names)
    return sorted(names, key=lambda value: (-held.get(value, 0), value))


def section(
    document: Inspection,
    splits: Mapping[str, Sequence[ClassCount]],
    names: Mapping[int, str],
    colours: Sequence[Sequence[int]],
    census: Census,
    note: str,
) -> str:
    """Return one table per split: each class's share of pixels and of records, and its weights."""
    parts: list[str] = []
    for split, rows in splits.items():
        if not rows:
            parts.append(svg.details(split, "<p>No labels were counted.</p>", not parts))
            continue
        labels = document["splits"][split]["labels"]
        counted = document["splits"][split]["classes"]
        if not counted:
            labels = sum(row.split == split and bool(row.counts) for row in census.rows)
        weights = tables.weights(document["splits"][split])
        body = _table(rows, labels, weights, names, colours)
        made = ("" if counted else note) + _balance(rows, labels, names) + body
        parts.append(svg.details(split, made, not parts))
    return "".join(parts)


def _balance(rows: Sequence[ClassCount], labels: int, names: Mapping[int, str]) -> str:
    """Return in a sentence how far the most and the least frequent class are apart."""
    real = [row for row in rows if row["images"] and row["name"] != IGNORE]
    if len(real) < 2:
        return ""
    planes = any("pixels" in row for row in real)

    def count(row: ClassCount) -> int:
        return row.get("pixels", 0) if planes else row["images"]

    least, most = min(real, key=count), max(real, key=count)
    whole = sum(row.get("pixels", 0) for row in rows) if planes else labels
    ratio = count(most) / max(count(least), 1)
    large, small = (
        f"{escape(names.get(row['value'], str(row['value'])))} "
        f"{escape(tables.share(count(row), whole))}"
        for row in (most, least)
    )
    what = "pixels" if planes else "records"
    if count(most) == count(least) and len(real) > 1:
        share = escape(tables.share(count(most), whole))
        return f"<p>All {len(real):,} classes have the same share of the {what}: {share}.</p>"
    return f"<p>Largest share of the {what}: {large}; smallest: {small}; {ratio:,.0f} to 1.</p>"


def _table(
    rows: Sequence[ClassCount],
    labels: int,
    weights: Mapping[str, Mapping[int, str]],
    names: Mapping[int, str],
    colours: Sequence[Sequence[int]],
) -> str:
    whole = sum(row.get("pixels", 0) for row in rows)
    most = max(row.get("pixels", 0) for row in rows)
    lines = []
    if len(rows) > FEW:
        rows = sorted(rows, key=lambda row: (-row.get("pixels", 0), -row["images"], row["value"]))
    for row in rows:
        value, holding = row["value"], row["images"]
        colour = colours[value % len(colours)]
        line = [str(value), svg.named(names.get(value, str(value)), colour)]
        if whole:
            drawn = svg.bar(row["pixels"] / most, colour)
            line += [f"{drawn}<span>{tables.share(row['pixels'], whole)}</span>"]
        drawn = svg.bar(holding / max(labels, 1))
        line += [f"{drawn}<span>{tables.share(holding, labels)}</span>", f"{holding:,}"]
        lines.append(line + [texts.get(value, "") for texts in weights.values()])
    head = ["", "class", *(["share of pixels"] if whole else []), "share of records", "records"]
    sides = ("><<<>" if whole else "><<>") + ">" * len(weights)
    kind = "classes weighed" if weights else "classes"
    return svg.folded([*head, *weights], lines, sides, kind, FEW)
