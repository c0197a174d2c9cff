"""Compare records with what a layout reads from a target: pixels, objects and images by class."""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dsbuild import images, storage
from dsbuild.engines import Advance
from dsbuild.errors import ImageError, ShardError
from dsbuild.interop.annotations.base import Target
from dsbuild.interop.annotations.loss import Loss, Tally, Worst
from dsbuild.interop.annotations.picture import Picture, Plane, again
from dsbuild.interop.annotations.reading import Pair, Task
from dsbuild.interop.annotations.shard import Shard
from dsbuild.layouts import Layout, Sample
from dsbuild.layouts.sample import Slice
from dsbuild.shapes import components, confusion
from dsbuild.shapes.confusion import Counts
from dsbuild.shapes.runs import Mask

Values = NDArray[np.uint32]

_NOTHING = 1 << 16  # in place of values that records do not have


def compare(
    task: Task,
    advance: Advance,
    *,
    shards: tuple[Shard, ...],
    root: str,
    target: Target,
    layout: Layout,
) -> Loss:
    """Return what the records of a task lost in a target, read back by its layout."""
    shard, total = shards[task.shard], Loss()
    pairs = {pair.number: pair for pair in task.pairs}
    wanted = {number: pair.key for number, pair in pairs.items()}
    for number, one in again(shard.source, shard.split, shard.keys, shard.name, wanted):
        total += _compared(one, pairs[number], root, target, layout)
        advance(1, 0)
    return total


def _compared(one: Picture, pair: Pair, root: str, target: Target, layout: Layout) -> Loss:
    sample, lost = pair.sample, Loss()
    altered = renamed = False
    if sample is not None:
        altered = storage.read(storage.join(root, sample.image))[0] != one.image
        renamed = sample.key != one.key
    if one.plane is not None:
        back = None if sample is None else _read(one, sample, root, layout)
        lost = planes(one.plane, back, target, one.objects)
    changed = sum(lost.reasons.values())
    return replace(
        lost,
        images=1,
        read=int(sample is not None),
        unlabelled=int(one.plane is None),
        altered=int(altered),
        renamed=int(renamed),
        worst=(Worst(changed, one.split, one.key),) if lost.changed else (),
        names=((one.key, sample.key),) if sample is not None and renamed else (),
    )


def _read(one: Picture, sample: Sample, root: str, layout: Layout) -> Plane:
    """Return the plane of a sample in the values of its layout, (h, w)."""
    data = [
        part.data if isinstance(part, Slice) else storage.read(storage.join(root, part))[0]
        for part in sample.parts
    ]
    try:
        whole = [part for part in data if isinstance(part, bytes)]
        return layout.compose(whole, sample.parts, one.size).plane
    except ImageError as error:
        raise ShardError(
            f"{storage.join(root, sample.label_name)}: cannot be read back: {error}"
        ) from error


def planes(plane: Plane, there: Plane | None, target: Target, numbers: Plane | None = None) -> Loss:
    """Return what a plane (h, w) lost that a layout reads back as another, in its own values.

    `numbers` are those of the objects of a panoptic record.
    """
    if there is None:
        pixels = images.histogram(plane).items()
        counts: Counts = {(value, _NOTHING): number for value, number in pixels}
    else:
        table = {to: value for value, to in target.values().items()}
        counts = confusion.through(confusion.counts(plane, there), table, _NOTHING)
    compared = _Compared(plane, there, target, numbers, counts)
    values = {value for pair in counts for value in pair} - {_NOTHING}
    classes = {value: compared.tally(value) for value in sorted(values)}
    if all(ours == theirs for ours, theirs in counts):
        return Loss(classes=classes)
    reasons = {"missing": plane.size} if there is None else compared.reasons()
    return Loss(changed=1, classes=classes, reasons={k: n for k, n in reasons.items() if n})


