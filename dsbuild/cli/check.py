"""`dsbuild check`."""

import sys
import warnings

import click

from dsbuild.cli import next_command
from dsbuild.cli.kinds import Path
from dsbuild.cli.options import FOUND, WHOLE, all_option, echo, echo_json, errors, note
from dsbuild.cli.runner import Runner, RunnerCommand, engine_options
from dsbuild.cli.text.view import view


@click.command(cls=RunnerCommand)
@click.argument("path", default="tfrecord", type=Path())
@click.option(
    "--rules", type=Path(), help="TOML file with limits of your own.  [default: built in]"
)
@click.option(
    "--against", type=Path(), help="Build to compare the shares of the classes with, for drift."
)
@click.option("--html", type=Path(), help="Also write the sheet to this file as a page.")
@click.option("--strict", is_flag=True, help="A rule that warns fails.")
@all_option
@engine_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(
    path: str,
    rules: str | None,
    against: str | None,
    html: str | None,
    strict: bool,
    runner: Runner,
    every: bool,
    as_json: bool,
) -> None:
    """Judge TFRecords by rules: pass, warn or fail. Exit code 1 if a rule fails.

    PATH is a folder that dsbuild wrote, any other folder of TFRecords, or one file;
    ./tfrecord by default. The rules look at damage, label values, samples left out, duplicates
    and leaks across splits, classes, ignored pixels, empty masks, image sizes, the licence, and
    at drift from another build.

    \b
    Example:
      dsbuild check
      dsbuild check tfrecord --rules quality.toml --html quality.html
      dsbuild check tfrecord --against last/tfrecord --json
    """
    with errors(WHOLE):
        engine = runner.engine(as_json, note)
        from dsbuild.cli.text.quality import sheet_text
        from dsbuild.inspect.quality.public import check

        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            made = check(
                path, rules=rules, against=against, html=html, runner=engine, quiet=as_json
            )
        for one in said:
            note(str(one.message))
        if as_json:
            echo_json(made)
        else:
            echo(sheet_text(made, view(sys.stdout, every)))
            if html is not None:
                note(f"{html}: written")
        verdict = made["verdict"]
        if verdict == "fail" or (strict and verdict == "warn"):
            next_command.show("inspect", path, "--html", "page.html")
            sys.exit(FOUND)
        next_command.show("train", path)
