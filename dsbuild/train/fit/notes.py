"""What a training says of its data before the first step, and of its scores after the last."""

from collections.abc import Mapping

import numpy as np

from dsbuild.errors import TrainError
from dsbuild.format.manifest import Split
from dsbuild.reader import splits
from dsbuild.train.dataset import Facts
from dsbuild.train.metrics.confusion import Confusion

_FEW = 4  # classes that are named


def absent(split: str, known: Facts, entries: Mapping[str, Split]) -> str:
    """Return the classes that no image of a split has, by the splits of the manifest.

    A part of a split, such as `train[:10%]`, counts as the whole. Raises TrainError where no
    class has an image.
    """
    counts = {name: entry.records for name, entry in entries.items()}
    parts = [entries[part.split].classes for part in splits.ranges(split, counts)]
    if None in parts:  # labels were not counted
        return ""
    there = [any(part[i].images for part in parts if part) for i in range(len(known.classes))]
    names = [repr(name) for name, found in zip(known.classes, there, strict=True) if not found]
    if not any(there):
        raise TrainError(
            f"split {split!r}: found no label of any class, expected some; name another"
        )
    few = ", ".join(names[:_FEW])
    more = f" and {len(names) - _FEW:,} more" if names[_FEW:] else ""
    return f"no image of {split} has {few}{more}, which the model cannot know" if few else ""


def monotonous(found: Confusion | None, known: Facts) -> str:
    """Return why it may be so that one class is predicted for all; nothing where it is not so."""
    if found is None or np.count_nonzero(found.labelled) < 2:
        return ""
    (there,) = np.nonzero(found.predicted)
    if len(there) != 1:
        return ""
    return (
        f"val: all is predicted as {known.classes[there[0]]!r}: the steps may be too few, "
        "the first weights random (--weights), the rate too low or too high (--rate; --optimiser "
        "adam --rate 1e-3 learns sooner), the other classes rare (--class-weights median), or the "
        "moving averages behind the weights (a smaller --batch-norm-momentum)"
    )
