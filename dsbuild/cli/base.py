"""What all commands share: sizes as options, and the one door to the terminal.

All that is printed goes through here, so that no text of a data set is ever read as a command
of the terminal; a test holds the other modules to it.
"""

import contextlib
import json
import re
import signal
import sys
from collections.abc import Iterator
from typing import Any

import click

from dsbuild import harmless
from dsbuild.errors import DsbuildError

UNITS = ("", "k", "m", "g", "t")


class Bytes(click.ParamType):
    """A size such as `128MB`, in powers of 1000, or `128MiB`, in powers of 1024."""

    name = "size"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        """Return the number of bytes."""
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)\s*([kmgt]?)(i?)b?", value.strip().lower())
        base = 1024 if match and match[3] else 1000
        size = int(float(match[1]) * base ** UNITS.index(match[2])) if match else 0
        if size < 1:
            self.fail(f"found {value!r}, expected a size such as 128MB or 1GB", param, ctx)
        return size


@contextlib.contextmanager
def errors(kept: str = "finished shards are kept") -> Iterator[None]:
    """Turn what a user can mend into one red line and exit code 1; leave bugs their traceback.

    `kept` is what an interruption leaves.
    """
    try:
        yield
    except DsbuildError as error:
        say(f"error: {error}", "red")
        sys.exit(1)
    except KeyboardInterrupt as error:
        say(f"interrupted: {kept}; run the same command again to resume", "yellow")
        sys.exit(128 + (error.args[0] if error.args else signal.SIGINT))


def note(line: str) -> None:
    """Print a note to stderr."""
    say(f"note: {line}", "yellow")


def problem(line: str) -> None:
    """Print a problem to stderr."""
    say(f"problem: {line}", "red")


def say(line: str, colour: str | None = None) -> None:
    """Print one line to stderr."""
    click.secho(harmless.text(line), fg=colour, err=True)


def show(text: str, colour: str | None = None) -> None:
    """Print text of several lines to stderr."""
    click.secho(harmless.lines(text), fg=colour, err=True)


def echo(text: str) -> None:
    """Print text to stdout; all but the ends of its lines that is not seen is escaped."""
    click.echo(harmless.lines(text))


def echo_line(line: str, err: bool = False) -> None:
    """Print one line to stdout, or to stderr."""
    click.echo(harmless.text(line), err=err)


def echo_drawn(text: str, color: bool | None = None) -> None:
    """Print text with colours of our own, of which each part was made harmless before."""
    click.echo(text, color=color)


def echo_json(document: Any) -> None:
    """Print a document as JSON, in which all but plain ASCII is escaped."""
    click.echo(json.dumps(document, indent=2).replace("\x7f", "\\u007f"))
