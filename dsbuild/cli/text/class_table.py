"""Tables of classes: many classes fold, and a terminal shows their colours and bars."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dsbuild.cli.text.table import fitted
from dsbuild.cli.text.view import View, padded, width
from dsbuild.format.manifest import IGNORE
from dsbuild.inspect.tables import share, weights
from dsbuild.storage.safe_text import text

_MOST, _FEW = 50, 20  # more classes than this fold in a terminal, to the most frequent ones
_BAR, _LEAST_BAR = 24, 6  # columns of a bar; a shorter one shows nothing
_MARGIN = 3  # columns that a bar and the swatch need beside the table

# (label value, share, line of a table, columns of the bar) -> the line in colours
Decorate = Callable[[int, float, str, int], str]


def class_lines(
    splits: Mapping[str, Any],
    view: View,
    top: int | None = None,
    decorate: Decorate | None = None,
) -> list[str]:
    """Return one row per class: its share of each split's pixels, number of images, weights.

    If labels are one class each, the share is that of images. With `top`, or if there are too many
    classes for the view, the most frequent ones are shown.
    """
    counted = {name: split for name, split in splits.items() if split["classes"]}
    lines = _counted(counted, view, top, decorate) if counted else []
    for name in [name for name in splits if name not in counted]:
        why = "its labels were not decoded" if splits[name]["labels"] else "no label was found"
        lines.append(text(f"  classes of {name} are not counted: {why}"))
    return lines


def _counted(
    counted: Mapping[str, Any], view: View, top: int | None, decorate: Decorate | None
) -> list[str]:
    names = {row["value"]: row["name"] or "" for s in counted.values() for row in s["classes"]}
    parts: Counter[int] = Counter(dict.fromkeys(names, 0))
    for split in counted.values():
        parts.update({row["value"]: row.get("pixels", row["images"]) for row in split["classes"]})
    ignored = [value for value in names if names[value] == IGNORE]  # which is no class
    classes = sorted(names.keys() - ignored)
    shown = chosen(classes, parts, view, top)
    values = [*shown, *ignored]
    rows = [["class", ""], *([str(value), names[value]] for value in values)]
    right, ranks = "><", "0~"
    for name, split in counted.items():
        cells = {
            row["value"]: (row.get("pixels", row["images"]), row["images"])
            for row in split["classes"]
        }
        whole = sum(part for part, _ in cells.values())
        weighted = weights(split)
        segments = {row["value"]: row["segments"] for row in split["classes"] if "segments" in row}
        more = (["segments"] if segments else []) + [title.split()[0] for title in weighted]
        rows[0] += [name, "images", *more]
        right, ranks = right + ">>" + ">" * len(more), ranks + "12" + "3" * len(more)
        for row, value in zip(rows[1:], values, strict=True):
            part, images = cells.get(value, (0, 0))
            row += [share(part, whole), f"{images:,}"]
            if segments:
                row.append(f"{segments[value]:,}" if value in segments else "")
            row += [texts.get(value, "") for texts in weighted.values()]
    lines = counted_classes(
        rows, right, ranks, values, [parts[value] for value in values], decorate, view
    )
    hidden = set(classes) - set(shown)
    return lines + folded(len(hidden), sum(not parts[value] for value in hidden))


def chosen(
    values: Sequence[int], parts: Mapping[int, float], view: View, top: int | None = None
) -> list[int]:
    """Return the values of the classes to show: all in order, or the most frequent ones first."""
    if top is None and (view.every or view.columns is None or len(values) <= _MOST):
        return list(values)
    return sorted(values, key=lambda value: (-parts[value], value))[: top or _FEW]


def folded(hidden: int, empty: int = 0, where: str = "--all lists them") -> list[str]:
    """Return a line on classes that are not shown, if there are any.

    `empty` of them have no image; `where` says where to find them.
    """
    if hidden <= 0:
        return []
    several = f"{hidden:,} more class{'' if hidden == 1 else 'es'}"
    absent = f", {empty:,} of them in no image" if empty else ""
    return [f"  … and {several}{absent}; {where}"]


def counted_classes(
    rows: Sequence[Sequence[str]],
    right: str,
    ranks: str,
    values: Sequence[int],
    parts: Sequence[int],
    decorate: Decorate | None,
    view: View,
) -> list[str]:
    """Return rows of classes, with the head first, as lines that fit the view.

    `decorate` gives each line its class's colour, and a bar next to the longest line if there is
    space for one.
    """
    columns = view.columns
    if decorate and columns is not None:
        columns -= 1  # for the swatch
    lines, note = fitted(rows, right, columns, ranks)
    notes = [note] if note else []
    if not decorate:
        return lines + notes
    longest, most = max(map(width, lines)), max(parts, default=0) or 1
    bar = _BAR if columns is None else min(_BAR, columns - longest - _MARGIN)
    bar = bar if bar >= _LEAST_BAR else 0
    made = [
        decorate(value, part / most, padded(line, longest) if bar else line, bar)
        for value, part, line in zip(values, parts, lines[1:], strict=True)
    ]
    return [f" {lines[0]}", *made, *notes]
