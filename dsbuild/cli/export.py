"""`dsbuild export`: TFRecords and trained models for other tools."""

import re
import sys
from typing import Any

import click

from dsbuild.cli.annotated import TARGETS, annotated_options, refuse_others, told
from dsbuild.cli.command import OUT, Option
from dsbuild.cli.field_options import Whole
from dsbuild.cli.kinds import Choice, Names, Path, once
from dsbuild.cli.kinds import splits as splits_of
from dsbuild.cli.options import FOUND, WHOLE, echo_line, errors, note, problem
from dsbuild.cli.runner import RunnerCommand, engine_options
from dsbuild.errors import PlanError
from dsbuild.train.choices import STRIDES


class Size(click.ParamType):  # type: ignore[type-arg]  # generic since Click 8.2 alone
    """A height and a width such as `513x513`, or one number for both."""

    name = "HxW"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, int]:
        """Return height and width in pixels."""
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"([1-9]\d{0,4})(?:x([1-9]\d{0,4}))?", value.strip())
        if not match:
            self.fail(f"found {value!r}; expected something like 513x513", param, ctx)
        return int(match[1]), int(match[2] or match[1])


RECORDS = ("webdataset", "parquet", "array_record")
MODELS = ("saved_model", "keras", "onnx", "tflite", "tflite_fp16", "tflite_int8")


@click.command(cls=RunnerCommand)
@click.argument("path", type=Path(folder=True))
@click.argument("out", required=False, metavar="OUT", type=Path(folder=True))
@click.option(
    "--to",
    "target",
    cls=Option,
    aliases=("--format",),
    type=Choice([*RECORDS, *TARGETS, *MODELS]),
    required=True,
    metavar="FORMAT",
    help="For records: webdataset: one tar per shard. parquet: for Hugging Face datasets. "
    f"array_record: for Grain. As annotations, with a receipt: {', '.join(TARGETS)}. For a run: "
    "saved_model: for TensorFlow Serving. keras: for Keras, on any backend. onnx: for ONNX "
    "Runtime. tflite: for LiteRT, for images of one size; tflite_fp16 has half its size, "
    "tflite_int8 a quarter, and computes in 8 bits.",
)
@click.option(
    "--out", OUT, type=Path(folder=True), metavar="FOLDER", help="The folder to write, as OUT."
)
@click.option(
    "--split",
    "splits",
    multiple=True,
    type=Names(splits_of),
    callback=once,
    help="Export only these splits, such as train,val. Default: all.",
)
@click.option(
    "--classes",
    type=Path(),
    metavar="FILE",
    help="For a folder without manifest.json: class names, one per line, that of label 0 first.",
)
@annotated_options
@engine_options
@click.option(
    "--size", type=Size(), help="For tflite: height and width of images. Default: the run's crop."
)
@click.option(
    "--calibrate",
    type=click.IntRange(1),
    metavar="N",
    help="For tflite_int8: records that it is calibrated with, drawn from the training split; as "
    "many of the validation split are scored. Default: 100.",
)
@click.option(
    "--data",
    type=Path(folder=True),
    metavar="FOLDER",
    help="For tflite_int8: the folder of these. Default: the one that the run was trained on.",
)
@click.option(
    "--eval-size",
    metavar="SIDE",
    type=click.IntRange(1),
    help="For a run: pad images to at least this height and width, as `evaluate` does.",
)
@click.option(
    "--output-stride",
    type=Whole(STRIDES),
    help="For a run: output stride of the backbone, with the same weights. Default: as trained.",
)
@click.option("--last", is_flag=True, help="For a run: use its last weights, not its best.")
@click.option(
    "--check/--no-check",
    default=True,
    help="For a run: also run the result in a fresh process and compare.",
)
@click.option("--overwrite", is_flag=True, help="For a run: replace an earlier model in OUT.")
@click.option("--quiet", is_flag=True, help="Print errors only.")
def export(path: str, out: str | None, target: str, quiet: bool, **asked: Any) -> None:
    """Write TFRecords, or a trained model, for another tool.

    PATH is a folder that dsbuild wrote, any other folder of TFRecords, one file, or the folder of
    a run of `dsbuild train`: its model, or with a format for records the TFRecords that it was
    trained on. OUT is a folder. Images and masks keep their bytes; files whose shard is unchanged
    are kept. Annotations are read back by the layout of their name, and OUT/receipt.json says what
    they lost. A model takes RGB uint8 and returns classes; all preprocessing is part of it. Exit
    code 1 if the build of PATH is unfinished, or --max-loss is exceeded.

    \b
    Example:
      dsbuild export tfrecord tars --to webdataset
      dsbuild export tfrecord parquet --to parquet --workers 2
      dsbuild export tfrecord coco --to coco --max-loss 0.1%
      dsbuild export runs/first served --to onnx
      dsbuild export runs/first tars --to webdataset
      dsbuild export runs/first served --to tflite --size 257x257
      dsbuild export runs/first served --to tflite_int8 --calibrate 200
    """
    from dsbuild import storage

    if out is None:
        raise click.UsageError("OUT is missing; expected a folder to write")
    with errors(WHOLE):
        run = storage.stamp(storage.join(path, "settings.json")) is not None
        if target in MODELS and not run:
            raise PlanError(
                f"{path}: found no run of `dsbuild train`; expected --to "
                f"{', '.join((*RECORDS, *TARGETS))}"
            )
        if target in MODELS and not asked["runner"].local:
            raise PlanError("--runner is for TFRecords; a model is exported by this process alone")
        if target in MODELS and (asked["splits"] or asked["classes"]):
            option = "--split" if asked["splits"] else "--classes"
            raise PlanError(f"{option} is for TFRecords; a model has none; leave it out")
        if target in MODELS:
            _model(path, out, target, quiet, asked)
            return
        if run:
            path = _data_of(path, target, quiet)
        if target in TARGETS:
            _annotations(path, out, target, quiet, asked)
            return
        refuse_others(target, asked)
        _records(path, out, target, quiet, asked)


