"""The command line: one command per layout, made from the layout, and commands for its output.

Only this wing imports Click; each command is one library call. A command is imported when it is
called, and heavy modules by the command that needs them, so that `--help` answers at once.
"""

import importlib

import click

from dsbuild import __version__
from dsbuild.cli.command import Group
from dsbuild.cli.headings import COMMANDS
from dsbuild.cli.options import STORE_SECONDS
from dsbuild.layouts import LAYOUTS
from dsbuild.layouts.late import Late

# Modules of commands that are not named as their command is.
_MODULES = {"build": "recognised", "repair": "validate"}


def _command(name: str) -> click.Command:
    """Import a command."""
    if name in LAYOUTS:
        from dsbuild.cli.build import build_command

        command = build_command(LAYOUTS[name])
    else:
        module = importlib.import_module(f"dsbuild.cli.{_MODULES.get(name, name)}")
        command = getattr(module, name)
    if STORE_SECONDS not in command.params:
        command.params.append(STORE_SECONDS)
    return command


@click.group(
    cls=Group,
    commands=Late((name for found in COMMANDS.values() for name in found), _command),
    others={"stats": "statistics"},
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
    },
)
@click.version_option(__version__, "--version", "-V", prog_name="dsbuild")
def main() -> None:
    """Convert segmentation data sets to sharded, verified TFRecords.

    \b
    Example:
      dsbuild build data/VOCdevkit
      dsbuild validate
      dsbuild inspect --html tfrecord.html
      dsbuild train --run runs/first
    """
