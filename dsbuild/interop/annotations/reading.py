"""List a target by its own layout, and match what is listed with the records that were written.

Both sides are sorted by split and image, so that only small rows are kept, on disk if there are
many.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from typing import NamedTuple

from dsbuild.errors import LayoutError, ShardError
from dsbuild.format.split_names import called
from dsbuild.interop.annotations import parts
from dsbuild.layouts import Layout, Sample
from dsbuild.storage import spool

_RUN = 1 << 12  # rows that are sorted in memory; those of COCO hold the shapes of an image
_TASK = 1 << 12  # records of a task, likewise


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
    pairs = spool.ordered(_joined(layout, root, known, names), key=itemgetter(0, 1), run=_RUN)
    for shard, group in itertools.groupby(pairs, key=itemgetter(0)):
        for some in spool.batches((pair for _, _, pair in group), _TASK):
            yield Task(shard, some)


def _joined(
    layout: Layout, root: str, known: parts.Parts, names: Mapping[str, str]
) -> Iterator[tuple[int, int, Pair]]:
    ours = spool.ordered(_ours(known, names), key=itemgetter(0))
    theirs = spool.ordered(_theirs(layout, root, names), key=itemgetter(0), run=_RUN)
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
    layout: Layout, root: str, names: Mapping[str, str]
) -> Iterator[tuple[tuple[str, str], Sample]]:
    for split in names.values():
        for sample in layout.samples(root, split):
            yield (split, sample.image), sample


def _strange(layout: Layout, root: str, place: tuple[str, str]) -> LayoutError:
    return LayoutError(
        f"{root}: its layout {layout.name} lists {place[1]} in the split {place[0]}, which this "
        "export did not write; remove it, or choose another OUT"
    )
