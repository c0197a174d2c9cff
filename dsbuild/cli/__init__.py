"""The command line: one command per layout, made from the layout, and commands for its output."""

from dsbuild.cli.commands import main

__all__ = ["main"]
