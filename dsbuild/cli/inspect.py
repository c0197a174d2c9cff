"""`dsbuild inspect`."""

import json
import sys

import click

from dsbuild.cli.base import errors


@click.command()
@click.argument("path", default="tfrecord")
@click.option("--record", "number", type=click.IntRange(0), help="Show this record in full.")
@click.option("--workers", type=click.IntRange(1), help="Processes. Default: all cores.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def inspect(path: str, number: int | None, workers: int | None, as_json: bool) -> None:
    """Show what TFRecords hold: splits, shards, features, classes.

    PATH is a folder that dsbuild wrote, any other folder of TFRecords, or one file;
    ./tfrecord by default. Exit code 1 if a file is damaged.

    \b
    Example:
      dsbuild inspect
      dsbuild inspect tfrecord --record 17
      dsbuild inspect other/train-00000-of-00004.tfrecord --json
    """
    with errors():
        from dsbuild import job, report, storage, tables

        path = storage.local(path)
        if number is not None:
            document = report.record(path, number)
            text, problems = tables.record_text(document), []
        else:
            document = report.inspect(path, workers or job.cores(), quiet=as_json)
            text, problems = tables.inspection_text(document), report.problems(document)
        click.echo(json.dumps(document, indent=2) if as_json else text)
        for problem in problems:
            click.secho(f"problem: {problem}", fg="red", err=True)
        if problems:
            sys.exit(1)
