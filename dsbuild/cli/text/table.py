"""Rows as aligned lines that fit a terminal: columns give way, lines never wrap."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from dsbuild.cli.text.view import cut, padded, width
from dsbuild.storage import safe_text

_CELL = 1000  # characters; a longer one would make every line as long
_GAP = "  "
_SHORT, _SHORTEST = 16, 6  # columns that a text keeps before and after others are left out


class Fitted(NamedTuple):
    """The lines of a table, and a line on the columns that were left out, or nothing."""

    lines: list[str]
    note: str


def table(
    rows: Sequence[Sequence[str]], right: str, columns: int | None = None, ranks: str = ""
) -> list[str]:
    """Return rows as aligned lines, and a last one if columns are left out; see `fitted`."""
    lines, note = fitted(rows, right, columns, ranks)
    return [*lines, note] if note else lines


def fitted(
    rows: Sequence[Sequence[str]], right: str, columns: int | None = None, ranks: str = ""
) -> Fitted:
    """Return rows as aligned lines of at most so many columns; None means any number.

    The first row is the head. `right` marks each column `>` or `<`. `ranks` says what gives way,
    one sign per column: of the digits, 9 is left out first, and columns of equal ranks together,
    but those of rank 1 one by one from the right; `0` stays; `~` stays but may be cut. Control
    characters are escaped, since cells may contain names from a data set.
    """
    rows = [[safe_text.text(cell, _CELL) for cell in row] for row in rows]
    widths = [max(width(row[i]) for row in rows) for i in range(len(right))]
    ranks = ranks or "0" * len(right)
    shown = list(range(len(right)))
    if columns is not None:
        shown = _chosen(widths, ranks, columns)
        _shrink(widths, shown, ranks, columns, _SHORTEST)
    lines = []
    for row in rows:
        cells = [padded(cut(row[i], widths[i]), widths[i], right[i] == ">") for i in shown]
        line = (_GAP + _GAP.join(cells)).rstrip()
        lines.append(line if columns is None else cut(line, columns))
    absent = [rows[0][i] for i in range(len(right)) if i not in shown]
    return Fitted(lines, _note(absent, columns))


def _whole(widths: Sequence[int], shown: Sequence[int]) -> int:
    return sum(len(_GAP) + widths[i] for i in shown)


def _chosen(widths: Sequence[int], ranks: str, columns: int) -> list[int]:
    """Return the columns that fit: texts are cut a little first, then columns are left out."""
    shown = list(range(len(widths)))
    while True:
        least = list(widths)
        _shrink(least, shown, ranks, columns, _SHORT)
        rank = max((ranks[i] for i in shown if ranks[i] not in "0~"), default="")
        if _whole(least, shown) <= columns or not rank:
            return shown
        leaving = [i for i in shown if ranks[i] == rank]
        shown = [i for i in shown if i not in (leaving[-1:] if rank == "1" else leaving)]


def _shrink(widths: list[int], shown: Sequence[int], ranks: str, columns: int, least: int) -> None:
    """Make the longest texts shorter, down to `least`, until the columns fit."""
    texts = [i for i in shown if ranks[i] == "~"]
    over = _whole(widths, shown) - columns
    while over > 0 and texts:
        longest = max(texts, key=lambda i: widths[i])
        if widths[longest] <= least:
            return
        widths[longest] -= 1
        over -= 1


def _note(absent: Sequence[str], columns: int | None) -> str:
    """Return a line that names the columns that were left out, or nothing."""
    if not absent:
        return ""
    counts = Counter(filter(None, absent))
    names = ", ".join(name if many == 1 else f"{name} ({many})" for name, many in counts.items())
    several = "1 more column" if len(absent) == 1 else f"{len(absent)} more columns"
    line = f"{_GAP}… and {several}: {names}"
    return line if columns is None else cut(line, columns)
