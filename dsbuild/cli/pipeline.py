"""`python -m dsbuild.pipelines.build`: the build commands, with Beam's options among their own.

Launchers of pipelines, such as a Flex template of Dataflow, know only named options, so LAYOUT,
SOURCE and OUT may be named too.
"""

import itertools
import sys
from collections.abc import Sequence

import click

from dsbuild.cli.command import names, refuse
from dsbuild.cli.commands import main as commands
from dsbuild.errors import nearest
from dsbuild.layouts import LAYOUTS

_PROGRAM = "python -m dsbuild.pipelines.build"
_NAMED = ("--layout", "--source", "--out")


def arrange(given: Sequence[str]) -> list[str]:
    """Return the arguments of `dsbuild` for those of this program.

    Beam's options, written `--name=value` or `--name`, go after `--`. A name that both have, such
    as `--labels`, means dsbuild's option. A launcher's `--on_error=skip`, `--overwrite=true` and
    `--split=train,val` are understood. Raises UsageError if no layout is named, or a flag is
    neither true nor false.
    """
    named = dict(a.split("=", 1) for a in given if a.split("=")[0] in _NAMED and "=" in a)
    rest = [a for a in given if a.split("=")[0] not in named and a != "--"]
    layout = named.get("--layout") or next(iter(rest), "")
    if layout not in LAYOUTS:
        raise click.UsageError(
            f"there is no layout {layout!r}; expected one of {', '.join(LAYOUTS)}"
            f"{nearest(layout, LAYOUTS)}"
        )
    if "--layout" not in named:
        rest = rest[1:]
    parameters = commands.commands[layout].params
    options = {
        name: option
        for option in parameters
        if isinstance(option, click.Option)
        for name in names(option)
    }
    own: list[str] = []
    beam: list[str] = []
    arguments = iter(rest)
    for argument in arguments:
        name, has_value, value = argument.partition("=")
        name = name.replace("_", "-") if name.replace("_", "-") in options else name
        if name in options and has_value:
            own += _valued(options[name], name, value)
        elif name in options:
            own += [name, *itertools.islice(arguments, int(not options[name].is_flag))]
        else:
            (beam if name.startswith("--") and name != "--help" else own).append(argument)
    if not any(argument.split("=")[0] == "--runner" for argument in own):
        own.append("--runner=beam")
    places = [named[name] for name in ("--source", "--out") if name in named]
    return [layout, *places, *own, *(["--", *beam] if beam else [])]


def _valued(option: click.Option, name: str, value: str) -> list[str]:
    if option.is_flag:
        if value.lower() not in ("true", "false"):
            raise click.UsageError(f"{name}: found {value!r}; expected true or false")
        return [name] if value.lower() == "true" else []
    return [f"{name}={part}" for part in (value.split(",") if option.multiple else [value])]


def main(given: Sequence[str] | None = None) -> None:
    """Build with a pipeline: `LAYOUT [SOURCE] [OUT] [OPTIONS]`."""
    try:
        arguments = arrange(sys.argv[1:] if given is None else given)
    except click.UsageError as error:
        refuse(error)
    commands.main(arguments, _PROGRAM)


if __name__ == "__main__":
    main()
