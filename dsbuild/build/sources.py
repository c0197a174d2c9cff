"""Tell whether the sources of planned shards are those that the shards were written from."""

from collections.abc import Iterable, Iterator, Sequence

from dsbuild import storage
from dsbuild.build import encode
from dsbuild.build.plan import ShardPlan
from dsbuild.format import receipts
from dsbuild.layouts import Sample
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
        chosen = [list(files(sample, shard.root, noted)) for sample, noted in rows]
        stamps = storage.stamps(path for some in chosen for path, _ in some)
        for some in chosen:
            same = [_same(path, next(stamps), *known) for path, known in some]
            if same and all(same):
                return False
            compared |= bool(same)
    return compared


def files(
    sample: Sample, root: str, noted: Noted
) -> Iterator[tuple[str, tuple[int, int | None, int]]]:
    """Yield path and (size, mtime, crc32c) of the sample's files that were read."""
    for path, known in ((sample.image, noted[:3]), (sample.label, noted[3:])):
        size, mtime, crc = known
        if isinstance(path, str) and size is not None and crc is not None:
            yield storage.join(root, path), (size, mtime, crc)


def _same(path: str, stamp: Stamp | None, size: int, mtime: int | None, crc: int) -> bool:
    """Tell whether a file is as noted."""
    if stamp is None or stamp.size != size:
        return False
    return stamp.mtime_ns == mtime or encode.checksum(storage.read(path)[0]) == crc


def changed(
    samples: Sequence[Sample], before: Sequence[Noted], now: Sequence[Noted]
) -> list[tuple[str, str]]:
    """Return key and path of every file whose content changed."""
    files = []
    for sample, old, new in zip(samples, before, now, strict=True):
        for path, at in ((sample.image, 0), (sample.label, 3)):
            if isinstance(path, str) and (old[at], old[at + 2]) != (new[at], new[at + 2]):
                files.append((sample.key, path))
    return files
