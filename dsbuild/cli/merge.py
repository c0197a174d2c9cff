"""`dsbuild merge`."""

import sys
from typing import Any

import click

from dsbuild.cli import next_command
from dsbuild.cli.kinds import Path, divided
from dsbuild.cli.options import WHOLE, all_option, echo, echo_json, errors, note
from dsbuild.cli.runner import Runner, RunnerCommand, engine_options
from dsbuild.cli.text.view import view


@click.command(cls=RunnerCommand)
@click.argument("builds", nargs=-1, metavar="A B... OUT", type=Path(folder=True))
@click.option(
    "--map",
    "table",
    type=Path(),
    metavar="FILE",
    help="TOML, JSON, TSV or CSV: which class each class of each build becomes. Not needed if all "
    "builds have the same classes.",
)
@click.option(
    "--ignore",
    default="ignore",
    show_default=True,
    metavar="CLASS",
    help="The class of --map whose pixels are ignored, such as unlabeled in MSeg's tables.",
)
@click.option(
    "--drop",
    multiple=True,
    callback=divided,
    metavar="NAME",
    help="Leave out this extra or feature; needed if not all builds have it.",
)
@click.option("--dry-run", is_flag=True, help="Print what each class becomes, write nothing.")
@click.option(
    "--overwrite", is_flag=True, help="Start again: remove all that dsbuild wrote to OUT."
)
@all_option
@engine_options
@click.option("--quiet", is_flag=True, help="Print errors only.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def merge(
    builds: tuple[str, ...],
    table: str | None,
    runner: Runner,
    every: bool,
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Merge finished builds into one with one list of classes.

    A, B and so on are folders that dsbuild wrote, or other folders of TFRecords; NAME=FOLDER gives
    one the name that its column or section in --map has, otherwise the folder's name. OUT, the
    last one, is the folder to write. Images keep their bytes; splits are joined by name; keys get
    the build's name in front if two builds share some. A label value without a place in the map
    stops the merge before anything is written. The same command finishes a merge that was stopped.

    \b
    Example:
      dsbuild merge first second both
      dsbuild merge voc2012=out/voc camvid-11=out/camvid both --map MSeg_master.tsv
      dsbuild merge out/voc out/camvid both --map classes.toml --dry-run
    """
    if len(builds) < 3:
        raise click.UsageError(
            f"found only {' and '.join(builds)}; expected two builds or more, and then OUT"
        )
    *given, out = builds
    with errors(WHOLE):
        talks = not (quiet or as_json)
        engine = runner.engine(not talks, note)
        from dsbuild.build.merge import merge
        from dsbuild.cli.text.merge import classes_text, merged_text

        found = merge(
            given,
            out,
            map=table,
            runner=engine,
            note=note if not quiet else lambda _: None,
            **options,
        )
        if as_json:
            echo_json(found.document())
        elif talks:
            if found.manifest is None or found.written:
                echo(classes_text(found, view(sys.stdout, every)) + "\n")
            echo(merged_text(found))
        if found.manifest is None:
            next_command.show(*next_command.again("--dry-run"))
        else:
            next_command.show("validate", out)
