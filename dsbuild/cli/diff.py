"""`dsbuild diff`."""

import sys

import click

from dsbuild.cli import next_command
from dsbuild.cli.kinds import Path
from dsbuild.cli.options import FOUND, all_option, echo, echo_json, errors, note, say
from dsbuild.cli.runner import Runner, RunnerCommand, engine_options
from dsbuild.cli.text.view import view


@click.command(cls=RunnerCommand)
@click.argument("a", type=Path())
@click.argument("b", type=Path())
@click.option(
    "--drift",
    type=click.FloatRange(0, 1),
    help="Fail only if the share of a class changes by more than this, such as 0.01.",
)
@click.option(
    "--html",
    type=Path(),
    help="Also write a page of the masks that changed: before, after and changed pixels.",
)
@click.option(
    "--samples",
    type=click.IntRange(min=0),
    help="Masks that --html shows as pictures, the largest change first.  [default: 48]",
)
@all_option
@engine_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with every key.")
def diff(
    a: str,
    b: str,
    drift: float | None,
    html: str | None,
    samples: int | None,
    runner: Runner,
    every: bool,
    as_json: bool,
) -> None:
    """Compare two builds. Exit code 1 if they differ.

    A and B are folders of TFRecords, or files. Compares recipes, samples that were added,
    removed, changed or moved to another shard, image sizes and classes.

    \b
    Example:
      dsbuild diff tfrecord other
      dsbuild diff tfrecord other --drift 0.01
      dsbuild diff tfrecord other --html masks.html
    """
    with errors():
        engine = runner.engine(as_json, note)
        from dsbuild.cli.text.check import diff_text
        from dsbuild.inspect.diff import drift as farthest
        from dsbuild.inspect.public import diff

        document = diff(a, b, html=html, samples=samples, runner=engine, quiet=as_json)
        if as_json:
            echo_json(document)
        else:
            echo(diff_text(document, view(sys.stdout, every)))
        if html is not None and not as_json:
            note(f"{html}: written")
        if not document["same"] and html is None:
            masks = any(change["label"] for change in document["splits"].values())
            if masks:
                next_command.show("diff", a, b, "--html", "masks.html")
            else:
                next_command.show("inspect", b, "--html", "page.html")
        if drift is None:
            sys.exit(0 if document["same"] else FOUND)
        row = farthest(document)
        if row and abs(row["is"] - row["was"]) > drift:
            name = row["name"] or row["value"]
            say(
                f"drift: split {row['split']}: the share of {name} changes from {row['was']:.2%} "
                f"to {row['is']:.2%}, expected a change of at most {drift:.2%}",
                "red",
            )
            sys.exit(FOUND)
