"""Cells and rows of tables that the terminal and the HTML page both show."""

import math
from collections.abc import Mapping, Sequence
from typing import Any


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
