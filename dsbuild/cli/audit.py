"""`dsbuild audit`: label errors that a model finds."""

import sys
from typing import Any

import click

from dsbuild.cli import next_command
from dsbuild.cli.command import Command
from dsbuild.cli.evaluate import awake
from dsbuild.cli.field_options import option
from dsbuild.cli.kinds import Names, Path, Run, splits
from dsbuild.cli.options import echo, echo_json, echo_line, errors, note
from dsbuild.cli.text.view import view
from dsbuild.train.audit.defaults import FOLDS, MOST, SETTINGS, SIDE, TRAININGS
from dsbuild.train.settings import Settings


def _command(path: str, **given: Any) -> None:
    """Find label errors by what trained models see.

    PATH is a folder that dsbuild wrote; ./tfrecord by default. With --learn the records are
    divided into folds, and a model that was trained on all other folds judges each; with --run
    the model of a finished run judges the records that it was not trained on. Writes the most
    likely errors as a list and as a page. The same command continues an audit that was stopped.

    \b
    Example:
      dsbuild audit tfrecord --learn
      dsbuild audit tfrecord --learn --folds 5 --weights imagenet --group folder
      dsbuild audit tfrecord --run runs/first --split val
      dsbuild audit tfrecord --learn --labelme repair
    """
    with errors("finished folds and the last checkpoint are kept; run the same command again"):
        _audit(path, given)


def _audit(path: str, given: dict[str, Any]) -> None:
    learn, run = given.pop("learn"), given.pop("run")
    if learn == (run is not None):
        raise click.UsageError(
            "found --learn and --run; expected one of them"
            if learn
            else "expected --learn, to train models that judge each other's records, or --run RUN; "
            "mistakes that need no model are found by `dsbuild build SOURCE --dry-run`"
        )
    quiet, as_json = given.pop("quiet"), given.pop("as_json")
    awake()
    from dsbuild.inspect import audited

    out = given.pop("out") or audited.beside(path)
    found = audited.audit(
        path,
        learn=learn,
        run=run,
        out=out,
        talk=echo_line,
        note=(lambda _: None) if as_json else note,
        quiet=quiet or as_json,
        **given,
    )
    if as_json:
        echo_json({**found.report, "out": out})
    elif not quiet:
        from dsbuild.cli.text.audit import audit_text

        echo(audit_text(found, out, view(sys.stdout)))
    next_command.show("inspect", path, "--html", "page.html", "--suspects", out)


_OPTIONS = (
    click.argument("path", default="tfrecord", type=Path(folder=True)),
    click.option("--learn", is_flag=True, help="Train a model per fold, on the other folds."),
    click.option(
        "--run", type=Run(), metavar="RUN", help="Use the model of this run instead of training."
    ),
    click.option(
        "--out",
        type=Path(folder=True),
        metavar="DIR",
        help="Folder of the audit.  [default: PATH-audit]",
    ),
    click.option(
        "--split",
        type=Names(splits),
        default="",
        help="What to audit, such as train, train[:10%]+val. Default: all labelled records; with "
        "--run those that it was not trained on.",
    ),
    click.option(
        "--folds", type=click.IntRange(2, 100), help=f"Number of folds.  [default: {FOLDS}]"
    ),
    click.option(
        "--group",
        metavar="PATTERN",
        help="What stays in one fold: folder, for all of a folder; or a pattern (regex) of keys, "
        "by its first group.",
    ),
    click.option(
        "--side",
        type=click.IntRange(33),
        help=f"Longest side at which images are judged; larger ones are shrunk.  [default: {SIDE}]",
    ),
    click.option(
        "--most",
        type=click.IntRange(1),
        default=MOST,
        show_default=True,
        help="Suspects in the list.",
    ),
    click.option(
        "--seed",
        default=0,
        show_default=True,
        type=click.IntRange(0, 2**32 - 1),
        help="Seed for the folds and the trainings.",
    ),
    click.option(
        "--samples",
        type=click.IntRange(0),
        help="Suspects that the page shows as pictures.  [default: 48]",
    ),
    click.option(
        "--labelme",
        type=Path(folder=True),
        metavar="DIR",
        help="Also write the records of the listed suspects here, for LabelMe.",
    ),
    *(option(Settings, name, given=True, default=SETTINGS.get(name)) for name in TRAININGS),
    click.option(
        "--from-run", type=Run(), metavar="DIR", help="Train with the settings of another run."
    ),
    click.option("--quiet", is_flag=True, help="Print errors only."),
    click.option("--json", "as_json", is_flag=True, help="Print only audit.json, at the end."),
)
for _decorate in reversed(_OPTIONS):
    _command = _decorate(_command)
audit = click.command("audit", cls=Command)(_command)
