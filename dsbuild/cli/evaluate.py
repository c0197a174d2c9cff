"""`dsbuild evaluate`."""

import logging

import click

from dsbuild.cli.field_options import Several, Whole
from dsbuild.cli.options import WHOLE, echo, echo_json, errors
from dsbuild.train.settings import STRIDES


def awake() -> None:
    """Import TensorFlow, quietly."""
    from dsbuild.train import tensorflow_env

    tensorflow_env.quiet()
    # It warns that images of several sizes are traced several times: twice is what it takes.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)


def looking(command):
    """Add the options of how a model looks at images."""
    for option in reversed(
        (
            click.option(
                "--scales",
                type=Several(float),
                default=(1.0,),
                help="Of the image; probabilities are averaged, such as 0.5,0.75,1,1.25,1.5,1.75."
                "  [default: 1]",
            ),
            click.option("--flip", is_flag=True, help="Average with the mirrored image, too."),
            click.option(
                "--window",
                type=click.IntRange(3),
                help="Predict larger images by windows of so many pixels, with overlap.",
            ),
            click.option(
                "--eval-size",
                metavar="SIDE",
                type=click.IntRange(1),
                help="Pad images to this height and width at least. Default: 513 if the model was "
                "trained at that, else 1.",
            ),
            click.option(
                "--output-stride",
                type=Whole(STRIDES),
                help="Of the backbone, with the same weights. Default: as trained.",
            ),
            click.option("--last", is_flag=True, help="The last weights, not those of best score."),
        )
    ):
        command = option(command)
    return command


@click.command()
@click.argument("run")
@click.argument("path", metavar="[DATA]", default="tfrecord")
@click.option("--split", default="val", show_default=True, help="Such as val, test, train[:10%].")
@click.option("--out", metavar="DIR", help="Of the report. Default: in RUN, by what is measured.")
@looking
@click.option("--boundary/--no-boundary", default=None, help="Measure boundary F1.  [default: yes]")
@click.option(
    "--matting",
    is_flag=True,
    help="Errors of mattes, against `alpha` of the records; by their `trimap`, too.",
)
@click.option("--quiet", is_flag=True, help="Print errors only.")
@click.option("--json", "as_json", is_flag=True, help="Print the scores as JSON.")
def evaluate(
    run: str,
    path: str,
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
    quiet: bool,
    as_json: bool,
) -> None:
    """Measure a trained model on a split: mIoU, accuracies, boundary F1, and each class.

    RUN is the folder of a run of `dsbuild train`; DATA a folder that dsbuild wrote, of the same
    classes, ./tfrecord by default. The scores, the confusion matrix and a picture of it are
    written, over those that are there.

    \b
    Example:
      dsbuild evaluate runs/first tfrecord
      dsbuild evaluate runs/first tfrecord --scales 0.5,0.75,1,1.25,1.5,1.75 --flip --out best
      dsbuild evaluate runs/matting matting --matting
    """
    with errors(WHOLE):
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
        )
        if as_json:
            echo_json(found)
        elif not quiet:
            echo(evaluation_text(found))
