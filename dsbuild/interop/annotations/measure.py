"""Compare records with what a layout reads from a target: pixels, objects and images by class."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from dsbuild import images, storage
from dsbuild.engines import Advance
from dsbuild.errors import ImageError, ShardError
from dsbuild.interop.annotations.base import Target
from dsbuild.interop.annotations.loss import Loss, Tally, Worst
from dsbuild.interop.annotations.picture import Picture, Plane, pictures
from dsbuild.interop.annotations.reading import Pair, Task
from dsbuild.interop.annotations.shard import Shard
from dsbuild.layouts import Layout, Sample
from dsbuild.layouts.sample import Slice
from dsbuild.shapes import components
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
    """Return what the records of a shard lost in a target, read back by its layout."""
    shard, pairs, total = shards[task.shard], iter(task.pairs), Loss()
    pair = next(pairs, None)
    every = pictures(shard.source, shard.split, shard.keys, target.about, shard.name)
    for number, one in enumerate(every):
        if pair is not None and pair.number == number:
            total += _compared(one, pair, root, target, layout)
            pair = next(pairs, None)
            advance(1, 0)
    return total


def _compared(one: Picture, pair: Pair, root: str, target: Target, layout: Layout) -> Loss:
    sample, unlabelled = pair.sample, one.plane is None
    found = Loss(images=1, unlabelled=int(unlabelled))
    if sample is not None:
        altered = storage.read(storage.join(root, sample.image))[0] != one.image
        renamed = sample.key != one.key
        names = ((one.key, sample.key),) if renamed else ()
        found += Loss(read=1, altered=int(altered), renamed=int(renamed), names=names)
    if one.plane is None:
        return found
    back = None if sample is None else _read(one, sample, root, target, layout)
    lost = planes(one.plane.astype(np.uint32), back, target, one.objects)
    if lost.changed:
        changed = sum(lost.reasons.values())
        lost += Loss(worst=(Worst(changed, one.split, one.key),))
    return found + lost


def _read(one: Picture, sample: Sample, root: str, target: Target, layout: Layout) -> Values:
    """Return the plane of a sample in the values of records, uint32 (h, w)."""
    data = [
        part.data if isinstance(part, Slice) else storage.read(storage.join(root, part))[0]
        for part in sample.parts
    ]
    try:
        whole = [part for part in data if isinstance(part, bytes)]
        plane = layout.compose(whole, sample.parts, one.size).plane
    except ImageError as error:
        raise ShardError(
            f"{storage.join(root, sample.label_name)}: cannot be read back: {error}"
        ) from error
    table = np.full(1 << 16, _NOTHING, np.uint32)
    for value, to in target.values().items():
        table[to] = value
    return np.asarray(table[plane], np.uint32)


def planes(
    plane: Values, back: Values | None, target: Target, numbers: Plane | None = None
) -> Loss:
    """Return what a plane lost that reads back as another, both uint32 (h, w).

    `numbers` are those of the objects of a panoptic record.
    """
    kind, things = target.objects, set(target.about.things)
    counted = set(target.about.counted) if numbers is not None and kind != "class" else set()
    if back is not None and np.array_equal(plane, back):
        same: dict[int, Tally] = {}
        for value, pixels in images.histogram(plane).items():
            number = 0
            if value in counted:
                number = components.labelled(plane == value, numbers)[0]
            elif value in things:
                number = components.count(plane, value, kind)
            same[value] = Tally(
                pixels=pixels,
                read=pixels,
                objects=number,
                objects_read=number,
                images=1,
                images_read=1,
            )
        return Loss(classes=same)
    there = np.full(plane.shape, _NOTHING, np.uint32) if back is None else back
    values = images.histogram(plane).keys() | images.histogram(there).keys()
    classes = {
        value: _tally(
            plane,
            there,
            value,
            kind if value in things else "",
            numbers if value in counted else None,
        )
        for value in sorted(values - {_NOTHING})
    }
    if back is None:
        return Loss(changed=1, classes=classes, reasons={"missing": plane.size})
    reasons = {name: int(np.count_nonzero(mask)) for name, mask in _why(plane, there, target)}
    return Loss(changed=1, classes=classes, reasons={k: n for k, n in reasons.items() if n})


def _tally(plane: Values, back: Values, value: int, kind: str, numbers: Plane | None) -> Tally:
    """Return the counts of a value; its objects are not counted if there is no kind.

    Layouts read classes back, so an object with a number is read if any of its pixels is.
    """
    ours, theirs = plane == value, back == value
    lost, gained = ours & ~theirs, theirs & ~ours
    pixels, read = np.count_nonzero(ours), np.count_nonzero(theirs)
    objects = objects_read = changed = gone = 0
    if kind and numbers is None and not (lost.any() or gained.any()):
        objects = objects_read = components.count(plane, value, kind)
    elif kind:
        objects, labels = components.labelled(ours, numbers)
        if kind == "class":
            objects, labels = min(objects, 1), np.minimum(labels, 1)
        changed = len(np.unique(labels[lost]))
        gone = objects - len(np.unique(labels[ours & theirs]))
        counts = numbers is None
        objects_read = components.count(back, value, kind) if counts else objects - gone
    return Tally(
        int(pixels),
        int(read),
        int(np.count_nonzero(lost)),
        int(np.count_nonzero(gained)),
        objects,
        objects_read,
        changed,
        gone,
        int(pixels > 0),
        int(read > 0),
        int(bool(lost.any() or gained.any())),
    )


def _why(plane: Values, back: Values, target: Target) -> Iterator[tuple[str, Mask]]:
    """Yield reasons with the pixels that changed for each; every pixel has one."""
    changed = plane != back
    left, things = changed, list(target.about.things)
    reasons: tuple[tuple[str, Callable[[], Mask]], ...] = (
        ("ignored", lambda: plane == target.about.ignore),
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


def _thin(plane: Values, changed: Mask, things: list[int]) -> Mask:
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


def _filled(plane: Values, back: Values, things: list[int]) -> Mask:
    """Return pixels that read back as an object around them: bool (h, w)."""
    made = np.zeros(plane.shape, bool)
    for value in things:
        gained = (back == value) & (plane != value)
        if gained.any():
            made |= gained & components.filled(plane == value)
    return made
