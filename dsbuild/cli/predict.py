"""`dsbuild predict`."""

import sys
from typing import Any

import click

from dsbuild.cli import next_command
from dsbuild.cli.command import Command, Option
from dsbuild.cli.evaluate import awake, looking
from dsbuild.cli.kinds import Names, Path, Run, splits
from dsbuild.cli.options import FOUND, WHOLE, echo_json, echo_line, errors, say


@click.command(cls=Command)
@click.argument("model", type=Run())
@click.argument("paths", metavar="[IMAGE]...", nargs=-1, type=Path())
@click.option(
    "--out",
    type=Path(folder=True),
    metavar="DIR",
    help="Folder to write; not needed by a model that classifies.",
)
@click.option("--overlay", is_flag=True, help="Also write images overlaid with class colours.")
@click.option(
    "--probabilities", is_flag=True, help="Also write probabilities, at the size of the prediction."
)
@click.option(
    "--batch",
    cls=Option,
    aliases=("--batch-size",),
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Images of equal size that are predicted together.",
)
@click.option(
    "--resize",
    cls=Option,
    aliases=("--imgsz", "--img-size", "--image-size"),
    metavar="SIDE",
    type=click.IntRange(1),
    help="Predict at this longest side, such as 513; results are resized to the image's size.",
)
@click.option(
    "--split",
    type=Names(splits),
    help="Predict a split of the TFRecords that the run was trained on, or of those in the folder "
    "IMAGE.",
)
@looking
@click.option(
    "--camera", metavar="N|URL", help="Predict frames of a camera, by its number, or of a stream."
)
@click.option(
    "--frames", type=click.IntRange(1), help="Number of camera frames. Default: until Ctrl-C."
)
@click.option("--quiet", is_flag=True, help="Print errors only.")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
def predict(model: str, paths: tuple[str, ...], **asked: Any) -> None:
    """Predict images and videos with a trained model.

    MODEL is the folder of a run of `dsbuild train`; IMAGE is a file, a folder or a pattern such as
    'photos/**/*.jpg'. For each image, writes a PNG with the class of every pixel, at the image's
    own size, as viewers show it; for each video, an MP4 overlaid with class colours. Existing
    files are replaced. With --split, the images are those of TFRecords. Exit code 1 if an image
    could not be read; the others are written.

    \b
    Example:
      dsbuild predict runs/first photo.jpg --out predicted --overlay
      dsbuild predict runs/first photos clip.mp4 --out predicted --resize 513
      dsbuild predict runs/first --split val --out predicted
      dsbuild predict runs/animals photos
      dsbuild predict runs/first --camera 0 --frames 100 --out predicted --overlay
    """
    camera, split = asked["camera"], asked["split"]
    if split is not None and (len(paths) > 1 or camera is not None):
        raise click.UsageError("--split goes with one folder of TFRecords at most")
    if split is None and (camera is None) == (not paths):
        raise click.UsageError(
            "expected one of: images, folders or videos; --split, for the run's data; --camera"
        )
    if asked["frames"] is not None and camera is None:
        raise click.UsageError("--frames needs --camera")
    with errors(WHOLE):
        awake()
        from dsbuild.cli.text.train import prediction_lines
        from dsbuild.train import described, runs
        from dsbuild.train.predict import run as predicting
        from dsbuild.train.predict.predictor import How, Predictor

        data = next(iter(paths), "")
        if split is not None and not data:
            data = described.data_of(model, f"dsbuild predict RUN DATA --split {split}")
        which = runs.LAST if asked["last"] else None
        trained = runs.load(model, which, asked["output_stride"])
        looks = ("scales", "flip", "window")
        how = How(**{name: asked[name] for name in looks}, size=asked["eval_size"])
        writes = ("out", "overlay", "probabilities", "batch", "resize")
        wanted = predicting.Wanted(**{name: asked[name] for name in writes})
        predictor = Predictor(trained, how)
        silent = asked["quiet"] or asked["as_json"]
        if split is not None:
            found = predicting.predict_split(predictor, data, split, wanted, silent)
        elif camera is None:
            found = predicting.predict(predictor, paths, wanted, silent)
        else:
            number = camera.removeprefix("-").isdecimal()
            source = int(camera) if number else camera
            found = predicting.watch(predictor, source, wanted, asked["frames"])
        if asked["as_json"]:
            echo_json({"model": model, "step": trained.step, **found})
        elif not asked["quiet"]:
            for line in prediction_lines(found):
                echo_line(line)
        _fail(found)
        next_command.show("export", model, "exported", "--to", "saved_model")


def _fail(found: dict[str, Any]) -> None:
    for one in found["failed"]:
        say(f"error: {one['error']}", "red")
    if found["failed"]:
        total = len(found["failed"]) + len(found["made"])
        if total > 1:
            say(f"{len(found['failed'])} of {total} could not be predicted")
        sys.exit(FOUND)
