"""Export the model of a run in a format for serving, and compare it with the run's own."""

import functools
import importlib.util
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from dsbuild import storage
from dsbuild.errors import TrainError, missing
from dsbuild.train import image_range, runs
from dsbuild.train.export import calibration, formats, graph, tflite
from dsbuild.train.export.calibration import Calibration, Scores
from dsbuild.train.runs import Trained
from dsbuild.train.tensorflow_env import without_chatter

LABELS = "labels.json"
_REPORT = "model_int8.json"
# Least share of pixels of the same class: other libraries, and fewer bits, round differently.
AGREEMENT = 0.999
_AGREEMENTS = {tflite.HALF: 0.99, tflite.INT8: 0.8}
_REMEDIES = {
    tflite.INT8: f"; train for longer, calibrate with more records, or export to {tflite.HALF}"
}
_SEEN = 8  # records that an int8 model is compared on
_ODD = (75, 101)  # a size that suits no stride by chance
_LONGEST = 1800  # seconds for a fresh process to load the model and run it
_MODULES = {"tf2onnx": "tf2onnx", "onnxruntime": "onnxruntime", "ai-edge-litert": "ai_edge_litert"}


@dataclass(frozen=True)
class Exported:
    """A model that was exported.

    Attributes:
      path: of the model.
      agreement: share of pixels, or images, whose class equals that of the run's model; None if
        that was not checked.
      scores: those of an int8 model beside the run's own, if the run has a validation split.
      image_range: the values of 16-bit images that are 0 and 255 for the model; None if the run
        was trained on images of 8 bits.
    """

    path: str
    agreement: float | None
    scores: Scores | None = None
    image_range: tuple[int, int] | None = None


def export(
    run: str,
    out: str,
    form: str,
    *,
    size: tuple[int, int] | None = None,
    least: int | None = None,
    which: str | None = None,
    output_stride: int | None = None,
    calibrate: int | None = None,
    data: str | None = None,
    check: bool = True,
    overwrite: bool = False,
) -> Exported:
    """Write the model of a run into a folder, as `model` with the ending of its format.

    `labels.json` beside it has names, colours and the ignore value. Both appear only when they
    are complete and, with `check`, when a fresh process computes the same classes with the model.
    An int8 model also has a report, `model_int8.json`: what it was calibrated with, and its scores
    beside the run's own.

    Args:
      run: the folder of a run.
      out: a folder.
      form: one of `formats.ENDINGS`.
      size: height and width of the images of a tflite model. Default: the run's crop.
      least: smallest height and width that images are padded to, as `predictor.How.size`.
      which: `runs.BEST` or `runs.LAST`. Default: the best, if there is one.
      output_stride: that of the backbone, if not that of the training.
      calibrate: how many records an int8 model is calibrated with. Default: `calibration.COUNT`.
      data: the folder of these. Default: the folder that the run was trained on.
      check: whether to run the model in a process of its own.
      overwrite: whether to replace an existing model.

    Raises TrainError if a package is missing, something is in the way, or the classes differ.
    """
    _needs(form)
    path, beside = _targets(out, form, overwrite)
    if size is not None and form not in tflite.FORMS:
        raise TrainError(f"size: found one for {form}, which takes images of any size")
    for name, value in (("calibrate", calibrate), ("data", data)):
        if value is not None and form != tflite.INT8:
            raise TrainError(f"{name}: found one for {form}; only {tflite.INT8} is calibrated")
    trained = runs.load(run, which, output_stride)
    if least is not None and trained.facts.task == "classification":
        raise TrainError(
            f"eval size: found {least}, expected none: the model classifies whole images"
        )
    labels, span = _labels(trained), image_range.limits(trained.settings)
    if os.path.lexists(beside) and not overwrite and storage.read(beside)[0] != labels:
        raise TrainError(
            f"{beside}: already exists, for a model with other weights or classes; give another "
            "folder, or --overwrite"
        )
    if form in tflite.FORMS:
        size = size or (trained.settings.crop,) * 2
    drawn = None
    if form == tflite.INT8:
        drawn = calibration.draw(run, trained, calibrate or calibration.COUNT, data)
    network = graph.served(trained, size, least)
    with storage.room(out) as room:
        made = storage.join(room, os.path.basename(path))
        _write(form, network, made, drawn, size, span)
        agreement = None
        if check:
            sizes = _sizes(trained.settings.resize) if size is None else (size,)
            agreement = _agreement(network, form, made, room, sizes, drawn)
        if check and size is not None:  # its size may suit the stride by chance
            odd = graph.served(trained, _ODD, least)
            other = storage.join(room, f"odd{formats.ENDINGS[form]}")
            _write(form, odd, other, drawn, _ODD, span)
            agreement = min(agreement or 1.0, _agreement(odd, form, other, room, (_ODD,), drawn))
        scores = None
        if drawn is not None and size is not None:
            with without_chatter():
                reduced = formats.load(form, made)
            scores = calibration.score(drawn, size, network.predict_on_batch, reduced)
            report = storage.join(room, _REPORT)
            storage.write(report, _report(drawn, size, scores))
            storage.move(report, storage.join(out, _REPORT))
        ready = storage.join(room, LABELS)
        storage.write(ready, labels)
        (storage.remove_folder if storage.is_folder(path) else storage.remove)(path)
        storage.move(ready, beside)  # first: no model is ever beside the labels of another
        storage.move(made, path)
    return Exported(path, agreement, scores, span)


