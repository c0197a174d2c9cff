"""Export the model of a run in a form that is served, and hold it against the run's own."""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np

from dsbuild import storage
from dsbuild.errors import TrainError
from dsbuild.train import runs
from dsbuild.train.export import formats, graph
from dsbuild.train.runs import Trained

LABELS = "labels.json"
AGREEMENT = 0.999  # of pixels; kernels of other libraries round otherwise
_LONGEST = 1800  # seconds in which a fresh process has to load the model and run it
_MODULES = {"tf2onnx": "tf2onnx", "onnxruntime": "onnxruntime", "ai-edge-litert": "ai_edge_litert"}


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
      path: of the model.
      agreement: share of pixels, or images, with the class of the run's model; None unchecked.
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
    """Write the model of a run into a folder, as `model` with the ending of its form.

    Beside it stands `labels.json`: names, colours and the ignored value. It appears only when it is
    whole and, with `check`, when a fresh process gets the same classes by it.

    Args:
      run: the folder of a run.
      out: a folder.
      form: one of `forms.ENDINGS`.
      size: height and width, of tflite alone; else the run's crop.
      least: height and width that images are padded to at least, as `inference.How.size`.
      which: `runs.BEST` or `runs.LAST`; the best there is without it.
      output_stride: of the backbone, where it is not that of the training.
      check: whether it is run in a process of its own.
      overwrite: whether a model that stands there is replaced.

    Raises TrainError where something lacks, stands in the way, or other classes come of it.
    """
    _needs(form)
    if storage.is_remote(out):
        raise TrainError(
            f"{out}: found a URL, expected a local folder, since other libraries write the model; "
            "export to a local folder and copy it to the store"
        )
    path = storage.join(out, f"model{formats.ENDINGS[form]}")
    if os.path.lexists(path) and not overwrite:
        raise TrainError(f"{path}: stands already; give another folder, or --overwrite")
    if size is not None and form != "tflite":
        raise TrainError(f"size: found one for {form}, which takes images of any size")
    trained = runs.load(run, which, output_stride)
    if least is not None and trained.facts.task == "classification":
        raise TrainError(
            f"eval size: found {least}, expected none: the model classifies images as a whole"
        )
    labels, beside = _labels(trained), storage.join(out, LABELS)
    if os.path.lexists(beside) and not overwrite and storage.read(beside)[0] != labels:
        raise TrainError(
            f"{beside}: stands already, of a model of other weights or classes; give another "
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
            raise TrainError(f"{form}: found no way to write the model ({error})") from error
        sizes = _sizes(trained.settings.resize) if size is None else (size,)
        agreement = _agreement(network, form, made, room, sizes) if check else None
        ready = storage.join(room, LABELS)
        storage.write(ready, labels)
        (storage.remove_folder if storage.is_folder(path) else storage.remove)(path)
        storage.move(ready, beside)  # first: no model ever stands beside another's
        storage.move(made, path)
    return Exported(path, agreement)


def _needs(form: str) -> None:
    lacking = [
        name
        for name in formats.PACKAGES.get(form, ())
        if importlib.util.find_spec(_MODULES[name]) is None
    ]
    if lacking:
        raise TrainError(f"{form}: found no {', '.join(lacking)}; run pip install 'dsbuild[serve]'")


def _labels(trained: Trained) -> bytes:
    """Return what classes mean, as JSON."""
    known = trained.facts.document()
    about = {name: known[name] for name in ("task", "classes", "ignore", "palette")}
    return json.dumps(about | {"step": trained.step}, indent=2).encode() + b"\n"


def _sizes(sides: Sequence[int]) -> list[tuple[int, int]]:
    """Return heights and widths that fit no stride by chance: odd, even, and of one pixel.

    With `sides`, those of `Settings.resize`, also some below, between and above these bounds.
    """
    found = [(1, 1), (75, 101), (96, 128), (129, 97), (2, 47)]
    if sides:
        least, most, _ = sides
        found += [(max(least // 2, 1), least + 1), (least, most), (most + 1, least + 2)]
        found += [(least // 3 + 1, most + 3), (most + 2, most + 5)]
    return found


def _agreement(
    network: keras.Model, form: str, path: str, room: str, sizes: Sequence[tuple[int, int]]
) -> float:
    """Return the share of pixels in which a fresh process has the classes of the model.

    Raises TrainError where it is less than AGREEMENT, for any size, or where there is none.
    """
    rng = np.random.default_rng(0)
    batches = {}
    for height, width in sizes:
        count = 2 if height * width < 1 << 14 else 1
        # Smooth, as pictures are: in noise most pixels are near to a tie.
        coarse = rng.uniform(0, 255, (count, 6, 6, 3)).astype(np.float32)
        images = keras.ops.image.resize(coarse, (height, width), "bicubic")
        noisy = keras.ops.convert_to_numpy(images) + rng.normal(0, 5, (count, height, width, 3))
        batches[f"{height} x {width}"] = np.clip(noisy, 0, 255).astype(np.uint8)
    source, out = storage.join(room, "in.npz"), storage.join(room, "out.npz")
    np.savez(source, **batches)
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
        last = (done.stderr.strip().splitlines() or ["no word"])[-1]
        raise TrainError(f"{form}: found no way to run the model in a fresh process ({last})")
    wrong = total = 0
    with np.load(out) as found:
        for name, images in batches.items():
            expected = np.asarray(network.predict_on_batch(images))
            same = found[name].shape == expected.shape
            differ = np.count_nonzero(found[name] != expected) if same else expected.size
            # A single pixel may be a tie.
            if not same or differ > max((1 - AGREEMENT) * expected.size, 1):
                raise TrainError(
                    f"{form}: found {1 - differ / expected.size:.2%} of all classes as the run's "
                    f"model has them, in images of {name} pixels, expected {AGREEMENT:.1%} and "
                    "more; nothing was written"
                )
            wrong += differ
            total += expected.size
    return 1 - wrong / total
