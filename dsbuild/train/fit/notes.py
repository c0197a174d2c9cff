"""Notes of a training: on its data before the first step, on its scores after the last."""

from collections.abc import Mapping

import numpy as np

from dsbuild.errors import TrainError
from dsbuild.format.manifest import Split
from dsbuild.reader import splits
from dsbuild.train.dataset import Facts
from dsbuild.train.metrics.confusion import Confusion

_FEW = 4  # classes that are named


def absent(split: str, facts: Facts, entries: Mapping[str, Split]) -> str:
    """Return a note on the classes that no image of a split has, or nothing.

    `entries` are the splits in the manifest. A part of a split, such as `train[:10%]`, counts as
    the whole. Raises TrainError if no class has an image.
    """
    counts = {name: entry.records for name, entry in entries.items()}
    parts = [entries[part.split].classes for part in splits.ranges(split, counts)]
    if None in parts:  # labels were not counted
        return ""
    present = [any(part[i].images for part in parts if part) for i in range(len(facts.classes))]
    known = enumerate(zip(facts.classes, present, strict=True))
    names = [repr(name) for i, (name, has) in known if not has and i != facts.ignore]
    if not any(present):
        raise TrainError(
            f"split {split!r}: found no label of any class, expected some; name another"
        )
    few = ", ".join(names[:_FEW])
    more = f" and {len(names) - _FEW:,} more" if names[_FEW:] else ""
    return f"no image of {split} has {few}{more}, which the model cannot learn" if few else ""


def monotonous(confusion: Confusion | None, facts: Facts) -> str:
    """Return the likely reasons if one class is predicted everywhere, or nothing."""
    if confusion is None or np.count_nonzero(confusion.labelled) < 2:
        return ""
    (predicted,) = np.nonzero(confusion.predicted)
    if len(predicted) != 1:
        return ""
    return (
        f"val: every prediction is {facts.classes[predicted[0]]!r}; perhaps there are too few "
        "steps, the first weights are random (--weights), the rate is too low or too high (--rate; "
        "--optimiser adam --rate 1e-3 learns sooner), the other classes are rare (--class-weights "
        "median), or the moving averages trail the weights (a smaller --batch-norm-momentum)"
    )
