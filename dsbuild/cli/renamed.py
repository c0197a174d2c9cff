"""Options under names that they had before: they work, are not in the help, and say what to use."""

from typing import Any

import click
from click.core import ParameterSource

from dsbuild import fields
from dsbuild.cli.field_options import Option
from dsbuild.cli.kinds import Choice
from dsbuild.cli.options import note
from dsbuild.layouts import Layout

_BEFORE = "before_"  # begins the parameter of an old name


def options(layout: type[Layout]) -> list[Option]:
    """Return one hidden option per old name of a layout's options."""
    return [_hidden(layout, old, new) for old, new in fields.renamed(layout).items()]


def _hidden(layout: type[Layout], old: str, new: str) -> Option:
    choices = fields.named(layout)[new].metadata.get("choices")
    kind = Choice(choices) if choices else click.STRING
    return click.option(f"--{old.replace('_', '-')}", _BEFORE + old, type=kind, hidden=True)


def taken(layout: type[Layout], given: dict[str, Any]) -> dict[str, Any]:
    """Return options with those under old names moved to the present ones.

    Prints a note for each; raises UsageError if both names were used.
    """
    context = click.get_current_context()
    for old, new in fields.renamed(layout).items():
        value = given.pop(_BEFORE + old)
        if value is None:
            continue
        words = [f"--{name.replace('_', '-')}" for name in (old, new)]
        if context.get_parameter_source(new) == ParameterSource.COMMANDLINE:
            raise click.UsageError(f"found {' and '.join(words)}; expected {words[1]} alone")
        if not given["quiet"]:
            note(f"{words[0]} is now called {words[1]}")
        given[new] = value
    return given
