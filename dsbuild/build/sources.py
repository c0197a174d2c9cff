"""Tell whether the sources of planned shards are those that the shards were written from."""

from collections.abc import Iterable, Iterator, Sequence

from dsbuild import storage
from dsbuild.build import slices
from dsbuild.build.plan import ShardPlan
from dsbuild.format import receipts
from dsbuild.layouts import Sample
from dsbuild.layouts.sample import Part, Slice
from dsbuild.storage import Stamp

_FEW = 64  # how many samples are compared

Noted = tuple[int | None, ...]  # size, mtime and crc32c of image and label


def others_throughout(plans: Iterable[ShardPlan], shards: int, samples: int, out: str) -> bool:
    """Tell whether no sample of the valid shards has the content that it was built from.

    Some evenly spaced samples are compared, by stamp or else by content, until one is unchanged.
    False if nothing is known to compare with.
    """
    every = max(1, shards // _FEW)
    step = max(1, samples // _FEW)
    compared = False
    for number, shard in enumerate(plans):
        if number % every:
            continue
        receipt = receipts.load(out, shard.name)
        if receipt is None or receipt.plan != shard.digest:
            continue
        if len(receipt.sources) != len(shard.samples):
            continue
        rows = zip(shard.samples[::step], receipt.sources[::step], strict=True)
        chosen = [(files(sample, shard.root, row), _unlike(sample, row)) for sample, row in rows]
        known = [(list(some), unlike) for some, unlike in chosen]
        stamps = storage.stamps(path for some, _ in known for path, _ in some)
        for some, unlike in known:
            same = [_same(path, next(stamps), *noted) and not unlike for path, noted in some]
            if same and all(same):
                return False
            compared |= bool(same)
    return compared


def files(
    sample: Sample, root: str, noted: Noted
) -> Iterator[tuple[str, tuple[int, int | None, int]]]:
    """Yield path and (size, mtime, crc32c) of the sample's whole files that were read."""
    for path, (size, mtime, crc) in zip(_parts(sample), _triples(noted), strict=False):
        if isinstance(path, str) and size is not None and crc is not None:
            yield storage.join(root, path), (size, mtime, crc)


def _parts(sample: Sample) -> tuple[Part | None, ...]:
    return sample.sources


def _triples(noted: Noted) -> Iterator[Noted]:
    """Yield size, mtime and crc32c of each part in turn."""
    return (noted[at : at + 3] for at in range(0, len(noted), 3))


def _unlike(sample: Sample, noted: Noted) -> bool:
    """Tell whether a slice of the sample's label is another one than noted."""
    pairs = zip(_parts(sample), _triples(noted), strict=False)
    return any(
        isinstance(part, Slice) and (known[0], known[2]) != slices.held(part)[2:]
        for part, known in pairs
    )


def _same(path: str, stamp: Stamp | None, size: int, mtime: int | None, crc: int) -> bool:
    """Tell whether a file is as noted."""
    if stamp is None or stamp.size != size:
        return False
    return stamp.mtime_ns == mtime or slices.checksum(storage.read(path)[0]) == crc


def changed(
    samples: Sequence[Sample], before: Sequence[Noted], now: Sequence[Noted]
) -> list[tuple[str, str]]:
    """Return key and path of every file whose content changed."""
    found = []
    for sample, old, new in zip(samples, before, now, strict=True):
        for path, was, is_ in zip(_parts(sample), _triples(old), _triples(new), strict=False):
            if (was[0], was[2]) != (is_[0], is_[2]):
                found.append((sample.key, str(path)))
    return found
