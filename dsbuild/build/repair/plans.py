"""Find lost plans of shards again, by the shard's keys and the listing of the source.

Only a plan with the digest that the receipt or the manifest names is accepted.
"""

from collections.abc import Iterator, Mapping, Sequence

from dsbuild import storage
from dsbuild.build import listing, slices
from dsbuild.build.plan import ShardPlan
from dsbuild.build.repair.known import Known
from dsbuild.errors import DataError, PlanError
from dsbuild.format import example, manifest, tfrecord, tiles
from dsbuild.layouts import Sample


def restore(known: Known, root: str, lost: Sequence[str]) -> list[str]:
    """Add the plans that are found again; return the names of the other shards."""
    for split, names in known.splits.items():
        mine = [name for name in names if name in lost]
        if not mine:
            continue
        try:
            listed = listing.read(root, split, known.recipe.layout, known.recipe.aligned)
        except (DataError, PlanError):
            continue
        samples = list(listed.samples)
        ranks = {sample.key: rank for rank, sample in enumerate(samples)}
        for name in mine:
            for candidate in _candidates(known, name, samples, ranks, root):
                shard = ShardPlan(name, root, tuple(candidate), known.recipe)
                if shard.digest == known.digest(name):
                    known.plans[name] = tuple(slices.filled(shard.samples, listed.kept.read))
                    break
    return [name for name in lost if name not in known.plans]


def _candidates(
    known: Known, name: str, samples: Sequence[Sample], ranks: Mapping[str, int], root: str
) -> Iterator[Sequence[Sample]]:
    """Yield what the samples of a shard may have been, in order."""
    receipt = known.receipts.get(name)
    left = [reject.key for reject in receipt.rejects] if receipt else []
    keys = _keys(known, name)
    if keys is not None and all(key in ranks for key in (*keys, *left)):
        listed = [samples[ranks[key]] for key in keys]
        rejected = [samples[ranks[key]] for key in left]
        yield _by_rank(listed, rejected, ranks)
        if receipt:
            yield _by_size(listed, rejected, [row[0] for row in receipt.sources], root)
    taken = {sample.key for plan in known.plans.values() for sample in plan}
    rest = [sample for sample in samples if sample.key not in taken]
    count = _count(known, name)
    before = known.splits[str(manifest.split_of(name))]
    begin = sum(
        len(known.plans[other]) if other in known.plans else _count(known, other)
        for other in before
        if other < name
    )
    yield samples[begin : begin + count]
    yield rest[:count]


def _count(known: Known, name: str) -> int:
    """Return how many samples a shard was made of, as far as that is known."""
    receipt = known.receipts.get(name)
    count: int = len(receipt.sources) if receipt else known.entry(name).get("records", 0)
    return count


def _keys(known: Known, name: str) -> list[str] | None:
    """Return the keys of a shard's samples in order, None if the shard is not whole."""
    path = storage.join(known.out, name)
    key = known.recipe.schema["key"].name
    try:
        if storage.stamp(path) is None or storage.sha256(path)[0] != known.sha256(name):
            return None
        keys = (
            example.first(example.parse(record.data).get(key)).decode(errors="surrogateescape")
            for record in tfrecord.read(path)
        )
        if known.recipe.policy.tile is None:
            return list(keys)
        return list(dict.fromkeys(map(tiles.source_of, keys)))
    except DataError:
        return None


def _by_rank(
    listed: Sequence[Sample], rejected: Sequence[Sample], ranks: Mapping[str, int]
) -> list[Sample]:
    """Insert samples that were left out at their places in the listing."""
    merged = list(listed)
    for sample in rejected:
        rank = ranks[sample.key]
        at = next((i for i, other in enumerate(merged) if ranks[other.key] > rank), len(merged))
        merged.insert(at, sample)
    return merged


def _by_size(
    listed: Sequence[Sample], rejected: Sequence[Sample], sizes: Sequence[int | None], root: str
) -> list[Sample]:
    """Insert samples that were left out at the places where the receipt has their sizes."""
    records, others, merged = list(listed), list(rejected), []
    for size in sizes:
        if not records or (others and size != _size(records[0], root)):
            merged += others[:1]
            del others[:1]
        else:
            merged.append(records.pop(0))
    return merged


def _size(sample: Sample, root: str) -> int | None:
    stamp = storage.stamp(storage.join(root, sample.image))
    return stamp.size if stamp else None