def _write(
    form: str,
    network: keras.Model,
    path: str,
    drawn: Calibration | None,
    size: tuple[int, int] | None,
    span: tuple[int, int] | None,
) -> None:
    """Write a model; raise TrainError if its library cannot."""
    images = functools.partial(drawn.images, size) if drawn is not None and size else tuple
    try:
        formats.write(form, network, path, images, span)
    except (OSError, ValueError, RuntimeError, NotImplementedError) as error:
        raise TrainError(f"{form}: the model could not be written ({error})") from error


def _targets(out: str, form: str, overwrite: bool) -> tuple[str, str]:
    """Return the paths of the model and its labels; raise TrainError if they cannot be written."""
    if storage.is_remote(out):
        raise TrainError(
            f"{out}: found a URL, expected a local folder, since other libraries write the model; "
            "export to a local folder and copy it to the store"
        )
    path = storage.join(out, f"model{formats.ENDINGS[form]}")
    if os.path.lexists(path) and not overwrite:
        raise TrainError(f"{path}: already exists; give another folder, or --overwrite")
    return path, storage.join(out, LABELS)


def _needs(form: str) -> None:
    """Raise TrainError if a package that a format needs is not installed."""
    for name in formats.PACKAGES.get(form, ()):
        if importlib.util.find_spec(_MODULES[name]) is None:
            raise TrainError(missing(name.replace("-", "_"), f"--to {form}"))


def _labels(trained: Trained) -> bytes:
    """Return what the classes mean, as JSON."""
    facts = trained.facts.document()
    about = {name: facts[name] for name in ("task", "classes", "ignore", "palette")}
    span = image_range.limits(trained.settings)
    if span is not None:  # what images of 16 bits are to be scaled by
        about["image_range"] = list(span)
    return json.dumps(about | {"step": trained.step}, indent=2).encode() + b"\n"


def _report(drawn: Calibration, size: tuple[int, int], scores: Scores | None) -> bytes:
    """Return what an int8 model was calibrated with, and its scores, as JSON."""
    document = {
        "size": list(size),
        "calibration": drawn.document(),
        "scores": scores.document() if scores else None,
    }
    return json.dumps(document, indent=2).encode() + b"\n"


def _sizes(sides: Sequence[int]) -> list[tuple[int, int]]:
    """Return heights and widths that suit no stride by chance: odd, even, and one pixel.

    With `sides`, those of `Settings.resize`, also some below, between and above these bounds.
    """
    sizes = [(1, 1), (75, 101), (96, 128), (129, 97), (2, 47)]
    if sides:
        least, most, _ = sides
        sizes += [(max(least // 2, 1), least + 1), (least, most), (most + 1, least + 2)]
        sizes += [(least // 3 + 1, most + 3), (most + 2, most + 5)]
    return sizes


def _agreement(
    network: keras.Model,
    form: str,
    path: str,
    room: str,
    sizes: Sequence[tuple[int, int]],
    drawn: Calibration | None,
) -> float:
    """Return the share of pixels for which a fresh process computes the model's own classes.

    The images are drawn, or the first that an int8 model is calibrated with. Raises TrainError if
    the share is too small for some size, or if the process fails.
    """
    batches, least = _pictures(sizes), _AGREEMENTS.get(form, AGREEMENT)
    if drawn is not None:
        seen = list(itertools.islice(drawn.images(sizes[0]), _SEEN))
        batches = {" x ".join(map(str, sizes[0])): np.stack(seen)}
    out = _run_alone(form, path, room, batches)
    wrong = total = 0
    with np.load(out) as classes:
        for name, images in batches.items():
            expected = np.asarray(network.predict_on_batch(images))
            same = classes[name].shape == expected.shape
            differ = int(np.count_nonzero(classes[name] != expected)) if same else expected.size
            # A single pixel may be a tie.
            if not same or differ > max((1 - least) * expected.size, 1):
                raise TrainError(
                    f"{form}: {1 - differ / expected.size:.2%} of all classes agree with the run's "
                    f"own model, in images of {name} pixels, expected at least {least:.1%}; "
                    f"nothing was written{_REMEDIES.get(form, '')}"
                )
            wrong += differ
            total += expected.size
    return 1 - wrong / total


def _pictures(sizes: Sequence[tuple[int, int]]) -> dict[str, NDArray[np.uint8]]:
    """Return batches of drawn images by the name of their size: uint8 (n, h, w, 3)."""
    rng = np.random.default_rng(0)
    batches = {}
    for height, width in sizes:
        count = 2 if height * width < 1 << 14 else 1
        # Smooth, like photos: in noise most pixels are close to a tie.
        coarse = rng.uniform(0, 255, (count, 6, 6, 3)).astype(np.float32)
        images = keras.ops.image.resize(coarse, (height, width), "bicubic")
        noisy = keras.ops.convert_to_numpy(images) + rng.normal(0, 5, (count, height, width, 3))
        batches[f"{height} x {width}"] = np.clip(noisy, 0, 255).astype(np.uint8)
    return batches


def _run_alone(form: str, path: str, room: str, batches: Mapping[str, NDArray[np.uint8]]) -> str:
    """Run a written model in a fresh process; return the path of an .npz with its classes."""
    source, out = storage.join(room, "in.npz"), storage.join(room, "out.npz")
    arrays: dict[str, Any] = dict(batches)
    np.savez(source, **arrays)
    command = [sys.executable, "-m", "dsbuild.train.export.formats", form, path, source, out]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_LONGEST
        )
    except subprocess.TimeoutExpired as error:
        raise TrainError(
            f"{form}: the model gave no result in a fresh process within {_LONGEST} s"
        ) from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise TrainError(f"{form}: the model could not be run in a fresh process ({last})")
    return out
