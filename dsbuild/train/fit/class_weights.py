"""Class weights for a loss: none, counted from the training labels, or from a file."""

import csv
import io
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dsbuild import storage
from dsbuild.errors import ShardError, TrainError
from dsbuild.format.class_weights import weights
from dsbuild.format.documents import fits
from dsbuild.format.documents import parse_file as parse
from dsbuild.format.manifest import Manifest
from dsbuild.reader import Reader, splits
from dsbuild.reader.sample import Sample

NONE = "none"
# Name -> its name in the manifest; `dsbuild.format.class_weights` defines them.
COUNTED = {"median": "median_frequency", "effective": "effective_number"}


def class_weights(
    source: str,
    known: Manifest | None = None,
    split: str = "train",
    samples: Reader | None = None,
) -> NDArray[np.float32] | None:
    """Return class weights by index, float32 (c,), or None for the source `none`.

    Raises TrainError for an unknown source, or for weights that do not fit the classes.

    Args:
      source: `none`; `median` or `effective`, computed from the training labels; or the path of
        a file: JSON, a list of numbers or an object with class names as keys, or CSV, one number
        or one name and number per line.
      known: the manifest, which has the class names and the weights of whole splits.
      split: what is trained on, such as `train` or `train[:90%]+val`.
      samples: of that split; their labels are counted, once, if it is not a whole split.
    """
    if source == NONE:
        return None
    if source in COUNTED:
        return _checked(source, _counted(source, known, split, samples), ())
    suffix = source.rpartition(".")[2].lower()
    if suffix not in _READERS:
        raise TrainError(
            f"class weights {source!r}: unknown; expected {NONE}, {', '.join(COUNTED)}, or a file "
            "that ends in .json or .csv"
        )
    classes = known.classes if known else ()
    return _checked(source, _READERS[suffix](storage.read_all(source)[0], source, classes), classes)


def _counted(
    source: str, known: Manifest | None, split: str, samples: Reader | None
) -> Sequence[float]:
    """Return the weights of a split, from the manifest or from the labels of `samples`."""
    entries = known.splits if known else {}
    if split in entries:
        names = {split}
    elif samples is None or not entries:
        have = f"weights of {', '.join(entries)}" if entries else "no manifest"
        raise TrainError(f"class weights {source}: found {have}, expected weights of split {split}")
    else:
        counts = {name: entry.records for name, entry in entries.items()}
        names = {part.split for part in splits.ranges(split, counts)}
    betas = []
    for name in sorted(names):
        beta = entries[name].beta
        if COUNTED[source] not in entries[name].weights or beta is None:
            raise TrainError(
                f"class weights {source}: found none for split {name} in the manifest; build again "
                "with --extra weights, which rewrites no shard"
            )
        betas.append(beta)
    if split in entries or samples is None:
        return entries[split].weights[COUNTED[source]]
    counted = weights(*_totals(samples), betas[0])[COUNTED[source]]
    return counted if isinstance(counted, list) else [counted]


def _totals(samples: Reader) -> tuple[list[int], list[int], list[int]]:
    """Return by class: its pixels, all labelled pixels of images that have it, and these images.

    For classification images are counted instead of pixels, and all images instead of those.
    """
    classes = len(samples.classes)
    pixels, around, images = np.zeros((3, classes), np.int64)
    for counts in samples.epoch(threads=2, load=lambda sample: _histogram(sample, samples)):
        pixels += counts
        around += counts.sum() * (counts > 0)
        images += counts > 0
    if "class" in samples.names and len(samples) and np.asarray(samples[0].label).ndim == 0:
        around = np.where(images > 0, len(samples), 0)
    return pixels.tolist(), around.tolist(), images.tolist()


def _histogram(sample: Sample, samples: Reader) -> NDArray[np.int64]:
    """Return the pixels of each class in a label, int64 (c,); ignored pixels do not count."""
    values = np.bincount(np.asarray(sample.label).ravel(), minlength=len(samples.classes))
    if samples.ignore is not None and samples.ignore < len(values):
        values[samples.ignore] = 0
    return values[: len(samples.classes)]


def _json(data: bytes, path: str, classes: Sequence[str]) -> Sequence[float]:
    try:
        document = parse(data, path)
    except ShardError as error:
        raise TrainError(f"{path}: found no JSON; expected a list or an object") from error
    number = int | float
    if fits(document, [number]):
        values: list[float] = document
        return values
    if isinstance(document, dict) and fits(list(document.values()), [number]):
        return _named(list(document.items()), path, classes)
    raise TrainError(f"{path}: expected a list of numbers, or an object of names with numbers")


def _csv(data: bytes, path: str, classes: Sequence[str]) -> Sequence[float]:
    try:
        rows = [row for row in csv.reader(io.StringIO(data.decode("utf-8-sig"))) if row]
        numbers = [float(row[-1]) for row in rows]
    except (ValueError, csv.Error) as error:
        raise TrainError(
            f"{path}: {error}; expected one number, or one name and number, per line, without a "
            "header"
        ) from error
    if all(len(row) == 1 for row in rows):
        return numbers
    if all(len(row) == 2 for row in rows):
        return _named(
            [(row[0], value) for row, value in zip(rows, numbers, strict=True)], path, classes
        )
    raise TrainError(f"{path}: found lines that have neither one field nor two")


_READERS = {"json": _json, "csv": _csv}


def _named(
    pairs: Sequence[tuple[str, float]], path: str, classes: Sequence[str]
) -> Sequence[float]:
    """Return named weights in the order of the classes, each of which must have one."""
    names = [name for name, _ in pairs]
    if not classes:
        raise TrainError(
            f"{path}: found weights by name, expected numbers, since there is no manifest"
        )
    for problem, wrong in (
        ("found twice", {name for name in names if names.count(name) > 1}),
        ("no such class", set(names) - set(classes)),
        ("found no weight", set(classes) - set(names)),
    ):
        if wrong:
            raise TrainError(f"{path}: {min(wrong)}: {problem}; expected one weight per class")
    by_name = dict(pairs)
    return [by_name[name] for name in classes]


def _checked(source: str, weights: Sequence[float], classes: Sequence[str]) -> NDArray[np.float32]:
    """Return weights as an array; raise TrainError if they do not fit the classes."""
    if not weights or (classes and len(weights) != len(classes)):
        raise TrainError(
            f"{source}: found {len(weights)} weights, expected {len(classes) or 'one per class'}"
        )
    wrong = [weight for weight in weights if not (weight >= 0 and math.isfinite(weight))]
    if wrong or not any(weights):
        found = wrong[0] if wrong else "no weight above 0"
        raise TrainError(f"{source}: found {found}, expected numbers of at least 0, not all 0")
    return np.array(weights, np.float32)
