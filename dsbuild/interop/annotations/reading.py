"""List a target by its own layout, and match what is listed with the records that were written.

Both sides are sorted by split and image as small rows, on disk if there are many; slices of labels,
such as the shapes of an image in COCO's file, are kept aside meanwhile.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from typing import NamedTuple

from dsbuild.errors import LayoutError, ShardError
from dsbuild.format.split_names import called
from dsbuild.interop.annotations import parts
from dsbuild.layouts import Layout, Sample
from dsbuild.layouts.sample import Held, Part, Slice
from dsbuild.storage import spool
from dsbuild.storage.heap import Heap

_TASK = 1 << 12  # records of a task
_BYTES = 1 << 20  # of slices of a task, after which it ends


class Pair(NamedTuple):
    """A record, by its number in its shard, and the sample that the layout has for it, or None."""

    number: int
    key: str
    sample: Sample | None


class Task(NamedTuple):
    """Some successive records of a shard, by its place among all, as the layout finds them."""

    shard: int
    pairs: list[Pair]


def splits(layout: Layout, root: str, ours: Sequence[str]) -> dict[str, str]:
    """Return split -> what the layout calls it; raise LayoutError if it does not find one."""
    theirs = layout.splits(root)
    if len(ours) == len(theirs) == 1:
        return {ours[0]: theirs[0]}
    names = {name: name if name in theirs else called(name) for name in ours}
    lost = [name for name, other in names.items() if other not in theirs]
    if lost:
        raise LayoutError(
            f"{root}: its layout {layout.name} finds the splits {', '.join(theirs)}, and not "
            f"{lost[0]}, which was written; remove what else is in the folder and export again"
        )
    return names


def matched(
    layout: Layout, root: str, known: parts.Parts, names: Mapping[str, str]
) -> Iterator[Task]:
    """Yield the records of shards, some at a time, with the samples that the layout lists for them.

    `names` are the splits, as `splits` returns them. Raises LayoutError for a sample that was not
    written, and ShardError for records that would be one file.
    """
    heap = Heap()
    pairs = spool.ordered(_joined(layout, root, known, names, heap), key=itemgetter(0, 1))
    for shard, group in itertools.groupby(pairs, key=itemgetter(0)):
        for some in _filled((pair for _, _, pair in group), heap):
            yield Task(shard, some)


def _filled(pairs: Iterator[Pair], heap: Heap) -> Iterator[list[Pair]]:
    """Yield the pairs of tasks, with the slices that were kept aside."""
    made, size = list[Pair](), 0
    for pair in pairs:
        if pair.sample is not None:
            parts = [_back(part, heap) for part in pair.sample.parts]
            size += sum(len(part.data) for part in parts if isinstance(part, Slice))
            pair = pair._replace(sample=_with(pair.sample, parts))
        made.append(pair)
        if len(made) == _TASK or size >= _BYTES:
            yield made
            made, size = [], 0
    if made:
        yield made


def _aside(part: Part, heap: Heap) -> Part:
    if not isinstance(part, Slice) or not isinstance(part.data, bytes):
        return part
    return part._replace(data=Held("", heap.add(part.data), len(part.data), 0))


def _back(part: Part, heap: Heap) -> Part:
    if not isinstance(part, Slice) or not isinstance(part.data, Held):
        return part
    return part._replace(data=heap.read(part.data.offset, part.data.size))


def _with(sample: Sample, parts: list[Part]) -> Sample:
    """Return a sample whose label has these parts."""
    if not parts:
        return sample
    single = isinstance(sample.label, str | Slice)
    return sample._replace(label=parts[0] if single else tuple(parts))


def _joined(
    layout: Layout, root: str, known: parts.Parts, names: Mapping[str, str], heap: Heap
) -> Iterator[tuple[int, int, Pair]]:
    ours = spool.ordered(_ours(known, names), key=itemgetter(0))
    theirs = spool.ordered(_theirs(layout, root, names, heap), key=itemgetter(0))
    sample, before = next(theirs, None), None
    for place, shard, number, key in ours:
        if before is not None and before[0] == place:
            raise ShardError(
                f"{root}: the records {before[1]!r} and {key!r} of the split {place[0]} would both "
                f"be {place[1]}; give them names that differ"
            )
        before = (place, key)
        if sample is not None and sample[0] < place:
            raise _strange(layout, root, sample[0])
        found = sample[1] if sample is not None and sample[0] == place else None
        if found is not None:
            sample = next(theirs, None)
        yield shard, number, Pair(number, key, found)
    if sample is not None:
        raise _strange(layout, root, sample[0])


def _ours(
    known: parts.Parts, names: Mapping[str, str]
) -> Iterator[tuple[tuple[str, str], int, int, str]]:
    for shard, (split, name) in enumerate(known.shards):
        for number, one in enumerate(parts.written(known.out, name)):
            if split in names:
                yield (names[split], one.row.image), shard, number, one.row.key


def _theirs(
    layout: Layout, root: str, names: Mapping[str, str], heap: Heap
) -> Iterator[tuple[tuple[str, str], Sample]]:
    for split in names.values():
        for sample in layout.samples(root, split):
            kept = [_aside(part, heap) for part in sample.parts]
            yield (split, sample.image), _with(sample, kept)


def _strange(layout: Layout, root: str, place: tuple[str, str]) -> LayoutError:
    return LayoutError(
        f"{root}: its layout {layout.name} lists {place[1]} in the split {place[0]}, which this "
        "export did not write; remove it, or choose another OUT"
    )
