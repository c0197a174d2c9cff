"""What a command looks like in a terminal: a real one to the command, HTML to a browser."""

import errno
import fcntl
import html
import itertools
import os
import pathlib
import pty
import struct
import termios
from collections.abc import Iterator, Mapping

import pyte
from pyte.screens import Char

ROWS = 40  # that the command is told
LONGEST = 400  # rows that are kept
COLOURS = {
    "black": "#3b4252",
    "red": "#e06c75",
    "green": "#8fbf6f",
    "brown": "#e5c07b",
    "blue": "#61afef",
    "magenta": "#c678dd",
    "cyan": "#56b6c2",
    "white": "#d8dee9",
    "brightblack": "#7a8294",
}
STYLE = """
body { margin: 0; background: #fff; }
main { display: inline-block; margin: 0; background: #1e222a; border-radius: 8px;
  overflow: hidden; }
header { height: 26px; background: #2b303b; display: flex; gap: 7px; align-items: center;
  padding-left: 12px; }
header i { width: 11px; height: 11px; border-radius: 50%; background: #4b5263; }
pre { margin: 0; padding: 12px 16px 14px; color: #d8dee9;
  font: 14px/1.35 "DejaVu Sans Mono", "Noto Sans Mono", monospace; }
b.prompt { color: #8fbf6f; }
"""


def shown(
    command: str, folder: pathlib.Path, environment: Mapping[str, str], columns: int
) -> tuple[pyte.Screen, int]:
    """Run a shell command in a terminal of so many columns; return the screen and exit code."""
    screen = pyte.Screen(columns, LONGEST)
    stream = pyte.ByteStream(screen)
    process, terminal = pty.fork()
    if process == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, columns, 0, 0))
        os.chdir(folder)
        words = ["/bin/sh", "-c", command]
        os.execve(
            words[0], words, {**environment, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        )
    while data := _read(terminal):
        stream.feed(data)
    os.close(terminal)
    return screen, os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def _read(terminal: int) -> bytes:
    """Return what a command wrote; nothing after its end, which Linux reports as an error."""
    try:
        return os.read(terminal, 1 << 16)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        return b""


def lines(screen: pyte.Screen) -> Iterator[str]:
    """Return the rows of a screen as HTML, without empty rows at the end."""
    last = max((row for row, text in enumerate(screen.display) if text.strip()), default=-1)
    for row in range(last + 1):
        cells = [screen.buffer[row][column] for column in range(screen.columns)]
        parts = itertools.groupby(cells, key=_style)
        # The second cell of a wide character is empty.
        yield "".join(_span(style, "".join(c.data for c in part)) for style, part in parts).rstrip()


def _style(cell: Char) -> str:
    front, back = (_colour(name) for name in (cell.fg, cell.bg))
    if cell.reverse:
        front, back = back or "#1e222a", front or "#d8dee9"
    rules = {"color": front, "background": back, "font-weight": "bold" if cell.bold else ""}
    return ";".join(f"{name}:{value}" for name, value in rules.items() if value)


def _colour(name: str) -> str:
    if name == "default":
        return ""
    return COLOURS.get(name) or COLOURS.get(name.removeprefix("bright")) or f"#{name}"


def _span(style: str, text: str) -> str:
    return f'<span style="{style}">{html.escape(text)}</span>' if style else html.escape(text)


def window(shells: list[tuple[str, pyte.Screen]], columns: int) -> str:
    """Return the HTML page of a terminal's window: commands, each with what it showed."""
    rows = []
    for command, screen in shells:
        rows.append(f'<b class="prompt">$</b> {html.escape(command)}'.replace("\n", "\n> ", 1))
        rows.extend(lines(screen))
    body = "\n".join(rows)
    return (
        f"<!doctype html><meta charset=utf-8><style>{STYLE} pre {{ width: {columns}ch; }}</style>"
        f"<main><header><i></i><i></i><i></i></header><pre>{body}</pre></main>"
    )
