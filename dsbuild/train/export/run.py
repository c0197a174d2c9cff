"""Export the model of a run in a format for serving, and compare it with the run's own."""

import importlib.util
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
from dsbuild.train import runs
from dsbuild.train.export import formats, graph
from dsbuild.train.runs import Trained

LABELS = "labels.json"
AGREEMENT = 0.999  # of pixels; other libraries round differently
_LONGEST = 1800  # seconds for a fresh process to load the model and run it
_MODULES = {"tf2onnx": "tf2onnx", "onnxruntime": "onnxruntime", "ai-edge-litert": "ai_edge_litert"}


@dataclass(frozen=True)
class Exported:
    """A model that was exported.

    Attributes:
      path: of the model.
      agreement: share of pixels, or images, whose class equals that of the run's model; None if
        that was not checked.
    """

    path: str
    agreement: float | None


def export(
    run: str,
    out: str,
    form: str,
    *,
    size: tuple[int, int] | None = None,
    least: int | None = None,
    which: str | None = None,
    output_stride: int | None = None,
    check: bool = True,
    overwrite: bool = False,
) -> Exported:
    """Write the model of a run into a folder, as `model` with the ending of its format.

    `labels.json` beside it has names, colours and the ignore value. Both appear only when they
    are complete and, with `check`, when a fresh process computes the same classes with the model.

    Args:
      run: the folder of a run.
      out: a folder.
      form: one of `formats.ENDINGS`.
      size: height and width of the images of a tflite model. Default: the run's crop.
      least: smallest height and width that images are padded to, as `predictor.How.size`.
      which: `runs.BEST` or `runs.LAST`. Default: the best, if there is one.
      output_stride: that of the backbone, if not that of the training.
      check: whether to run the model in a process of its own.
      overwrite: whether to replace an existing model.

    Raises TrainError if a package is missing, something is in the way, or the classes differ.
    """
    _needs(form)
    path, beside = _targets(out, form, overwrite)
    if size is not None and form != "tflite":
        raise TrainError(f"size: found one for {form}, which takes images of any size")
    trained = runs.load(run, which, output_stride)
    if least is not None and trained.facts.task == "classification":
        raise TrainError(
            f"eval size: found {least}, expected none: the model classifies whole images"
        )
    labels = _labels(trained)
    if os.path.lexists(beside) and not overwrite and storage.read(beside)[0] != labels:
        raise TrainError(
            f"{beside}: already exists, for a model with other weights or classes; give another "
            "folder, or --overwrite"
        )
    if form == "tflite":
        size = size or (trained.settings.crop,) * 2
    network = graph.served(trained, size, least)
    with storage.room(out) as room:
        made = storage.join(room, os.path.basename(path))
        try:
            formats.write(form, network, made)
        except (OSError, ValueError, RuntimeError, NotImplementedError) as error:
            raise TrainError(f"{form}: the model could not be written ({error})") from error
        sizes = _sizes(trained.settings.resize) if size is None else (size,)
        agreement = _agreement(network, form, made, room, sizes) if check else None
        ready = storage.join(room, LABELS)
        storage.write(ready, labels)
        (storage.remove_folder if storage.is_folder(path) else storage.remove)(path)
        storage.move(ready, beside)  # first: no model is ever beside the labels of another
        storage.move(made, path)
    return Exported(path, agreement)


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
    return json.dumps(about | {"step": trained.step}, indent=2).encode() + b"\n"


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
    network: keras.Model, form: str, path: str, room: str, sizes: Sequence[tuple[int, int]]
) -> float:
    """Return the share of pixels for which a fresh process computes the model's own classes.

    Raises TrainError if it is less than AGREEMENT for some size, or if the process fails.
    """
    batches = _pictures(sizes)
    out = _run_alone(form, path, room, batches)
    wrong = total = 0
    with np.load(out) as classes:
        for name, images in batches.items():
            expected = np.asarray(network.predict_on_batch(images))
            same = classes[name].shape == expected.shape
            differ = int(np.count_nonzero(classes[name] != expected)) if same else expected.size
            # A single pixel may be a tie.
            if not same or differ > max((1 - AGREEMENT) * expected.size, 1):
                raise TrainError(
                    f"{form}: {1 - differ / expected.size:.2%} of all classes agree with the run's "
                    f"own model, in images of {name} pixels, expected at least {AGREEMENT:.1%}; "
                    "nothing was written"
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