@dataclass(frozen=True)
class _Compared:
    """A plane of records and what a layout reads, (h, w), with the pixels of each pair of values.

    Pixels are looked at one by one only for what their counts do not say.
    """

    plane: Plane
    there: Plane | None
    target: Target
    numbers: Plane | None
    counts: Counts

    @functools.cached_property
    def back(self) -> Values:
        """What the layout reads, in the values of records: uint32 (h, w)."""
        if self.there is None:
            return np.full(self.plane.shape, _NOTHING, np.uint32)
        table = np.full(1 << 16, _NOTHING, np.uint32)
        for value, to in self.target.values().items():
            table[to] = value
        return np.asarray(table[self.there], np.uint32)

    def tally(self, value: int) -> Tally:
        """Return the counts of a value; its objects are not counted if it is no thing.

        Layouts read classes back, so an object with a number is read if any of its pixels is.
        """
        pairs, kind = self.counts.items(), self.target.objects
        kept = self.counts.get((value, value), 0)
        pixels = sum(number for (ours, _), number in pairs if ours == value)
        read = sum(number for (_, theirs), number in pairs if theirs == value)
        lost, gained = pixels - kept, read - kept
        objects = objects_read = changed = gone = 0
        if value in self.target.about.things:
            counted = kind != "class" and value in self.target.about.counted
            numbers = self.numbers if counted else None
            if not lost and not gained:
                objects = objects_read = components.count(self.plane, value, kind, numbers)
            else:
                objects, objects_read, changed, gone = self._objects(value, numbers)
        return Tally(
            pixels,
            read,
            lost,
            gained,
            objects,
            objects_read,
            changed,
            gone,
            int(pixels > 0),
            int(read > 0),
            int(lost > 0 or gained > 0),
        )

    def _objects(self, value: int, numbers: Plane | None) -> tuple[int, int, int, int]:
        """Return how many objects there are, are read, miss a pixel, and miss all pixels."""
        kind, ours, theirs = self.target.objects, self.plane == value, self.back == value
        objects, labels = components.labelled(ours, numbers)
        if kind == "class":
            objects, labels = min(objects, 1), np.minimum(labels, 1)
        changed = len(np.unique(labels[ours & ~theirs]))
        gone = objects - len(np.unique(labels[ours & theirs]))
        counts = numbers is None
        read = components.count(self.back, value, kind) if counts else objects - gone
        return objects, read, changed, gone

    def reasons(self) -> dict[str, int]:
        """Return reason -> pixels that changed for it."""
        changed = {pair: number for pair, number in self.counts.items() if pair[0] != pair[1]}
        ignored = sum(n for (ours, _), n in changed.items() if ours == self.target.about.ignore)
        found = {"ignored": ignored}
        if ignored < sum(changed.values()):
            others = _why(self.plane, self.back, self.target)
            found |= {name: int(np.count_nonzero(mask)) for name, mask in others}
        return found


def _why(plane: Plane, back: Values, target: Target) -> Iterator[tuple[str, Mask]]:
    """Yield reasons with the pixels that changed for each but those ignored; every one has one."""
    changed, things = plane != back, list(target.about.things)
    left = changed if target.about.ignore is None else changed & (plane != target.about.ignore)
    reasons: tuple[tuple[str, Callable[[], Mask]], ...] = (
        ("points", lambda: _thin(plane, changed, things)),
        ("holes", lambda: _filled(plane, back, things)),
        ("overlap", lambda: np.isin(plane, things) & np.isin(back, things)),
        ("outline", lambda: changed),
    )
    for reason, mask in reasons:
        if left.any():
            found = left & mask()
            yield reason, found
            left = left & ~found


def _thin(plane: Plane, changed: Mask, things: list[int]) -> Mask:
    """Return the objects of one or two pixels that were lost as a whole: bool (h, w)."""
    made = np.zeros(plane.shape, bool)
    for value in things:
        ours = plane == value
        if not (ours & changed).any():
            continue
        _, labels = components.labelled(ours)
        sizes, kept = np.bincount(labels.ravel()), np.bincount(labels[~changed & ours])
        kept = np.pad(kept, (0, len(sizes) - len(kept)))
        small = (sizes <= 2) & (kept == 0)
        small[0] = False
        made |= small[labels]
    return made


def _filled(plane: Plane, back: Values, things: list[int]) -> Mask:
    """Return pixels that read back as an object around them: bool (h, w)."""
    made = np.zeros(plane.shape, bool)
    for value in things:
        gained = (back == value) & (plane != value)
        if gained.any():
            made |= gained & components.filled(plane == value)
    return made
