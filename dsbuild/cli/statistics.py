"""`dsbuild statistics`."""

import sys

import click

from dsbuild.cli import next_command
from dsbuild.cli.kinds import Path
from dsbuild.cli.options import (
    FOUND,
    WHOLE,
    all_option,
    echo,
    echo_json,
    errors,
    note,
    problem,
    say,
)
from dsbuild.cli.runner import Runner, RunnerCommand, engine_options
from dsbuild.cli.text.view import view
from dsbuild.errors import StorageError

_FEW = 20  # problems that are shown


@click.command(cls=RunnerCommand)
@click.argument("path", default="tfrecord", type=Path())
@all_option
@engine_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def statistics(path: str, runner: Runner, every: bool, as_json: bool) -> None:
    """Count classes, sizes, colours and duplicates.

    PATH is a folder that dsbuild wrote, any other folder of TFRecords, or one file;
    ./tfrecord by default. `dsbuild stats` is the same command. The result is kept in a
    folder that dsbuild wrote, for `dsbuild inspect`. Exit code 1 if a record cannot be read.

    \b
    Example:
      dsbuild statistics
      dsbuild statistics tfrecord --json
      dsbuild statistics tfrecord --runner beam -- --direct_running_mode=multi_processing
    """
    with errors(WHOLE):
        engine = runner.engine(as_json, note)
        from dsbuild.cli.text import inspect
        from dsbuild.format.folder import Folder
        from dsbuild.inspect import kept, statistics, tables

        made = statistics.statistics(path, engine)
        if as_json:
            echo_json(made)
        else:
            echo(inspect.statistics_text(made, view(sys.stdout, every)))
        try:
            kept.keep(made)
        except StorageError as error:  # they were printed, and can be computed again
            note(str(error))
        for fault in made["unreadable"][:_FEW]:
            problem(inspect.fault_text(fault))
        unfinished = Folder.of(path).unfinished
        if unfinished:
            problem(f"{path}: {unfinished}")
        if made["unreadable"]:
            count = tables.count(len(made["unreadable"]), "problem")
            say(f"{count} in all; --json lists each", "red")
            sys.exit(FOUND)
        if unfinished:
            sys.exit(FOUND)
        next_command.show("inspect", path, "--html", "page.html")
