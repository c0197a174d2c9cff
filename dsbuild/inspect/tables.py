"""The documents of `report` as text for people: aligned tables, sizes, shares."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from dsbuild.layouts.finding import KINDS
from dsbuild.storage import safe_text
from dsbuild.validate.problem import KINDS as PROBLEMS

_CELL = 1000  # characters; a longer one would make every line as long


def table(rows: Sequence[Sequence[str]], right: str) -> list[str]:
    """Return rows as aligned lines; `right` marks each column `>` or `<`.

    Cells are made harmless here, as names of a data set stand in them.
    """
    rows = [[safe_text.text(cell, _CELL) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(right))]
    return [
        "  "
        + "  ".join(
            f"{cell:{side}{width}}" for cell, side, width in zip(row, right, widths, strict=True)
        ).rstrip()
        for row in rows
    ]


def size(count: int) -> str:
    """Return a number of bytes for people, in powers of 1000.

    >>> size(1234567)
    '1.2 MB'
    """
    if count < 1000:
        return f"{count} bytes"
    units = ["kB", "MB", "GB", "TB"]
    power = min(int(math.log10(count) // 3), len(units))
    return f"{count / 1000**power:,.1f} {units[power - 1]}"


def count(number: int, what: str) -> str:
    """Return a number of things for people.

    >>> count(1, "finding"), count(1200, "finding")
    ('1 finding', '1,200 findings')
    """
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def share(part: int, whole: int) -> str:
    """Return a percentage; what is there but below 0.1 % does not read as nothing."""
    if part and 1000 * part < whole:
        return "<0.1 %"
    return f"{100 * part / whole:.1f} %" if whole else "-"


def plan_text(document: Mapping[str, Any]) -> str:
    """Return what is going to be built, for people."""
    rows = [["split", "samples", "labels from", "shards", "records a shard", "sources"]]
    for name, split in document["splits"].items():
        rows.append(
            [
                name,
                f"{split['samples']:,}",
                split["labels"] or "none",
                str(len(split["shards"])),
                span([shard["records"] for shard in split["shards"]]),
                size(split["bytes"]),
            ]
        )
    return "\n".join([safe_text.text(document["root"]), "", *table(rows, "<><>>>")])


def findings_text(findings: Sequence[Mapping[str, Any]], few: int | None = None) -> str:
    """Return what an audit found, for people: a row a kind and split, with the first of it.

    `few` is how many samples of a split were opened, None for all.
    """
    rows: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for kind in KINDS:
        for finding in findings:
            if finding["kind"] == kind:
                rows.setdefault((kind, finding["split"]), []).append(finding)
    lines = [["found", "split", "count", "the first"]]
    for (kind, split), found in rows.items():
        lines.append([KINDS[kind], split, f"{len(found):,}", found[0]["key"] or found[0]["text"]])
    text = "\n".join(table(lines, "<<><"))
    if few and any(finding["key"] for finding in findings):
        text += f"\n  {few} samples of each split were opened; --dry-run opens all"
    return text


def summary_text(document: Mapping[str, Any]) -> str:
    """Return what a build came to, for people."""
    splits = document["manifest"]["splits"].values()
    records = sum(split["records"] for split in splits)
    total = sum(split["bytes"] for split in splits)
    shards = sum(len(split["shards"]) for split in splits)
    what = f"{count(records, 'record')} in {count(shards, 'shard')}, {size(total)}"
    out = safe_text.text(document["out"])
    if not document["written"]:
        return f"{out} is complete: {what}; nothing to do"
    kept = f", {document['kept']:,} shards kept" if document["kept"] else ""
    return f"{out}: {what}{kept}, in {document['seconds']:.1f} s"


def weights(split: Mapping[str, Any]) -> dict[str, dict[int, str]]:
    """Return what a split's classes weigh for people, by the weights' title and by class."""
    known = split.get("weights", {})
    return {
        name.replace("_", " "): {i: f"{weight:.3g}" for i, weight in enumerate(known[name])}
        for name in ("median_frequency", "effective_number")
        if name in known
    }


def span(counts: Sequence[int]) -> str:
    """Return the smallest and the largest of some numbers for people."""
    low, high = min(counts), max(counts)
    return f"{low:,}" if low == high else f"{low:,}..{high:,}"


def validation_text(document: Mapping[str, Any]) -> str:
    """Return what a validation found, for people: a row a kind, with the number and the first."""
    extent = f"{count(document['records'], 'record')} in {count(document['files'], 'file')}"
    head = f"{document['path']}: {extent}, {size(document['bytes'])}, checked {document['level']}"
    head = safe_text.text(head)
    if not document["problems"]:
        return f"{head}: no problem found"
    rows = [["problem", "count", "the first"]]
    for kind, what in PROBLEMS.items():
        found = [problem for problem in document["problems"] if problem["kind"] == kind]
        if found:
            rows.append([what, f"{len(found):,}", found[0]["text"]])
    number = count(len(document["problems"]), "problem")
    return "\n".join([f"{head}: {number} found", "", *table(rows, "<><")])


# What `diff` tells of the samples of a split, for people.
_CHANGES = {
    "removed": "are only in A",
    "added": "are only in B",
    "image": "have another image",
    "label": "have another label",
    "features": "have other features",
    "moved": "are in another shard",
}


def diff_text(document: Mapping[str, Any]) -> str:
    """Return how two builds differ, for people."""
    lines = [safe_text.text(f"{side} {document[side.lower()]}") for side in "AB"] + [""]
    if document["same"]:
        return "\n".join([*lines, "  the same recipe, samples and bytes"])
    for change in document["recipe"]:
        text = f"  recipe: {change['what']} was {change['was']} and is {change['is']}"
        lines.append(safe_text.text(text))
    for split, (was, now) in document["extent"].items():
        text = f"  {split}: {count(was['records'], 'record')} and {now['records']:,}"
        lines += ["", safe_text.text(text)]
        for what, text in _CHANGES.items():
            keys = document["splits"][split][what]
            if keys:
                more = f", {keys[1]}, ..." if len(keys) > 2 else f", {keys[1]}" if keys[1:] else ""
                lines.append(safe_text.text(f"    {len(keys):,} {text}: {keys[0]}{more}"))
        for side in ("heights", "widths"):
            if was[side] != now[side] and was[side] and now[side]:
                spans = [f"{low}..{high}" for low, high in (was[side], now[side])]
                lines.append(f"    {side} were {spans[0]} and are {spans[1]} pixels")
    moved = [row for row in document["classes"] if row["was"] != row["is"]]
    if moved:
        rows = [["split", "class", "", "A", "B", "moves by"]]
        for row in moved:
            change = f"{100 * (row['is'] - row['was']):+.2f} %"
            cells = [f"{100 * row[end]:.2f} %" for end in ("was", "is")]
            rows.append([row["split"], str(row["value"]), row["name"] or "", *cells, change])
        lines += ["", *table(rows, "<><>>>")]
    return "\n".join(lines)
