"""Colours in a terminal: swatches, bars, and pictures in half-block characters.

Colours are 24-bit ANSI sequences. A character is two pixels, one above the other: the
upper half block in the upper one's colour on the lower one's.
"""

from collections.abc import Callable, Sequence

import numpy as np

_RESET = "\x1b[0m"
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_GAP = "  "


def swatch(colour: Sequence[int], width: int = 2) -> str:
    """Return a patch of a colour."""
    red, green, blue = colour
    return f"\x1b[48;2;{red};{green};{blue}m{' ' * width}{_RESET}"


def bar(part: float, width: int = 24) -> str:
    """Return a bar whose length is a share of a width, in eighths of a character.

    >>> bar(0.5, 5)
    '██▌'
    """
    whole, eighths = divmod(round(8 * width * min(max(part, 0), 1)), 8)
    if part > 0 and not whole and not eighths:
        eighths = 1  # what is there does not look like nothing
    return "█" * whole + _EIGHTHS[eighths].strip()


def decorator(colours: np.ndarray) -> Callable[[int, float, str], str]:
    """Return what puts a class's colour before its line of a table, and its bar behind."""

    def decorate(value: int, part: float, line: str) -> str:
        return f"{swatch(colours[value % len(colours)])} {line[2:]}  \x1b[2m{bar(part)}{_RESET}"

    return decorate


def picture(pixels: np.ndarray) -> list[str]:
    """Return the lines of a picture uint8 (h, w, 3); below an odd last row nothing is drawn."""
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

    A picture that is smaller keeps its size.

    >>> extent((300, 400), 40, 100)
    (30, 40)
    """
    height, width = size
    scale = min(columns / width, 2 * rows / height, 1)
    return max(1, round(height * scale)), max(1, round(width * scale))


def beside(*pictures: Sequence[str]) -> list[str]:
    """Return pictures of the same height side by side."""
    return [_GAP + _GAP.join(lines) for lines in zip(*pictures, strict=True)]
