"""`dsbuild train`, its options made from the settings."""

import dataclasses
import functools
import types
import typing
from collections.abc import Iterable
from typing import Any

import click

from dsbuild.cli.options import echo, echo_json, echo_line, errors
from dsbuild.train import settings
from dsbuild.train.settings import Settings


class Several(click.ParamType):
    """Values with commas between, such as `6,12,18`."""

    def __init__(self, kind: type):
        self.kind, self.name = kind, "text" if kind is str else f"{kind.__name__},..."
        self.example = {int: "6,12,18", float: "0.5,1,1.5", str: "aspp,decoder"}[kind]

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple:
        """Return the values as a tuple."""
        if isinstance(value, tuple):
            return value
        try:
            return tuple(self.kind(word.strip()) for word in value.split(",") if word.strip())
        except ValueError:
            self.fail(f"found {value!r}, expected such as {self.example}", param, ctx)


class Whole(click.Choice):
    """One of some whole numbers."""

    def __init__(self, numbers: Iterable[int]):
        super().__init__([str(number) for number in numbers])

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        """Return the number."""
        return int(super().convert(str(value), param, ctx))


def _type(kind: Any, field: dataclasses.Field) -> Any:
    """Return the type of an option for that of a field."""
    if typing.get_origin(kind) is tuple:
        return Several(typing.get_args(kind)[0])
    if "choices" in field.metadata:
        return (Whole if kind is int else click.Choice)(field.metadata["choices"])
    if typing.get_origin(kind) is types.UnionType:
        return typing.get_args(kind)[0]
    return kind


def _option(field: dataclasses.Field) -> Any:
    kind, default = settings.TYPES[field.name], field.default
    names = dict.fromkeys((field.metadata.get("option", field.name), field.name))
    name, *aliases = (f"--{one.replace('_', '-')}" for one in names)
    if kind is bool:
        name = f"{name}/--no-{name[2:]}"
        return click.option(name, default=None, help=f"{field.metadata['help']}{_said(default)}")
    return click.option(
        *(name, *aliases, field.name),
        type=_type(kind, field),
        help=f"{field.metadata['help']}{_said(default)}",
    )


def _said(default: Any) -> str:
    """Return how a default is told."""
    if default in (None, "", ()):
        return ""
    text = default
    if isinstance(default, bool):
        text = "yes" if default else "no"
    if isinstance(default, tuple):
        text = ",".join(f"{one:g}" for one in default)
    return f"  [default: {text}]"


def _command(**given: Any) -> None:
    """Train DeepLabV3+ on a folder that dsbuild wrote.

    DATA is such a folder, ./tfrecord by default. A run that was broken off is finished by the
    same command, from its last checkpoint, as if it had never been left.

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
        asked = {name: value for name, value in given.items() if value is not None}
        from dsbuild.train import tensorflow_env

        tensorflow_env.quiet()
        from dsbuild.cli.text.train import fit_text
        from dsbuild.train import runs
        from dsbuild.train.fit import run as fit
        from dsbuild.train.fit import tensorboard as events

        if {"steps", "epochs"} <= set(asked):
            raise click.UsageError("--steps and --epochs: found both, expected one")
        known = runs.settings_of(base).document() if base else {}
        if "epochs" in asked:
            known["steps"] = None
        chosen = Settings(**{**known, **asked})
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
    click.option("--run", required=True, metavar="DIR", help="The folder of the run."),
    *map(_option, dataclasses.fields(Settings)),
    click.option("--from-run", metavar="DIR", help="Take the settings of another run as defaults."),
    click.option(
        "--devices",
        type=click.IntRange(1),
        help="GPUs, or without any, parts of the CPU. Default: all GPUs, or one CPU.",
    ),
    click.option("--tensorboard", is_flag=True, help="Write DIR/events for TensorBoard."),
    click.option("--histograms", is_flag=True, help="Of weights, for TensorBoard, too."),
    click.option("--quiet", is_flag=True, help="Print errors only."),
    click.option("--json", "as_json", is_flag=True, help="Print metrics.json at the end, only."),
)
for _decorate in reversed(_OPTIONS):
    _command = _decorate(_command)
train = click.command("train")(_command)
