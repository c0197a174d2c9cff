"""What all commands share: sizes as options, errors, and printing.

Everything is printed through this module, which escapes the text of data sets, so that a terminal
never takes it for a command; a test holds the other modules to that.
"""

import contextlib
import json
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any

import click

from dsbuild.errors import DsbuildError
from dsbuild.storage import interruptions, safe_text, waiting
from dsbuild.storage.patience import MOST, SECONDS

FOUND, COULD_NOT_RUN = 1, 2  # exit codes: something was found; the command could not do its work
WHOLE = "files written so far are complete; run the same command again"  # after an interruption


class Bytes(click.ParamType):  # type: ignore[type-arg]  # generic since Click 8.2 alone
    """A size such as `128MB`, in powers of 1000, or `128MiB`, in powers of 1024."""

    name = "size"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        """Return the number of bytes."""
        from dsbuild.build.request import shard_size

        try:
            return shard_size(value)
        except DsbuildError as error:
            self.fail(str(error).removeprefix("shard_size: "), param, ctx)


@contextlib.contextmanager
def errors(left: str = "nothing was written; run the same command again") -> Iterator[None]:
    """Turn errors that a user can fix into one red line and exit code 2; bugs keep their traceback.

    `left` says what an interruption leaves, and what to do then.
    """
    context = click.get_current_context(silent=True)
    quiet = context is not None and context.params.get("quiet")
    ending = f"interrupted: {left}"
    try:
        with (
            waiting.heard_by(None if quiet else _hear),
            interruptions.bounded(lambda: say(ending, "yellow")),
        ):
            yield
    except DsbuildError as error:
        say(f"error: {by_option(str(error), context)}", "red")
        sys.exit(COULD_NOT_RUN)
    except MemoryError:
        say(
            f"error: out of memory; use fewer --workers, or a machine with more memory; {left}",
            "red",
        )
        sys.exit(COULD_NOT_RUN)
    except KeyboardInterrupt as error:
        say(ending, "yellow")
        sys.exit(128 + (error.args[0] if error.args else signal.SIGINT))


def by_option(message: str, context: click.Context | None) -> str:
    """Return a message about a field of a value with the option that it came from."""
    name, colon, rest = message.partition(": ")
    for param in context.command.params if context and rest.startswith("found ") else ():
        if param.name == name and isinstance(param, click.Option):
            return f"{max(param.opts, key=len)}{colon}{rest}"
    return message


def _hear(what: str, line: str) -> None:
    """Print a message from a wait for a lock or a store."""
    from dsbuild.engines import aside

    with aside():
        note(f"{what}: {line}")


def _store_seconds(ctx: click.Context, _: click.Parameter, value: float | None) -> None:
    """Set how long to wait for stores, in this process and those that it starts."""
    if value is not None:
        before = os.environ.get(SECONDS)
        ctx.call_on_close(lambda: _restore(before))
        os.environ[SECONDS] = f"{value:g}"


def _restore(before: str | None) -> None:
    os.environ.pop(SECONDS, None)
    if before is not None:
        os.environ[SECONDS] = before


STORE_SECONDS = click.Option(
    ["--store-seconds"],
    type=click.FloatRange(0, MOST, min_open=True),
    metavar="SECONDS",
    expose_value=False,
    callback=_store_seconds,
    help=f"How long to wait for an object store that is down. Default: {SECONDS}, or 60.",
)


all_option = click.option(
    "-v",
    "--verbose",
    "--all",
    "every",
    is_flag=True,
    help="List all classes and findings, not the first ones alone.",
)


def colours() -> bool | None:
    """Return whether colours are wanted on any output; None for those on terminals.

    Set NO_COLOR (no-color.org) for none, FORCE_COLOR (force-color.org) for colours everywhere.
    """
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return True if os.environ.get("FORCE_COLOR", "0") not in ("", "0") else None


def note(line: str) -> None:
    """Print a note to stderr."""
    say(f"note: {line}", "yellow")


def problem(line: str) -> None:
    """Print a problem to stderr."""
    say(f"problem: {line}", "red")


def say(line: str, colour: str | None = None) -> None:
    """Print one line to stderr."""
    click.echo(_coloured(safe_text.text(line), colour), err=True, color=colours())


def show(text: str, colour: str | None = None) -> None:
    """Print text of several lines to stderr."""
    click.echo(_coloured(safe_text.lines(text), colour), err=True, color=colours())


def _coloured(text: str, colour: str | None) -> str:
    return click.style(text, fg=colour) if colour else text  # a style alone adds a reset


def echo(text: str) -> None:
    """Print text to stdout; invisible characters other than line ends are escaped."""
    click.echo(safe_text.lines(text))


def echo_line(line: str, err: bool = False) -> None:
    """Print one line to stdout, or to stderr."""
    click.echo(safe_text.text(line), err=err)


def echo_drawn(text: str, color: bool | None = None) -> None:
    """Print text with colours of our own; each part of it was escaped before."""
    click.echo(text, color=colours() if color is None else color)


def echo_json(document: Any) -> None:
    """Print a document as JSON; everything but plain ASCII is escaped."""
    click.echo(json.dumps(document, indent=2).replace("\x7f", "\\u007f"))
