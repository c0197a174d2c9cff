"""What `validate` finds and how two builds differ, as text."""

from collections.abc import Mapping
from typing import Any

from dsbuild.cli.text.table import table
from dsbuild.inspect.tables import count, size
from dsbuild.storage import safe_text
from dsbuild.validate.problem import KINDS


def validation_text(document: Mapping[str, Any]) -> str:
    """Return the problems that a validation found: one row per kind, with its first problem."""
    extent = f"{count(document['records'], 'record')} in {count(document['files'], 'file')}"
    head = f"{document['path']}: {extent}, {size(document['bytes'])}, checked {document['level']}"
    head = safe_text.text(head)
    if not document["problems"]:
        return f"{head}: no problem found"
    rows = [["problem", "count", "first"]]
    for kind, what in KINDS.items():
        found = [problem for problem in document["problems"] if problem["kind"] == kind]
        if found:
            rows.append([what, f"{len(found):,}", found[0]["text"]])
    number = count(len(document["problems"]), "problem")
    return "\n".join([f"{head}: {number} found", "", *table(rows, "<><")])


# What `diff` prints about the samples of a split.
_CHANGES = {
    "removed": "are only in A",
    "added": "are only in B",
    "image": "have another image",
    "label": "have another label",
    "features": "have other features",
    "moved": "are in another shard",
}


def diff_text(document: Mapping[str, Any]) -> str:
    """Return how two builds differ."""
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