def _data_of(run: str, target: str, quiet: bool) -> str:
    """Return the folder that a run was trained on, and say which it is."""
    from dsbuild.train import described

    data = described.data_of(run, f"dsbuild export DATA OUT --to {target}")
    if not quiet:
        note(f"exporting {data}, the TFRecords that {run} was trained on")
    return data


def _records(path: str, out: str, target: str, quiet: bool, asked: dict[str, Any]) -> None:
    engine, splits = asked["runner"].engine(quiet, note), asked["splits"]
    from dsbuild.format.folder import Folder
    from dsbuild.inspect.tables import count, size
    from dsbuild.interop.export import run as exporting

    if asked["classes"] and target != "parquet":
        raise PlanError(f"--classes: --to {target} holds no names of classes; leave it out")
    found = exporting.export(
        path, out, target, engine, note, splits=splits, classes=_named(path, asked["classes"])
    )
    if not quiet:
        kept = sum(one.kept for one in found)
        records, whole = (sum(getattr(one, key) for one in found) for key in ("records", "bytes"))
        same = f"; {count(kept, 'unchanged file')} kept" if kept else ""
        of = f" of {', '.join(splits)}" if splits else ""
        echo_line(
            f"{out}: {count(records, 'record')}{of}, {size(whole)} in {count(len(found), 'file')} "
            f"({target}){same}"
        )
    unfinished = Folder.of(path).unfinished
    if unfinished:
        problem(f"{path}: {unfinished}, then export again: only shards that are there were written")
        sys.exit(FOUND)


def _named(path: str, classes: str | None) -> tuple[str, ...]:
    """Return the names in a file of classes; raise PlanError if the folder has its own."""
    if classes is None:
        return ()
    from dsbuild.format.folder import Folder
    from dsbuild.layouts.class_files import read_names

    if Folder.of(path).surrounding.manifest is not None:
        raise PlanError(
            f"--classes: {path} has a manifest.json, which names its classes; leave it out"
        )
    return read_names(classes)


def _annotations(path: str, out: str, target: str, quiet: bool, asked: dict[str, Any]) -> None:
    from dsbuild import storage
    from dsbuild.format import manifest
    from dsbuild.format.folder import Folder
    from dsbuild.format.names import RECEIPT
    from dsbuild.interop.annotations import run as exporting

    bare = storage.stamp(storage.join(path, manifest.NAME)) is None
    if bare and storage.stamp(storage.join(path, RECEIPT)):
        raise PlanError(
            f"{path}: found {RECEIPT}, so this is an export; expected TFRecords; to turn it into "
            f"another form: dsbuild convert {path} {out} --to {target}"
        )
    unfinished = Folder.of(path).unfinished
    if unfinished:
        raise PlanError(f"{path}: {unfinished}, then export")
    receipt = exporting.export(
        path,
        out,
        target,
        objects=asked["objects"],
        shapes=asked["shapes"] or "",
        splits=asked["splits"],
        classes=_named(path, asked["classes"]),
        engine=asked["runner"].engine(quiet, note),
        note=note,
    )
    told(receipt, out, asked["max_loss"], quiet)


def _model(path: str, out: str, target: str, quiet: bool, asked: dict[str, Any]) -> None:
    from dsbuild.train import tensorflow_env

    tensorflow_env.quiet("dsbuild export")
    from dsbuild.train import runs
    from dsbuild.train.export import run as exporting

    found = exporting.export(
        path,
        out,
        target,
        size=asked["size"],
        least=asked["eval_size"],
        which=runs.LAST if asked["last"] else None,
        output_stride=asked["output_stride"],
        calibrate=asked["calibrate"],
        data=asked["data"],
        check=asked["check"],
        overwrite=asked["overwrite"],
    )
    if not quiet:
        said = ""
        if found.agreement is not None:
            said = f"; in a fresh process {found.agreement:.2%} of all classes agree"
        if found.scores is not None:
            scores = found.scores
            said += (
                f"; mIoU {scores.mean_iou:.4f} and accuracy {scores.accuracy:.4f}, in float "
                f"{scores.float_mean_iou:.4f} and {scores.float_accuracy:.4f}, on "
                f"{scores.images:,} of {scores.split}"
            )
        echo_line(f"{found.path} ({target}){said}")
        if found.image_range is not None:
            low, high = found.image_range
            note(
                f"the run was trained on images of 16 bits, and the exported model takes 8: scale "
                f"{low}:{high} to 0 to 255 before it, as labels.json says"
            )
