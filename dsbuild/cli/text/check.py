"""What `validate` finds and how two builds differ, as text."""

from collections.abc import Mapping, Sequence
from typing import Any

from dsbuild.cli.text.class_table import chosen, folded
from dsbuild.cli.text.listing import below, listing
from dsbuild.cli.text.table import table
from dsbuild.cli.text.view import View
from dsbuild.inspect.tables import count, size
from dsbuild.storage import safe_text
from dsbuild.validate.problem import KINDS

_ALL = View()
_FEW = 4  # parts of a recipe that are shown


def validation_text(document: Mapping[str, Any], view: View = _ALL) -> str:
    """Return the problems that a validation found, up to ten of each kind, or all of them."""
    path, problems = document["path"], document["problems"]
    extent = f"{count(document['records'], 'record')} in {count(document['files'], 'file')}"
    extent += f", {size(document['bytes'])}"
    head = safe_text.text(f"{path}: {extent}, checked at level {document['level']}")
    if not problems:
        return f"{head}: no problem found"
    groups = [
        (what, [below(path, one["text"]) for one in problems if one["kind"] == kind])
        for kind, what in KINDS.items()
    ]
    found = f"{head}: {count(len(problems), 'problem')} found"
    return "\n".join([found, "", *listing(groups, view)])


def _changed(what: str, was: object, now: object) -> list[str]:
    """Return one line for a part of two recipes that differs, or for each of its own parts."""
    if isinstance(was, Mapping) and isinstance(now, Mapping):
        parts = [key for key in {**was, **now} if was.get(key) != now.get(key)]
        lines = [_changed(f"{what}.{key}", was.get(key), now.get(key)) for key in parts]
        if len(lines) > _FEW:
            lines[_FEW:] = [[f"  recipe: {what}: … and {len(lines) - _FEW:,} more"]]
        return [line for part in lines for line in part]
    text = f"  recipe: {what} was {_short(was)} and is {_short(now)}"
    return [safe_text.text(text)]


def _short(value: object) -> str:
    """Return a value of a recipe; of a long list its first values, and how many there are."""
    if isinstance(value, list) and len(value) > _FEW:
        few = ", ".join(map(repr, value[:_FEW]))
        return f"[{few}, … {len(value):,} in all]"
    return str(value)


# What `diff` prints about the samples of a split.
_CHANGES = {
    "removed": "are only in A",
    "added": "are only in B",
    "image": "have another image",
    "label": "have another label",
    "features": "have other features",
    "moved": "are in another shard",
}


def diff_text(document: Mapping[str, Any], view: View = _ALL) -> str:
    """Return how two builds differ; of many classes that differ, those that differ most."""
    lines = [safe_text.text(f"{side} {document[side.lower()]}") for side in "AB"] + [""]
    if document["same"]:
        return "\n".join([*lines, "  the same recipe, samples and bytes"])
    for change in document["recipe"]:
        lines += _changed(change["what"], change["was"], change["is"])
    for split, (was, now) in document["extent"].items():
        text = f"  {split}: {count(was['records'], 'record')} in A, {now['records']:,} in B"
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
        lines += ["", *_moved(moved, view)]
    return "\n".join(lines)


def _moved(moved: Sequence[Mapping[str, Any]], view: View) -> list[str]:
    """Return one row per class and split whose share differs."""
    changes = {i: abs(row["is"] - row["was"]) for i, row in enumerate(moved)}
    shown = chosen(list(changes), changes, view)
    rows = [["split", "class", "", "A", "B", "moves by"]]
    for row in (moved[i] for i in shown):
        change = f"{100 * (row['is'] - row['was']):+.2f} %"
        cells = [f"{100 * row[end]:.2f} %" for end in ("was", "is")]
        rows.append([row["split"], str(row["value"]), row["name"] or "", *cells, change])
    return [*table(rows, "<><>>>", view.columns, "00~220"), *folded(len(moved) - len(shown))]
