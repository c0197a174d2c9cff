"""`dsbuild inspect`."""

import sys
from collections.abc import Sequence
from typing import Any

import click

from dsbuild.cli import next_command
from dsbuild.cli.kinds import Names, Path, classes
from dsbuild.cli.options import (
    FOUND,
    WHOLE,
    all_option,
    colours,
    echo_drawn,
    echo_json,
    echo_line,
    errors,
    note,
    problem,
)
from dsbuild.cli.runner import RunnerCommand, engine_options
from dsbuild.cli.text.view import view


@click.command(cls=RunnerCommand)
@click.argument("path", default="tfrecord", type=Path())
@click.option("--record", type=click.IntRange(0), help="Show this record in full.")
@click.option("--key", help="Show the record of this key in full.")
@click.option(
    "--draw", is_flag=True, help="Draw a record's pictures even if the output is not a terminal."
)
@click.option(
    "--save",
    type=Path(folder=True),
    metavar="DIR",
    help="Write a record's pictures here, as PNG files.",
)
@click.option("--html", type=Path(), metavar="FILE", help="Write a page with charts and a gallery.")
@click.option(
    "--samples",
    type=click.IntRange(0),
    help="Samples in the gallery.  [default: 48, or more to show every class]",
)
@click.option("--seed", default=0, show_default=True, help="Seed for choosing samples.")
@click.option(
    "--class",
    "class_",
    type=Names(classes),
    metavar="NAME",
    help="Gallery: samples with this class.",
)
@click.option(
    "--most",
    type=Names(classes),
    metavar="NAME",
    help="Gallery: samples with the most of this class.",
)
@click.option(
    "--least",
    type=Names(classes),
    metavar="NAME",
    help="Gallery: samples with the least of this class, of those that have any.",
)
@click.option(
    "--problems", is_flag=True, help="Gallery: samples in which `dsbuild validate` finds problems."
)
@click.option(
    "--suspects",
    type=Path(folder=True),
    metavar="DIR",
    help="Page: the suspects of this audit instead.",
)
@click.option(
    "--top", metavar="N", type=click.IntRange(1), help="Show the N most frequent classes alone."
)
@all_option
@engine_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def inspect(path: str, record: int | None, key: str | None, **asked: Any) -> None:
    """Show what TFRecords hold, as text, page or pictures.

    PATH is a folder that dsbuild wrote, any other folder of TFRecords, or one file;
    ./tfrecord by default. Exit code 1 if a file is damaged.

    \b
    Example:
      dsbuild inspect
      dsbuild inspect tfrecord --top 10
      dsbuild inspect tfrecord --record 17
      dsbuild inspect tfrecord --key 2007_000032 --save pictures
      dsbuild inspect tfrecord --html tfrecord.html --most person
      dsbuild inspect tfrecord --html tfrecord.html --problems
      dsbuild inspect other/train-00000-of-00004.tfrecord --json
    """
    wanted = record if key is None else key
    choices = ("class_", "most", "least", "problems", "suspects")
    how = [name for name in choices if asked[name] not in (None, False)]
    if record is not None and key is not None:
        raise click.UsageError("found --record and --key; expected one of them")
    if wanted is None and (asked["save"] or asked["draw"]):
        raise click.UsageError("--save and --draw need one record: name it by --record or --key")
    if wanted is not None and asked["html"]:
        raise click.UsageError("found --html and one record; expected one of them")
    if len(how) > 1 or (how and not asked["html"]):
        raise click.UsageError(
            "--class, --most, --least, --problems and --suspects choose samples for --html; give "
            "one of them"
        )
    if asked["top"] and (asked["every"] or wanted is not None):
        raise click.UsageError("--top is for the classes of a folder, and goes without --all")
    with errors(WHOLE):
        if wanted is not None:
            _record(path, wanted, asked)
        else:
            _folder(path, asked)


def _coloured() -> bool:
    """Tell whether to print colours: on a terminal, unless the user wants none or always some."""
    wanted = colours()
    return sys.stdout.isatty() if wanted is None else wanted


def _record(path: str, wanted: int | str, asked: dict[str, Any]) -> None:
    import shutil

    from dsbuild.cli.text import inspect as shown
    from dsbuild.format.folder import Folder
    from dsbuild.inspect import documents as report
    from dsbuild.inspect import gallery
    from dsbuild.inspect import terminal as blocks

    folder = Folder.of(path)
    document = report.record(folder, wanted)
    palette = gallery.colours(folder)
    if asked["as_json"]:
        echo_json(document)
    else:
        decorate = blocks.decorator(palette) if _coloured() else None
        echo_drawn(shown.record_text(document, decorate, view(sys.stdout, asked["every"])))
    draws = (asked["draw"] or (_coloured() and sys.stdout.isatty())) and not asked["as_json"]
    if not draws and not asked["save"]:
        return
    seen, key = gallery.load(folder, document)
    if draws:
        columns, rows = shutil.get_terminal_size()
        lines = gallery.drawing(seen, palette, columns, max(rows - 2, 12))
        echo_drawn("\n".join(["", *lines]), asked["draw"] or None)
    if asked["save"]:
        for path in gallery.save(asked["save"], gallery.files(seen, key, palette)):
            echo_line(path, err=asked["as_json"])
    if (
        asked["draw"] or asked["save"]
    ):  # otherwise a picture is an extra, and a missing one no failure
        _fail(seen.problems)


def _folder(path: str, asked: dict[str, Any]) -> None:
    engine = asked["runner"].engine(asked["as_json"], note)
    from dsbuild.cli.text import inspect as shown
    from dsbuild.format.folder import Folder
    from dsbuild.inspect import documents
    from dsbuild.inspect.public import inspect

    names = ("html", "samples", "seed", "class_", "most", "least", "problems", "suspects")
    folder = Folder.of(path)
    document = inspect(folder, runner=engine, **{name: asked[name] for name in names})
    if asked["as_json"]:
        echo_json(document)
    elif asked["html"]:
        echo_line(asked["html"])
    else:
        decorate = None
        if _coloured():
            from dsbuild.inspect import gallery
            from dsbuild.inspect import terminal as blocks

            decorate = blocks.decorator(gallery.colours(folder))
        fitted = view(sys.stdout, asked["every"])
        echo_drawn(shown.inspection_text(document, decorate, fitted, asked["top"]))
    _fail(documents.problems(document))
    if not asked["html"]:
        next_command.show("inspect", path, "--html", "page.html")
    elif folder.manifest and document["complete"]:
        next_command.show("train", path, "--run", "runs/first")


def _fail(problems: Sequence[str]) -> None:
    for text in problems:
        problem(text)
    if problems:
        sys.exit(FOUND)
