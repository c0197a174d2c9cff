"""`dsbuild validate` and `dsbuild repair`."""

import sys

import click

from dsbuild.cli import next_command
from dsbuild.cli.kinds import Choice, Path
from dsbuild.cli.options import FOUND, WHOLE, all_option, echo, echo_json, errors, note
from dsbuild.cli.runner import Runner, RunnerCommand, engine_options
from dsbuild.cli.text.view import view


@click.command(cls=RunnerCommand)
@click.argument("path", default="tfrecord", type=Path())
@click.argument("source", required=False, type=Path())
@click.option(
    "--level",
    type=Choice(["frames", "records", "pixels", "source"]),
    default="pixels",
    show_default=True,
    help="frames: lengths and checksums. records: also the schema and sha256. pixels: also decode "
    "images and labels. source: also compare with SOURCE, byte for byte.",
)
@all_option
@engine_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def validate(
    path: str,
    source: str | None,
    level: str,
    runner: Runner,
    every: bool,
    as_json: bool,
) -> None:
    """Check TFRecords without changing them. Exit code 1 if there is any problem.

    PATH is a folder that dsbuild wrote, any other folder of TFRecords, or one file;
    ./tfrecord by default. SOURCE is the data set that it was built from, for --level source.

    \b
    Example:
      dsbuild validate
      dsbuild validate tfrecord --level frames
      dsbuild validate tfrecord data --level source
      dsbuild validate tfrecord --runner beam -- --direct_running_mode=multi_processing
    """
    with errors():
        engine = runner.engine(as_json, note)
        from dsbuild.cli.text.check import validation_text
        from dsbuild.format.folder import Folder
        from dsbuild.validate.public import validate

        found = validate(path, source, level=level, runner=engine, quiet=as_json)
        document = found.document()
        if as_json:
            echo_json(document)
        else:
            echo(validation_text(document, view(sys.stdout, every)))
        for line in () if as_json else found.notes:
            note(line)
        if not found.problems:
            next_command.show("inspect", path)
        elif Folder.of(path).manifest:
            next_command.show("repair", path, *([source] if source else []))
        if found.problems:
            sys.exit(FOUND)


@click.command(cls=RunnerCommand)
@click.argument("path", default="tfrecord", type=Path())
@click.argument("source", required=False, type=Path())
@engine_options
@click.option(
    "--accept-changed-sources",
    is_flag=True,
    help="Use sources that changed since the build as they are now.",
)
@click.option("--quiet", is_flag=True, help="Print errors only.")
def repair(
    path: str,
    source: str | None,
    runner: Runner,
    accept_changed_sources: bool,
    quiet: bool,
) -> None:
    """Restore missing and damaged files of a build.

    PATH is a folder that dsbuild wrote, ./tfrecord by default; SOURCE the data set that it was
    built from. Intact shards are kept; the folder ends with the bytes of a fresh build. A
    repair that is not possible leaves the folder as it was; the same command finishes one that
    was stopped.

    \b
    Example:
      dsbuild repair tfrecord data
    """
    with errors(WHOLE):
        engine = runner.engine(quiet, note)
        from dsbuild.build.repair import repair
        from dsbuild.build.summary import summary_document
        from dsbuild.cli.text.build import summary_text

        summary = repair(
            path,
            source,
            engine,
            note=note,
            accept_changed_sources=accept_changed_sources,
        )
        if not quiet:
            echo(summary_text(summary_document(summary, (), path, 0)))
        next_command.show("validate", path)
