"""Weights of classes for a loss: none, those counted of what is trained on, or those of a file."""

import csv
import io
import math
from collections.abc import Sequence

import numpy as np

from dsbuild import storage
from dsbuild.errors import ShardError, TrainError
from dsbuild.format.class_weights import weights
from dsbuild.format.documents import fits
from dsbuild.format.documents import parse_file as parse
from dsbuild.format.manifest import Manifest
from dsbuild.reader import Reader, splits
from dsbuild.reader.sample import Sample

NONE = "none"
# Name -> that of the manifest's weights; what they are, `dsbuild.format.class_weights` says.
COUNTED = {"median": "median_frequency", "effective": "effective_number"}


def class_weights(
    source: str,
    known: Manifest | None = None,
    split: str = "train",
    samples: Reader | None = None,
) -> np.ndarray | None:
    """Return the weights of classes by index, float32 (c,), or None for `none`.

    `source` is `none`; `median` or `effective`, the weights of what is trained on: of `split`,
    such as `train` or `train[:90%]+val`; or the path of a file: JSON, a list of numbers or an
    object of names, or CSV, lines of a number or of a name and a number. Names, and how many, are
    those of the manifest `known`, if there is one. The manifest has the weights of whole splits;
    for parts and sums the labels of `samples` are counted, once. Raises TrainError for a source
    that is none of these or does not fit the classes.
    """
    if source == NONE:
        return None
    if source in COUNTED:
        return _checked(source, _counted(source, known, split, samples), ())
    suffix = source.rpartition(".")[2].lower()
    if suffix not in _READERS:
        raise TrainError(
            f"class weights {source!r}: found no such, expected {NONE}, {', '.join(COUNTED)}, or "
            "a file that ends in .json or .csv"
        )
    classes = known.classes if known else ()
    return _checked(source, _READERS[suffix](storage.read_all(source)[0], source, classes), classes)


def _counted(
    source: str, known: Manifest | None, split: str, samples: Reader | None
) -> Sequence[float]:
    """Return the weights of a split: those of the manifest, or those of the labels of `samples`."""
    entries = known.splits if known else {}
    if split in entries:
        names = {split}
    elif samples is None or not entries:
        have = f"those of {', '.join(entries)}" if entries else "no manifest"
        raise TrainError(f"class weights {source}: found {have}, expected one with split {split}")
    else:
        counts = {name: entry.records for name, entry in entries.items()}
        names = {part.split for part in splits.ranges(split, counts)}
    for name in sorted(names):
        if COUNTED[source] not in entries[name].weights:
            raise TrainError(
                f"class weights {source}: found none of split {name} in the manifest; build again "
                "with --extra weights, which rewrites no shard"
            )
    if split in entries:
        return entries[split].weights[COUNTED[source]]
    beta = entries[min(names)].beta
    return weights(*_totals(samples), beta)[COUNTED[source]]


def _totals(samples: Reader) -> tuple[list[int], list[int], list[int]]:
    """Return pixels by class, labelled pixels of the images that have it, and these images.

    Where a label is one class, images are counted in place of pixels, around it all of them.
    """
    classes = len(samples.classes)
    pixels, around, images = np.zeros((3, classes), np.int64)
    for found in samples.epoch(threads=2, load=lambda sample: _histogram(sample, samples)):
        pixels += found
        around += found.sum() * (found > 0)
        images += found > 0
    if "class" in samples.names and len(samples) and np.ndim(samples[0].label) == 0:
        around = np.where(images > 0, len(samples), 0)
    return pixels.tolist(), around.tolist(), images.tolist()


def _histogram(sample: Sample, samples: Reader) -> np.ndarray:
    """Return the pixels of each class in a label, int64 (c,); ignored ones are none."""
    values = np.bincount(np.ravel(sample.label), minlength=len(samples.classes))
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
        return document
    if isinstance(document, dict) and fits(list(document.values()), [number]):
        return _named(list(document.items()), path, classes)
    raise TrainError(f"{path}: expected a list of numbers, or an object of names with numbers")


def _csv(data: bytes, path: str, classes: Sequence[str]) -> Sequence[float]:
    try:
        rows = [row for row in csv.reader(io.StringIO(data.decode("utf-8-sig"))) if row]
        numbers = [float(row[-1]) for row in rows]
    except (ValueError, csv.Error) as error:
        raise TrainError(
            f"{path}: {error}; expected lines of a number, or of a name and a number, no heading"
        ) from error
    if all(len(row) == 1 for row in rows):
        return numbers
    if all(len(row) == 2 for row in rows):
        return _named(
            [(row[0], value) for row, value in zip(rows, numbers, strict=True)], path, classes
        )
    raise TrainError(f"{path}: found lines of other than one or two fields")


_READERS = {"json": _json, "csv": _csv}


def _named(
    pairs: Sequence[tuple[str, float]], path: str, classes: Sequence[str]
) -> Sequence[float]:
    """Return weights by name in the order of the classes, each of which must have one."""
    names = [name for name, _ in pairs]
    if not classes:
        raise TrainError(
            f"{path}: found weights by name, expected numbers, for there is no manifest"
        )
    for what, wrong in (
        ("twice", {name for name in names if names.count(name) > 1}),
        ("no such class", set(names) - set(classes)),
        ("no weight", set(classes) - set(names)),
    ):
        if wrong:
            raise TrainError(f"{path}: {min(wrong)}: found {what}, expected a weight of each class")
    found = dict(pairs)
    return [found[name] for name in classes]


def _checked(source: str, weights: Sequence[float], classes: Sequence[str]) -> np.ndarray:
    """Return weights as an array; raise TrainError where they are not those of the classes."""
    if not weights or (classes and len(weights) != len(classes)):
        raise TrainError(
            f"{source}: found {len(weights)} weights, expected {len(classes) or 'one a class'}"
        )
    wrong = [weight for weight in weights if not (weight >= 0 and math.isfinite(weight))]
    if wrong or not any(weights):
        found = wrong[0] if wrong else "no weight above 0"
        raise TrainError(f"{source}: found {found}, expected numbers from 0 on, not all 0")
    return np.array(weights, np.float32)
