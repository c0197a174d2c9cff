"""`dsbuild train`, its options made from the settings."""

import functools
import sys
from typing import Any

import click

from dsbuild import fields
from dsbuild.cli import next_command
from dsbuild.cli.command import Command, Option
from dsbuild.cli.field_options import option
from dsbuild.cli.kinds import Choice, Names, Path, Run, splits
from dsbuild.cli.options import Bytes, echo, echo_json, echo_line, errors
from dsbuild.cli.text.view import view
from dsbuild.errors import TrainError
from dsbuild.train import loss_terms
from dsbuild.train.settings import Settings

# What users of Keras, PyTorch, MMSegmentation and Ultralytics call a setting.
ALIASES = {
    "backbone": ("--model", "--encoder"),
    "batch": ("--batch-size",),
    "class_weights": ("--class-weight",),
    "clip": ("--clipnorm", "--global-clipnorm", "--grad-clip", "--clip-grad-norm"),
    "crop": ("--crop-size", "--imgsz", "--img-size", "--image-size"),
    "decay": ("--weight-decay", "--wd"),
    "ema": ("--ema-momentum", "--ema-decay"),
    "epochs": ("--num-epochs", "--max-epochs"),
    "freeze_batch_norm": ("--freeze-bn",),
    "initialize": ("--initialise",),
    "mixed": ("--amp", "--mixed-precision", "--fp16"),
    "optimiser": ("--optimizer", "--optim", "--opt"),
    "rate": ("--lr", "--learning-rate", "--lr0"),
    "schedule": ("--scheduler", "--lr-schedule", "--lr-scheduler"),
    "smoothing": ("--label-smoothing",),
    "split": ("--train-split",),
    "steps": ("--max-steps", "--max-iters", "--num-steps"),
    "synchronized": ("--synchronised", "--sync-bn"),
    "val": ("--val-split",),
    "warmup": ("--warmup-steps", "--warmup-iters"),
    "weights": ("--pretrained", "--load-from"),
}


class Losses(Names):
    """The name of a loss, or a sum of losses."""

    def __init__(self) -> None:
        super().__init__(lambda _: loss_terms.LOSSES, "loss")

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return the loss by its full name, or fail."""
        try:
            return loss_terms.named(value)
        except TrainError as error:
            self.fail(str(error).removeprefix("loss: "), param, ctx)


_NAMES: dict[str, Names] = {"split": Names(splits), "val": Names(splits), "loss": Losses()}


def _more(name: str) -> dict[str, Any]:
    """Return other names of the option of a setting, and how it completes."""
    return {"aliases": ALIASES.get(name, ()), "names": _NAMES.get(name)}


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
        caching = [given.pop(name) for name in ("cache", "cache_folder", "cache_size")]
        known = fields.named(Settings)
        asked = {known[name].name: value for name, value in given.items() if value is not None}
        from dsbuild.train import tensorflow_env

        tensorflow_env.quiet("dsbuild train")
        from dsbuild.cli.text.header import header_text
        from dsbuild.cli.text.train import fit_text
        from dsbuild.reader.caching import Caching
        from dsbuild.train import described
        from dsbuild.train.fit import run as fit
        from dsbuild.train.fit import tensorboard as events

        if {"steps", "epochs"} <= set(asked):
            raise click.UsageError("--steps and --epochs: found both; expected one")
        before = described.settings_of(base).document() if base else {}
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
            caching=Caching(*caching),
            begun=None if quiet or as_json else lambda it: echo(header_text(it, view(sys.stdout))),
        )
        if as_json:
            echo_json(found)
        elif not quiet:
            echo(fit_text(run, found))
        next_command.show("evaluate", run)


_OPTIONS = (
    click.argument("path", metavar="[DATA]", default="tfrecord", type=Path(folder=True)),
    click.option(
        "--run",
        cls=Option,
        aliases=("-o", "--out", "--work-dir", "--logdir"),
        type=Run(),
        required=True,
        metavar="DIR",
        help="Folder of the run.",
    ),
    *(option(Settings, name, given=True, **_more(name)) for name in fields.named(Settings)),
    click.option(
        "--from-run", type=Run(), metavar="DIR", help="Use the settings of another run as defaults."
    ),
    click.option(
        "--devices",
        cls=Option,
        aliases=("--gpus",),
        type=click.IntRange(1),
        help="Number of GPUs, or of parts of the CPU if there are none. Default: all GPUs, or one "
        "CPU.",
    ),
    click.option(
        "--cache",
        type=Choice(["decoded"]),
        help="Keep decoded samples in a file beside the data, for later epochs and other runs.",
    ),
    click.option(
        "--cache-folder",
        type=Path(folder=True),
        metavar="DIR",
        help="Local folder for --cache, if not beside the data.",
    ),
    click.option(
        "--cache-size",
        type=Bytes(),
        help="Bytes that --cache may take, such as 20GB. Default: all but 1 GiB of the disk.",
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
train = click.command("train", cls=Command)(_command)
