"""`dsbuild evaluate`."""

import sys
from collections.abc import Callable

import click

from dsbuild.cli import next_command
from dsbuild.cli.command import Command
from dsbuild.cli.field_options import Several, Whole
from dsbuild.cli.kinds import Names, Path, Run, splits
from dsbuild.cli.options import WHOLE, echo, echo_json, errors, note
from dsbuild.cli.text.view import view
from dsbuild.train.choices import STRIDES


def awake() -> None:
    """Import TensorFlow, quietly; a missing package is one line that names the command."""
    import logging

    from dsbuild.train import tensorflow_env

    tensorflow_env.quiet(f"dsbuild {click.get_current_context().info_name}")
    # It warns that a function is traced again for images of another size, which is intended.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)


def looking(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options for how a model is applied to images."""
    for option in reversed(
        (
            click.option(
                "--scales",
                type=Several(float),
                default=(1.0,),
                help="Image scales whose probabilities are averaged, such as "
                "0.5,0.75,1,1.25,1.5,1.75.  [default: 1]",
            ),
            click.option("--flip", is_flag=True, help="Average with the mirrored image too."),
            click.option(
                "--window",
                type=click.IntRange(3),
                help="Predict larger images in overlapping windows of this many pixels.",
            ),
            click.option(
                "--eval-size",
                metavar="SIDE",
                type=click.IntRange(1),
                help="Pad images to at least this height and width. Default: 513 if the model was "
                "trained at that, else 1.",
            ),
            click.option(
                "--output-stride",
                type=Whole(STRIDES),
                help="Output stride of the backbone, with the same weights. Default: as trained.",
            ),
            click.option(
                "--last", is_flag=True, help="Use the last weights, not those with the best score."
            ),
        )
    ):
        command = option(command)
    return command


def _panoptic(predicted: str, path: str | None, split: str, quiet: bool, as_json: bool) -> None:
    """Print the panoptic quality of predicted records."""
    from dsbuild.cli.text.panoptic import quality_text
    from dsbuild.errors import PlanError
    from dsbuild.train.metrics import panoptic

    given = click.get_current_context().get_parameter_source
    models = ("out", "scales", "flip", "window", "eval_size", "output_stride", "last", "boundary")
    for name in (*models, "matting"):
        if given(name) is click.core.ParameterSource.COMMANDLINE:
            raise PlanError(f"--panoptic: it compares two folders; omit --{name.replace('_', '-')}")
    if path is None:
        raise PlanError("--panoptic: found no DATA; expected the folder with the labels, too")
    found = panoptic.evaluate(predicted, path, split)
    if as_json:
        echo_json(found)
    elif not quiet:
        echo(quality_text(found, view(sys.stdout)))


@click.command(cls=Command)
@click.argument("run", type=Run())
@click.argument("path", metavar="[DATA]", required=False, type=Path(folder=True))
@click.option(
    "--split",
    type=Names(splits),
    default="val",
    show_default=True,
    help="Split to measure, such as val, test, train[:10%].",
)
@click.option(
    "--out",
    type=Path(folder=True),
    metavar="DIR",
    help="Folder for the report. Default: in RUN, named by what is measured.",
)
@looking
@click.option("--boundary/--no-boundary", default=None, help="Measure boundary F1.  [default: yes]")
@click.option(
    "--matting",
    is_flag=True,
    help="Measure matting errors against `alpha` of the records, and by region if they have a "
    "`trimap`.",
)
@click.option(
    "--panoptic",
    is_flag=True,
    help="Measure panoptic quality: RUN is a folder of records with predicted panoptic labels.",
)
@click.option("--quiet", is_flag=True, help="Print errors only.")
@click.option("--json", "as_json", is_flag=True, help="Print the scores as JSON.")
def evaluate(
    run: str,
    path: str | None,
    split: str,
    out: str | None,
    scales: tuple[float, ...],
    flip: bool,
    window: int | None,
    eval_size: int | None,
    output_stride: int | None,
    last: bool,
    boundary: bool | None,
    matting: bool,
    panoptic: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Measure a trained model: mIoU, accuracies, boundary F1.

    RUN is the folder of a run of `dsbuild train`; DATA is a folder that dsbuild wrote, with the
    same classes: by default the folder that the run was trained on. Prints the scores of the
    split and of each class; writes them, the confusion matrix and a picture of it, replacing
    earlier ones.

    \b
    Example:
      dsbuild evaluate runs/first
      dsbuild evaluate runs/first tfrecord --split test
      dsbuild evaluate runs/first --scales 0.5,0.75,1,1.25,1.5,1.75 --flip --out best
      dsbuild evaluate runs/matting matting --matting
      dsbuild evaluate predicted tfrecord --panoptic
    """
    with errors(WHOLE):
        if panoptic:
            _panoptic(run, path, split, quiet, as_json)
            return
        awake()
        from dsbuild.cli.text.train import evaluation_text
        from dsbuild.train.metrics import evaluate as evaluating
        from dsbuild.train.predict.predictor import How

        found = evaluating.evaluate(
            run,
            path,
            split,
            How(scales=scales, flip=flip, window=window, size=eval_size),
            out=out,
            last=last,
            output_stride=output_stride,
            boundary=boundary,
            matting=matting,
            quiet=quiet or as_json,
            note=(lambda _: None) if quiet or as_json else note,
        )
        if as_json:
            echo_json(found)
        elif not quiet:
            echo(evaluation_text(found, view(sys.stdout)))
        named = [] if path is None else [path]
        writes = [] if found["task"] == "classification" else ["--out", "predicted", "--overlay"]
        next_command.show("predict", run, *named, "--split", split, *writes)
