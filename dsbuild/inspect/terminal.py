"""Colours in a terminal: swatches, bars, and pictures in half-block characters.

Colours are 24-bit ANSI sequences. Each character shows two pixels, one above the other: an upper
half block in the colour of the upper pixel, on the colour of the lower one.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

_RESET = "\x1b[0m"
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_GAP = "  "


def swatch(colour: Sequence[int], width: int = 2) -> str:
    """Return a patch of a colour, `width` characters wide."""
    red, green, blue = colour
    return f"\x1b[48;2;{red};{green};{blue}m{' ' * width}{_RESET}"


def bar(part: float, width: int = 24) -> str:
    """Return a bar of a length that is a share of `width`, in eighths of a character.

    >>> bar(0.5, 5)
    '██▌'
    """
    whole, eighths = divmod(round(8 * width * min(max(part, 0), 1)), 8)
    if part > 0 and not whole and not eighths:
        eighths = 1  # a small share must not look like none
    return "█" * whole + _EIGHTHS[eighths].strip()


def decorator(colours: NDArray[np.uint8]) -> Callable[[int, float, str, int], str]:
    """Return a function that puts a class's colour before its line of a table, and a bar after.

    It takes the class, its share of the longest bar, the line, and the columns of that bar.
    """

    def decorate(value: int, part: float, line: str, width: int) -> str:
        coloured = f"{swatch(colours[value % len(colours)])} {line[2:]}"
        return f"{coloured}  \x1b[2m{bar(part, width)}{_RESET}" if width else coloured

    return decorate


def picture(pixels: NDArray[np.uint8]) -> list[str]:
    """Return lines that draw a picture, uint8 (h, w, 3); nothing is drawn below an odd last row."""
    lines = []
    for y in range(0, len(pixels), 2):
        line, before = [], None
        lower = pixels[y + 1].tolist() if y + 1 < len(pixels) else None
        for x, upper in enumerate(pixels[y].tolist()):
            code = "38;2;" + ";".join(map(str, upper))
            code += ";48;2;" + ";".join(map(str, lower[x])) if lower else ";49"
            line.append(("" if code == before else f"\x1b[{code}m") + "▀")
            before = code
        lines.append("".join(line) + _RESET)
    return lines


def extent(size: tuple[int, int], columns: int, rows: int) -> tuple[int, int]:
    """Return the largest (height, width) in pixels that fits into columns and rows of text.

    A smaller picture keeps its size.

    >>> extent((300, 400), 40, 100)
    (30, 40)
    """
    height, width = size
    scale = min(columns / width, 2 * rows / height, 1)
    return max(1, round(height * scale)), max(1, round(width * scale))


def beside(*pictures: Sequence[str]) -> list[str]:
    """Return the lines of pictures of equal height, side by side."""
    return [_GAP + _GAP.join(lines) for lines in zip(*pictures, strict=True)]
