"""`dsbuild diff`."""

import sys

import click

from dsbuild.cli.options import echo, echo_json, errors, note, say
from dsbuild.cli.runner import Runner, RunnerCommand, engine_options


@click.command(cls=RunnerCommand)
@click.argument("a")
@click.argument("b")
@click.option(
    "--drift",
    "most",
    type=click.FloatRange(0, 1),
    help="Fail only where the share of a class moves by more than this, as in 0.01.",
)
@engine_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with every key.")
def diff(a: str, b: str, most: float | None, runner: Runner, as_json: bool) -> None:
    """Compare two builds. Exit code 1 if they differ.

    A and B are folders of TFRecords, or files: their recipes, the samples that were
    added, removed, changed or moved to another shard, image sizes and classes.

    \b
    Example:
      dsbuild diff tfrecord other
      dsbuild diff tfrecord other --drift 0.01
    """
    with errors():
        engine = runner.engine(as_json, note)
        from dsbuild.inspect import diff, tables

        sides = [diff.read(path, engine) for path in (a, b)]
        document = diff.diff(*sides)
        if as_json:
            echo_json(document)
        else:
            echo(tables.diff_text(document))
        if most is None:
            sys.exit(0 if document["same"] else 1)
        row = diff.drift(document)
        moved = abs(row["is"] - row["was"]) if row else 0
        if moved > most:
            name = row["name"] or row["value"]
            say(
                f"drift: split {row['split']}: the share of {name} moves from {row['was']:.2%} to "
                f"{row['is']:.2%}, expected at most {most:.2%}",
                "red",
            )
            sys.exit(1)
