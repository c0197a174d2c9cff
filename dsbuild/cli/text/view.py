"""How wide a terminal is, and how many of its columns a text takes."""

import os
import unicodedata
from dataclasses import dataclass
from typing import TextIO

_WIDE, _PLAIN = "WF", 80
_NONE = ("Mn", "Me", "Cf")  # marks that join the character before them


@dataclass(frozen=True)
class View:
    """What a text is fitted to.

    Attributes:
      columns: width of the terminal; None if it is none: then nothing is cut or folded.
      every: whether to list all rows and findings, as --all does.
    """

    columns: int | None = None
    every: bool = False


def view(stream: TextIO, every: bool = False) -> View:
    """Return the view of a stream; COLUMNS in the environment overrides a terminal's width."""
    if not stream.isatty():
        return View(None, every)
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and int(given):
        return View(int(given), every)
    try:
        return View(os.get_terminal_size(stream.fileno()).columns or _PLAIN, every)
    except (OSError, ValueError):
        return View(_PLAIN, every)


def width(text: str) -> int:
    """Return how many columns a text takes in a terminal.

    >>> width("cat"), width("猫"), width("e\u0301")
    (3, 2, 1)
    """
    if text.isascii():
        return len(text)
    return sum(map(_columns, text))


def _columns(char: str) -> int:
    if unicodedata.category(char) in _NONE:
        return 0
    return 2 if unicodedata.east_asian_width(char) in _WIDE else 1


def padded(text: str, columns: int, right: bool = False) -> str:
    """Return a text filled up with spaces, on its left if it is to be aligned `right`."""
    space = " " * (columns - width(text))
    return space + text if right else text + space


def cut(text: str, columns: int) -> str:
    """Return a text that takes at most so many columns; one that was cut ends in `…`.

    >>> cut("motorbike", 6), cut("motorbike", 9)
    ('motor…', 'motorbike')
    """
    if width(text) <= columns:
        return text
    taken, left = "", columns - 1
    for char in text:
        left -= _columns(char)
        if left < 0:
            break
        taken += char
    return (taken + "…")[: max(columns, 0)]
