"""Split algebra: `train[:10%]+val` to ranges of records, as TensorFlow Datasets has it.

    splits  = part { "+" part }
    part    = NAME [ "[" [ bound ] ":" [ bound ] "]" ]
    bound   = [ "-" ] DIGITS [ "%" ]

If no split has a NAME, it may be another name of exactly one split: `val` reads `validation`.
A percentage is rounded to the closest record, so that `[:30%]` and `[30%:]` are disjoint and
cover the split.

Source: tensorflow_datasets/core/tfrecords_reader.py.
"""

import itertools
import re
from collections.abc import Mapping
from typing import NamedTuple

from dsbuild.errors import PlanError, nearest
from dsbuild.format.split_names import same

_PART = re.compile(r"(?P<split>[^\[\]+]+)(?:\[(?P<start>-?\d+%?)?:(?P<stop>-?\d+%?)?\])?", re.ASCII)


class Range(NamedTuple):
    """Consecutive records of a split, `stop` excluded."""

    split: str
    start: int
    stop: int


def ranges(text: str, counts: Mapping[str, int]) -> tuple[Range, ...]:
    """Return the ranges that a text names, given how many records each split has.

    Raises PlanError for any other text, for a split that does not exist, and for numbers beyond
    its records.

    >>> ranges("train[:10%]+val", {"train": 100, "val": 7})
    (Range(split='train', start=0, stop=10), Range(split='val', start=0, stop=7))
    """
    found = []
    for part in text.split("+"):
        match = _PART.fullmatch(part.strip())
        if match is None:
            raise PlanError(
                f"split {text!r}: found {part!r}, expected something like train, train[:10%], "
                "train[100:200], or several joined by +"
            )
        split = match["split"].strip()
        alike = [split] if split in counts else [one for one in counts if same(one, split)]
        if len(alike) != 1:
            raise PlanError(
                f"split {text!r}: there is no split {split!r}, there are {', '.join(counts)}"
                f"{nearest(split, counts)}"
            )
        (split,) = alike
        total = counts[split]
        start = _bound(match["start"] or "0", total, text)
        stop = _bound(match["stop"] or str(total), total, text)
        found.append(Range(split, start, max(start, stop)))
    return tuple(found)


def _bound(bound: str, total: int, text: str) -> int:
    number = int(bound.rstrip("%"))
    largest = 100 if bound.endswith("%") else total
    if abs(number) > largest:
        raise PlanError(
            f"split {text!r}: found {bound}, expected at most {largest}"
            + ("%" if bound.endswith("%") else ", the number of its records")
        )
    place = round(number * total / 100) if bound.endswith("%") else number
    return place + total if bound.startswith("-") else place


def folds(split: str, total: int, count: int) -> tuple[tuple[str, str], ...]:
    """Return the splits to train on and to hold out for each of `count` folds.

    The held-out parts are in order, of even size, and together the whole split.

    >>> folds("train", 5, 2)
    (('train[3:5]', 'train[0:3]'), ('train[0:3]', 'train[3:5]'))
    """
    if not 2 <= count <= total:
        raise PlanError(f"found {count} folds, expected 2 or more, and at most {total} records")
    ends = [i * (total // count) + min(i, total % count) for i in range(count + 1)]
    made = []
    for low, high in itertools.pairwise(ends):
        rest = [(a, b) for a, b in ((0, low), (high, total)) if a < b]
        trained = "+".join(f"{split}[{a}:{b}]" for a, b in rest)
        made.append((trained, f"{split}[{low}:{high}]"))
    return tuple(made)
