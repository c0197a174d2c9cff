"""How the labels of two builds differ, pixel by pixel.

The documents of `diff` name the samples whose label changed; this module reads those records of
both builds again, and says which of their pixels have another value.
"""

import functools
import itertools
import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsbuild import storage
from dsbuild.engines import Advance, Engine, Job
from dsbuild.format import example, features, tfrecord
from dsbuild.inspect.diff import Item, Side
from dsbuild.inspect.forms import Difference

Plane = NDArray[np.integer[Any]]
Where = tuple[str, int, int]  # a record: its file, its number, its first byte
_BATCH = 64  # records of a task


@dataclass(frozen=True)
class MaskChange:
    """How the label of one sample changed.

    Attributes:
      split, key: of the sample.
      before, after: where its records are.
      pixels: of the label; 0 if the two labels cannot be compared pixel by pixel.
      moves: (value before, value after) -> pixels that changed from one to the other.
      why: why the two labels cannot be compared; empty if they can.
    """

    split: str
    key: str
    before: Where
    after: Where
    pixels: int = 0
    moves: Mapping[tuple[int, int], int] = field(default_factory=dict)
    why: str = ""

    @property
    def changed(self) -> int:
        """How many pixels have another value."""
        return sum(self.moves.values())

    @property
    def share(self) -> float:
        """The share of pixels that have another value; 1 if that cannot be said."""
        return self.changed / self.pixels if self.pixels else 1.0


def compare(
    before: Side, after: Side, document: Difference, engine: Engine
) -> tuple[MaskChange, ...]:
    """Return the changes of all labels that `document` lists as changed, the largest share first.

    Labels that cannot be compared pixel by pixel come before all others.
    """
    pairs = [
        (split, key, _where(before, split, key), _where(after, split, key))
        for split, change in document["splits"].items()
        for key in change["label"]
    ]
    pairs.sort(key=lambda pair: pair[2:])  # so that a task opens few files
    tasks = [pairs[start : start + _BATCH] for start in range(0, len(pairs), _BATCH)]
    labels = before.folder.labels, after.folder.labels
    work = functools.partial(_changes, labels=labels)
    parts = engine.map(Job(tasks, work, len(pairs), "comparing masks", unit="masks"))
    changes = [change for part in parts for change in part]
    return tuple(sorted(changes, key=lambda one: (not one.why, -one.share, one.split, one.key)))


def _where(side: Side, split: str, key: str) -> Where:
    item: Item = side.samples[split][key]
    return storage.join(side.folder.home, item.file), item.number, item.offset


def _changes(
    task: Sequence[tuple[str, str, Where, Where]],
    advance: Advance,
    *,
    labels: tuple[Sequence[str], Sequence[str]],
) -> list[MaskChange]:
    made = []
    sides = (_each(before for *_, before, _ in task), _each(after for *_, after in task))
    for (split, key, before, after), was, now in zip(task, *sides, strict=True):
        pixels, moved, why = held_together(
            features.label(was, labels[0]), features.label(now, labels[1])
        )
        made.append(MaskChange(split, key, before, after, pixels, moved, why))
        advance(1, 0)
    return made


def values(place: Where) -> features.Values:
    """Return a parsed record; raise ShardError with its place if it cannot be read."""
    (found,) = _each([place])
    return found


def _each(places: Iterable[Where]) -> Iterator[features.Values]:
    """Yield parsed records one by one; those of a file that follow each other open it once."""
    for path, some in itertools.groupby(places, key=operator.itemgetter(0)):
        for record in tfrecord.at(path, [(number, offset) for _, number, offset in some]):
            with tfrecord.located(path, record):
                yield example.parse(record.data)


def held_together(
    before: int | Plane | None, after: int | Plane | None
) -> tuple[int, dict[tuple[int, int], int], str]:
    """Return the pixels of two labels, those that changed, or why they cannot be compared.

    A label is a plane of values, a class index, or None.
    """
    if not isinstance(before, np.ndarray) or not isinstance(after, np.ndarray):
        return 0, {}, f"the label was {_text(before)} and is {_text(after)}"
    if before.shape != after.shape:
        was, now = (f"{plane.shape[1]} x {plane.shape[0]}" for plane in (before, after))
        return 0, {}, f"the label was {was} pixels and is {now}"
    return before.size, moves(before, after), ""


def _text(label: int | Plane | None) -> str:
    if label is None:
        return "missing or unreadable"
    return f"class {label}" if isinstance(label, int) else "a mask"


def moves(before: Plane, after: Plane) -> dict[tuple[int, int], int]:
    """Return (value before, value after) -> pixels, of those that differ.

    >>> moves(np.array([[1, 1, 0]]), np.array([[2, 2, 0]]))
    {(1, 2): 2}
    """
    where = before != after
    # Labels have 16 bits at most, so two of them fit into one number.
    both = before[where].astype(np.int64) << 32 | after[where].astype(np.int64)
    values, counts = np.unique(both, return_counts=True)
    return {
        (int(value) >> 32, int(value) & 0xFFFFFFFF): int(count)
        for value, count in zip(values, counts, strict=True)
    }
