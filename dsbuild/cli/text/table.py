"""Rows as aligned lines."""

from collections.abc import Sequence

from dsbuild.storage import safe_text

_CELL = 1000  # characters; a longer one would make every line as long


def table(rows: Sequence[Sequence[str]], right: str) -> list[str]:
    """Return rows as aligned lines; `right` marks each column `>` or `<`.

    Control characters are escaped, since cells may contain names from a data set.
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
