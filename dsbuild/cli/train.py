"""`dsbuild train`, its options made from the settings."""

import functools
from typing import Any

import click

from dsbuild import fields
from dsbuild.cli.field_options import options
from dsbuild.cli.options import echo, echo_json, echo_line, errors
from dsbuild.train.settings import Settings


def _command(**given: Any) -> None:
    """Train DeepLabV3+ on a folder that dsbuild wrote.

    DATA is such a folder, ./tfrecord by default. The same command finishes a run that was
    stopped, from its last checkpoint, with the result of an uninterrupted run.

    \b
    Example:
      dsbuild train tfrecord --run runs/first
      dsbuild train tfrecord --run runs/quick --backbone tiny --crop 97 --optimiser adam --rate 3e-3
      dsbuild train tfrecord --run runs/deeplab --weights imagenet --batch 16 --steps 30000
      dsbuild train matting --run runs/matting --sigmoid --loss bce_log_dice
    """
    with errors("the last checkpoint is kept; run the same command again to resume"):
        path, run, devices = (given.pop(name) for name in ("path", "run", "devices"))
        tensorboard, histograms = given.pop("tensorboard"), given.pop("histograms")
        as_json, quiet = given.pop("as_json"), given.pop("quiet")
        base = given.pop("from_run")
        known = fields.named(Settings)
        asked = {known[name].name: value for name, value in given.items() if value is not None}
        from dsbuild.train import tensorflow_env

        tensorflow_env.quiet()
        from dsbuild.cli.text.train import fit_text
        from dsbuild.train import runs
        from dsbuild.train.fit import run as fit
        from dsbuild.train.fit import tensorboard as events

        if {"steps", "epochs"} <= set(asked):
            raise click.UsageError("--steps and --epochs: found both; expected one")
        before = runs.settings_of(base).document() if base else {}
        if "epochs" in asked:
            before["steps"] = None
        chosen = Settings(**{**before, **asked})
        watch = None
        if tensorboard or histograms:
            events.needs(run)
            watch = functools.partial(events.watch, histograms=histograms)
        found = fit.train(
            path,
            run,
            chosen,
            devices=devices,
            talk=echo_line,
            quiet=quiet or as_json,
            watch=watch,
        )
        if as_json:
            echo_json(found)
        elif not quiet:
            echo(fit_text(run, found))


_OPTIONS = (
    click.argument("path", metavar="[DATA]", default="tfrecord"),
    click.option("--run", required=True, metavar="DIR", help="Folder of the run."),
    *options(Settings, given=True),
    click.option("--from-run", metavar="DIR", help="Use the settings of another run as defaults."),
    click.option(
        "--devices",
        type=click.IntRange(1),
        help="Number of GPUs, or of parts of the CPU if there are none. Default: all GPUs, or one "
        "CPU.",
    ),
    click.option("--tensorboard", is_flag=True, help="Write DIR/events for TensorBoard."),
    click.option(
        "--histograms", is_flag=True, help="Also write histograms of the weights for TensorBoard."
    ),
    click.option("--quiet", is_flag=True, help="Print errors only."),
    click.option("--json", "as_json", is_flag=True, help="Print only metrics.json, at the end."),
)
for _decorate in reversed(_OPTIONS):
    _command = _decorate(_command)
train = click.command("train")(_command)
