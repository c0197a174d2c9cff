"""Panoptic quality: how well predicted segments match those of labels.

A predicted segment matches one of its class if they share more than half of their union, where
void of the label does not count. What is not matched is missing or too much, except for crowds of
the label, and for predictions that lie by more than half in void, or in a crowd of their class.

Source: Kirillov et al., Panoptic Segmentation, CVPR 2019; cocodataset/panopticapi (evaluation.py).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsbuild import reader
from dsbuild.errors import TrainError
from dsbuild.format.folder import Folder, PathLike
from dsbuild.format.manifest import Manifest
from dsbuild.reader.sample import Sample

_WIDE = 1 << 32  # above all values of a map
_HALF = 0.5


@dataclass(frozen=True, eq=False)
class Quality:
    """What was counted by class; the counts of two parts of a data set add up.

    Attributes:
      matched: pairs of segments, int64 (classes,).
      extra: predicted segments without a match.
      missing: segments of labels without a match.
      overlap: sum of the IoU of the pairs, float64 (classes,).
    """

    matched: NDArray[np.int64]
    extra: NDArray[np.int64]
    missing: NDArray[np.int64]
    overlap: NDArray[np.float64]

    @classmethod
    def empty(cls, classes: int) -> "Quality":
        """Return the counts of no image at all."""
        none = np.zeros(classes, np.int64)
        return cls(none, none.copy(), none.copy(), np.zeros(classes))

    def __add__(self, other: "Quality") -> "Quality":
        return Quality(
            self.matched + other.matched,
            self.extra + other.extra,
            self.missing + other.missing,
            self.overlap + other.overlap,
        )

    def of_class(self, number: int) -> dict[str, float] | None:
        """Return PQ, SQ and RQ of a class, shares of 1; None if neither side has it."""
        matched = int(self.matched[number])
        whole = matched + 0.5 * float(self.extra[number] + self.missing[number])
        if not whole:
            return None
        overlap = float(self.overlap[number])
        return {
            "pq": overlap / whole,
            "sq": overlap / matched if matched else 0.0,
            "rq": matched / whole,
        }

    def mean(self, classes: Sequence[int]) -> dict[str, Any]:
        """Return the means over some classes, None without any, and their number `n`."""
        found = [one for one in map(self.of_class, classes) if one is not None]
        means = {
            name: sum(one[name] for one in found) / len(found) if found else None
            for name in ("pq", "sq", "rq")
        }
        return {**means, "n": len(found)}


@dataclass(frozen=True)
class Form:
    """What the numbers of a map mean.

    Attributes:
      classes: how many there are.
      divisor: what divides a value into class and instance.
      ignore: the class of void.
      things: the classes whose instances are counted; without a number they are crowds.
    """

    classes: int
    divisor: int
    ignore: int | None
    things: Collection[int]

    @classmethod
    def of(cls, manifest: Manifest) -> "Form":
        """Return the form of the maps of a folder with panoptic labels."""
        assert manifest.divisor is not None, "the folder was checked for it"
        classes = len(manifest.classes)
        return cls(classes, manifest.divisor, manifest.ignore, frozenset(manifest.things))


def quality(
    label: NDArray[np.int32], prediction: NDArray[np.int32], form: Form, divisor: int
) -> Quality:
    """Return the counts of an image, from two maps (h, w) of the same size.

    `form` is that of the label, `divisor` that of the prediction, which has the same classes.
    """
    counts = Quality.empty(form.classes)
    both, sizes = np.unique(label.astype(np.int64) * _WIDE + prediction, return_counts=True)
    shared = {divmod(pair, _WIDE): n for pair, n in zip(both.tolist(), sizes.tolist(), strict=True)}
    areas: tuple[dict[int, int], dict[int, int]] = {}, {}
    void: dict[int, int] = {}  # prediction -> its pixels in void
    for pair, n in shared.items():
        for area, value in zip(areas, pair, strict=True):
            area[value] = area.get(value, 0) + n
        if pair[0] // form.divisor == form.ignore:
            void[pair[1]] = void.get(pair[1], 0) + n
    truths = {one: one // form.divisor for one in areas[0] if one // form.divisor != form.ignore}
    guesses = {one: one // divisor for one in areas[1] if one // divisor != form.ignore}
    crowds = {kind: one for one, kind in truths.items() if _is_crowd(one, kind, form)}
    matched: tuple[set[int], set[int]] = set(), set()
    for (truth, guess), n in shared.items():
        kind = truths.get(truth)
        if kind is None or guesses.get(guess) != kind or crowds.get(kind) == truth:
            continue
        iou = n / (areas[0][truth] + areas[1][guess] - n - void.get(guess, 0))
        if iou > _HALF:
            counts.matched[kind] += 1
            counts.overlap[kind] += iou
            matched[0].add(truth)
            matched[1].add(guess)
    for truth in truths.keys() - matched[0] - set(crowds.values()):
        counts.missing[truths[truth]] += 1
    for guess in guesses.keys() - matched[1]:
        kind = guesses[guess]
        outside = void.get(guess, 0) + shared.get((crowds.get(kind, -1), guess), 0)
        if outside / areas[1][guess] <= _HALF:
            counts.extra[kind] += 1
    return counts


def _is_crowd(value: int, kind: int, form: Form) -> bool:
    return kind in form.things and value % form.divisor == 0


def evaluate(predicted: PathLike, path: PathLike, split: str) -> dict[str, Any]:
    """Return the panoptic quality of predictions, as a JSON document.

    Both are folders with panoptic labels and the same classes; predictions are found by the keys
    of the samples. Raises TrainError for other folders, and for a sample without a prediction.
    """
    truth, guess = Folder.of(path), Folder.of(predicted)
    known, other = (_panoptic(folder) for folder in (truth, guess))
    _compare(guess.path, other, truth.path, known)
    form = Form.of(known)
    guesses = reader.open(guess)
    numbers = {sample.key: number for number, sample in enumerate(guesses)}
    found, samples = Quality.empty(form.classes), reader.open(truth, split)
    for sample in samples:
        if sample.key not in numbers:
            raise TrainError(
                f"{guess.path}: found no record {sample.key!r}, expected a prediction of every "
                f"sample of {split} in {truth.path}"
            )
        found += _of_sample(sample, guesses[numbers[sample.key]], form, guess.path)
    things = [value for value in range(form.classes) if value in form.things]
    stuff = [value for value in range(form.classes) if value not in form.things]
    return {
        "data": truth.path,
        "predicted": guess.path,
        "split": split,
        "samples": len(samples),
        "all": found.mean(range(form.classes)),
        "things": found.mean(things),
        "stuff": found.mean(stuff),
        "classes": [
            {
                "index": i,
                "name": name,
                "thing": i in form.things,
                **(found.of_class(i) or dict.fromkeys(("pq", "sq", "rq"))),
                "matched": int(found.matched[i]),
                "extra": int(found.extra[i]),
                "missing": int(found.missing[i]),
            }
            for i, name in enumerate(known.classes)
            if i != known.ignore
        ],
    }


def _of_sample(sample: Sample, guess: Sample, form: Form, where: str) -> Quality:
    for one in (sample, guess):
        if "panoptic" not in one:
            raise TrainError(f"{one.key}: found no label, expected a panoptic one")
    if sample.panoptic.shape != guess.panoptic.shape:
        sizes = [f"{w} x {h}" for h, w in (guess.panoptic.shape, sample.panoptic.shape)]
        raise TrainError(
            f"{where}: record {sample.key!r}: found {sizes[0]} pixels, expected {sizes[1]}"
        )
    return quality(sample.panoptic, guess.panoptic, form, guess.label_divisor)


def _panoptic(folder: Folder) -> Manifest:
    """Return the manifest of a folder; raise TrainError unless its labels are panoptic."""
    manifest = folder.manifest
    if manifest is None or manifest.divisor is None:
        what = "manifest" if manifest is None else "panoptic labels"
        raise TrainError(
            f"{folder.path}: found no {what}, expected a folder built with --target panoptic"
        )
    return manifest


def _compare(where: str, found: Manifest, place: str, expected: Manifest) -> None:
    """Raise TrainError if two folders have other classes or another void."""
    if (found.classes, found.ignore) != (expected.classes, expected.ignore):
        pairs = zip(found.classes, expected.classes, strict=False)
        odd = next((f"{a!r}, not {b!r}" for a, b in pairs if a != b), "another number of classes")
        raise TrainError(f"{where}: found {odd}; expected the classes of {place}")
