"""The last line of a command: which one is useful next."""

import shlex
from collections.abc import Iterable

import click

from dsbuild.cli.options import say

GIVEN = "dsbuild.given"  # the arguments of the command, in the context


def show(*words: str) -> None:
    """Print the next useful command to stderr, unless --quiet or --json was given."""
    asked = click.get_current_context().params
    if not (asked.get("quiet") or asked.get("as_json")):
        say(f"next: {shlex.join(['dsbuild', *words])}")


def again(*without: str) -> list[str]:
    """Return the words of this command, as they were given, but some options."""
    context = click.get_current_context()
    runner = context.params.get("runner")
    behind: Iterable[str] = runner.options if runner else ()
    words = [word for word in context.meta.get(GIVEN, ()) if word not in without]
    return [context.info_name or "", *words, *(["--", *behind] if behind else [])]
