"""What colours mean in the labels of a split: the same value in every file.

If nobody defined a palette's colours, its values are trusted as long as all files agree: a tool
that reorders palettes does so in each file by itself.
"""

import itertools
from collections.abc import Iterable, Mapping

RGB = tuple[int, int, int]
Meanings = dict[tuple[int, int, int, int], str]  # red, green, blue, value -> the first file with it
Row = tuple[str | int, ...]  # a file, then red, green, blue, value of all that it has first
KIND = "palettes"
_MOST = 512  # a colour and a grey for each of 256 values; with more, some must disagree


def add(known: Meanings, colours: Mapping[RGB, int], file: str) -> None:
    """Add the meanings of a file's colours, until there are enough to disagree."""
    if len(known) <= _MOST:
        for colour, value in colours.items():
            known.setdefault((*colour, value), file)


def rows(known: Meanings) -> tuple[Row, ...]:
    """Return meanings as compact rows, one per file: many of them are held in memory."""
    by_file: dict[str, list[int]] = {}
    for meaning, file in sorted(known.items()):
        by_file.setdefault(file, []).extend(meaning)
    return tuple((file, *flat) for file, flat in by_file.items())


def joined(parts: Iterable[Iterable[Row]]) -> Meanings:
    """Return the meanings in the rows of several parts of a split, each with its first file."""
    known: Meanings = {}
    for row in itertools.chain.from_iterable(parts):
        file, flat = str(row[0]), [int(number) for number in row[1:]]
        for red, green, blue, value in zip(*(flat[i::4] for i in range(4)), strict=True):
            known.setdefault((red, green, blue, value), file)
    return known


def disagreement(known: Meanings) -> str | None:
    """Say which two files of a split give a colour two values, or a value two colours; or None.

    A value may also have its own grey level as colour, as in grey files.
    """
    values: dict[RGB, tuple[int, str]] = {}
    colours: dict[int, tuple[RGB, str]] = {}
    for (red, green, blue, value), file in known.items():
        colour = (red, green, blue)
        other, first = values.setdefault(colour, (value, file))
        if other != value:
            return _text(f"the colour {colour} for the value {other}", first, f"for {value}", file)
        if colour == (value, value, value):
            continue
        before, first = colours.setdefault(value, (colour, file))
        if before != colour:
            return _text(f"the value {value} in the colour {before}", first, f"in {colour}", file)
    return None


def _text(what: str, first: str, other: str, second: str) -> str:
    return (
        f"found {what} in {first}, and {other} in {second}, expected palettes in the same order in "
        "all labels of a split: some tool reordered them, file by file; say what the colours mean "
        "with dsbuild pairs --colormap FILE, save the labels as 8-bit grey, or, if the colours "
        f"mean nothing and the numbers are right, --accept {KIND}"
    )
