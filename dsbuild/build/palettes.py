"""What colours stand for in the labels of a split: the same value in every file.

Values of a palette whose colours nobody defined are trusted as far as all files agree; a tool
that puts a palette into another order does so in each file by itself.
"""

import itertools
from collections.abc import Iterable, Mapping

RGB = tuple[int, int, int]
Meanings = dict[tuple[int, int, int, int], str]  # red, green, blue, value -> the first file with it
Row = tuple[str | int, ...]  # a file, and after it red, green, blue, value of all that it has first
KIND = "palettes"
_MOST = 512  # colours and greys of 256 values each; of more, some disagree


def add(known: Meanings, colours: Mapping[RGB, int], file: str) -> None:
    """Add what the colours of a file stand for, until there are enough to disagree."""
    if len(known) <= _MOST:
        for colour, value in colours.items():
            known.setdefault((*colour, value), file)


def rows(known: Meanings) -> tuple[Row, ...]:
    """Return what colours stand for as rows, a file each: many of them are held together."""
    found: dict[str, list[int]] = {}
    for meaning, file in sorted(known.items()):
        found.setdefault(file, []).extend(meaning)
    return tuple((file, *flat) for file, flat in found.items())


def joined(parts: Iterable[Iterable[Row]]) -> Meanings:
    """Return what the rows of several parts of a split say, of each meaning the first file."""
    known: Meanings = {}
    for row in itertools.chain.from_iterable(parts):
        file, flat = str(row[0]), [int(number) for number in row[1:]]
        for red, green, blue, value in zip(*(flat[i::4] for i in range(4)), strict=True):
            known.setdefault((red, green, blue, value), file)
    return known


def disagreement(known: Meanings) -> str | None:
    """Return which two files of a split have one colour for two values, or one value in two.

    A value may be its own grey level too, as which grey files have it.
    """
    values: dict[RGB, tuple[int, str]] = {}
    colours: dict[int, tuple[RGB, str]] = {}
    for (red, green, blue, value), file in known.items():
        colour = (red, green, blue)
        there, first = values.setdefault(colour, (value, file))
        if there != value:
            return _text(f"the colour {colour} for the value {there}", first, f"for {value}", file)
        if colour == (value, value, value):
            continue
        before, first = colours.setdefault(value, (colour, file))
        if before != colour:
            return _text(f"the value {value} in the colour {before}", first, f"in {colour}", file)
    return None


def _text(what: str, first: str, other: str, second: str) -> str:
    return (
        f"found {what} in {first}, and {other} in {second}, expected palettes of one order in all "
        "labels of a split: some tool put them into another one, file by file; say what the "
        "colours mean by dsbuild pairs --colormap FILE, save the labels as grey of 8 bits, or "
        f"where the colours mean nothing and the numbers are right, --accept {KIND}"
    )
