"""`dsbuild convert`: build and export in one go, for those who want no TFRecords."""

from typing import Any

import click

from dsbuild.build.image_policy import Policy
from dsbuild.build.request import Request
from dsbuild.cli.annotated import TARGETS, annotated_options, told
from dsbuild.cli.command import OUT
from dsbuild.cli.field_options import option, options
from dsbuild.cli.kinds import Choice, Path
from dsbuild.cli.options import errors, note
from dsbuild.cli.recognised import LATE, NAMES, one, read
from dsbuild.cli.runner import Runner, RunnerCommand, engine_options
from dsbuild.layouts import LAYOUTS

_LEFT = "records built so far are kept in OUT; run the same command again to continue"


@click.command(cls=RunnerCommand)
@click.argument("path", metavar="SOURCE", type=Path())
@click.argument("out", metavar="OUT", type=Path(folder=True), required=False)
@click.option(
    "--from",
    "layout",
    type=Choice(list(LAYOUTS)),
    metavar="LAYOUT",
    help=f"Layout of SOURCE: {', '.join(LAYOUTS)}. Default: it is recognised.",
)
@click.option(
    "--to",
    "form",
    type=Choice(list(TARGETS)),
    required=True,
    metavar="TARGET",
    help=f"What to write: {', '.join(TARGETS)}.",
)
@click.option(
    "--out", OUT, type=Path(folder=True), metavar="FOLDER", help="The folder to write, as OUT."
)
@option(Request, "split")
@annotated_options
@option(Request, "on_error")
@option(Request, "accept")
@option(Request, "limit", ranges=True)
@engine_options
@click.option("--quiet", is_flag=True, help="Print errors only.")
@click.option("--json", "as_json", is_flag=True, help="Print the receipt as JSON.")
def convert(
    path: str,
    out: str | None,
    layout: str | None,
    form: str,
    runner: Runner,
    quiet: bool,
    as_json: bool,
    max_loss: float | None,
    **asked: Any,
) -> None:
    """Convert a data set to the form of another tool.

    SOURCE is a data set in a layout that dsbuild reads. It is built and exported, and the TFRecords
    are removed; OUT/receipt.json says what was written, read back and changed. The same command
    finishes a conversion that was stopped. Exit code 1 if --max-loss is exceeded.

    \b
    Example:
      dsbuild convert data/coco yolo --to yolo
      dsbuild convert data/voc coco --from voc --to coco --max-loss 0.1%
    """
    if out is None:
        raise click.UsageError("OUT is missing; expected a folder to write")
    given = {name: value for name in NAMES if (value := asked.pop(name)) is not None}
    with errors(_LEFT):
        from dsbuild.build import recognition
        from dsbuild.build.convert import convert as converting
        from dsbuild.cli.text.build import rejects_text

        texts = {name: str(value) for name, value in given.items()}
        found = one(recognition.look(path, texts, layout), layout)
        name = found.layout if found else str(layout)
        if found and not (quiet or as_json):
            note(f"reading {path} as {found.text}")
        chosen = {**given, **(found.options if found else {})}
        made = converting(
            name,
            path,
            out,
            form,
            objects=asked.pop("objects"),
            shapes=asked.pop("shapes") or "",
            runner=runner.engine(quiet or as_json, note),
            workers=runner.workers,
            quiet=quiet or as_json,
            note=note,
            **read(name, chosen),
            **asked,
        )
        if made.built.rejects and not quiet:
            note(rejects_text(made.built.rejects, out))
        told(made.receipt, out, max_loss, quiet, as_json)


for _option in reversed(options(Policy, ranges=True)):
    convert = _option(convert)
convert.params[4:4] = LATE
