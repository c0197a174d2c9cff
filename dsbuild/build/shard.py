"""One shard, the unit of work: written from its plan, or found to be there as planned."""

import dataclasses
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from dsbuild import extras, images, storage
from dsbuild.build import batched, encode, palettes, seen, slices
from dsbuild.build.plan import ShardPlan
from dsbuild.build.recipe import Recipe
from dsbuild.build.seen import Packed
from dsbuild.engines import Advance, turn
from dsbuild.errors import NoFileError
from dsbuild.format import label_values, manifest, receipts, tfrecord
from dsbuild.format.index import index_text
from dsbuild.format.manifest import Reject, Statistics
from dsbuild.format.receipts import ShardReceipt
from dsbuild.layouts import Sample
from dsbuild.layouts.sample import Slice
from dsbuild.storage import Stamp


def write_shard(
    shard: ShardPlan, advance: Advance, *, out: str, on_error: str = "stop"
) -> ShardReceipt:
    """Write one shard, its index and its receipt; a pure, idempotent function of its plan.

    The receipt comes last, so a shard with a receipt is whole. Raises the first sample's error,
    leaving nothing behind, or with `skip` notes it in the receipt. Returns the receipt without its
    sources, since many receipts are held in memory together.
    """
    rejects: list[Reject] = []
    sources: list[tuple[int | None, ...]] = []
    lines: list[str | None] = []
    colours: palettes.Meanings = {}
    statistics = Statistics()
    paths = encode.paths(shard.samples, shard.root)
    with storage.together(out) as group:
        with (
            group.writing(storage.join(out, shard.name)) as file,
            storage.ahead(paths) as read,
            turn(),
        ):
            writer = tfrecord.Writer(file)
            with writer.behind():
                ahead = slices.ahead(shard.samples)
                for sample, records in batched.records(ahead, shard.root, shard.recipe, read):
                    size = 0
                    try:
                        for encoded in records:
                            writer.write(encoded.record)
                            size += len(encoded.record)
                            statistics += encoded.statistics
                            lines.append(_line(encoded.statistics))
                    except encode.Rejected as error:
                        if on_error != "skip":
                            raise
                        rejects.append(_reject(shard.split, error))
                        sources.append(error.sources)
                        advance(1, 0)
                        continue
                    sources.append(encoded.sources)
                    palettes.add(colours, encoded.colours, sample.label_name)
                    advance(1, size)
        known = [line for line in lines if line is not None]
        values = "".join(known).encode() if len(known) == len(lines) else None
        libraries, meanings = versions(shard.recipe), palettes.rows(colours)
        return complete(
            shard, writer, values, rejects, statistics, sources, libraries, meanings, out, group
        )


def _reject(split: str, error: encode.Rejected) -> Reject:
    return Reject(split, error.key, error.file, error.kind, error.reason)


def _line(found: Statistics) -> str | None:
    """Return a record's line in the list of label values, None if its label was not decoded."""
    return None if found.labels and not found.images else label_values.line(found.images)


def complete(
    shard: ShardPlan,
    written: tfrecord.Writer,
    values: bytes | None,
    rejects: Iterable[Reject],
    statistics: Statistics,
    sources: Iterable[tuple[int | None, ...]],
    versions: Mapping[str, str],
    colours: tuple[palettes.Row, ...],
    out: str,
    group: storage.Group,
) -> ShardReceipt:
    """Write index, label values and receipt of a written shard; return the last, without sources.

    `values` is its list of label values, None if unknown; a list left by an earlier write is then
    removed. `group` is what the shard was written with.
    """
    index = index_text(written.index).encode()
    beside = {manifest.index_path(out, shard.name): index}
    if values is None:
        storage.remove(manifest.values_path(out, shard.name))
    else:
        beside[manifest.values_path(out, shard.name)] = values
    group.write_all(beside)
    receipt = ShardReceipt(
        name=shard.name,
        plan=shard.digest,
        records=len(written.index),
        bytes=written.size,
        sha256=written.sha256.hexdigest(),
        index=hashlib.sha256(index).hexdigest(),
        rejects=tuple(rejects),
        statistics=statistics,
        sources=tuple(sources),
        versions=versions,
        values=None if values is None else hashlib.sha256(values).hexdigest(),
        colours=colours,
    )
    return dataclasses.replace(receipt.save(out, group.write), sources=())


def versions(recipe: Recipe) -> dict[str, str]:
    """Return the versions of the libraries that decide bytes: PNG writer, shrinking, extras."""
    by_opencv = recipe.policy.max_side is not None or recipe.policy.depth == 16
    return images.versions(by_opencv) | extras.versions(recipe.chosen)


@dataclass(frozen=True)
class Standing:
    """Whether a shard may be kept: if so its receipt without sources, else None and why not."""

    receipt: ShardReceipt | None
    reason: str = ""


def check_shard(
    shard: ShardPlan,
    advance: Advance,
    *,
    out: str,
    on_error: str,
    compare: str,
    stamps: Packed | None = None,
) -> Standing:
    """Return whether a shard may be kept: its plan, bytes and sources are all unchanged.

    `compare` is `Request.sources`; `stamps` are those of the sources, packed, if they are known.
    """
    advance(len(shard.samples), 0)
    receipt = receipts.load(out, shard.name)
    path = storage.join(out, shard.name)
    written = storage.stamp(path)
    if receipt is None or written is None:
        return Standing(None, "it is missing")
    if not written.size and (odd := storage.odd(path)):
        return Standing(None, f"it is {odd}")
    if receipt.plan != shard.digest:
        return Standing(None, "its recipe or its samples changed")
    if receipt.rejects and on_error != "skip":
        return Standing(None, f"{len(receipt.rejects)} of its samples were left out")
    if storage.sha256(path) != (receipt.sha256, receipt.bytes):
        return Standing(None, "its bytes changed since it was written")
    for found, what, digest in (
        (manifest.index_path(out, shard.name), "index", receipt.index),
        (manifest.values_path(out, shard.name), "list of label values", receipt.values),
    ):
        if digest is not None and not holds(found, digest):
            return Standing(None, f"its {what} is missing or changed")
    if len(receipt.sources) != len(shard.samples):
        return Standing(None, "its receipt is damaged")
    if again := _found_again(shard, receipt.rejects):
        return Standing(None, f"its source {again} was left out but can be read now")
    if compare != "ignore" and (changed := _changed(shard, receipt, stamps, compare == "content")):
        return Standing(None, f"its source {changed} changed")
    return Standing(dataclasses.replace(receipt, sources=()))


def _changed(
    shard: ShardPlan, receipt: ShardReceipt, packed: Packed | None, rehash: bool
) -> str | None:
    """Return the path of the first source that is not as noted, or None."""
    stamps: Iterator[Stamp | None]
    if packed is None:
        stamps = storage.stamps(encode.paths(shard.samples, shard.root))
    else:
        # As below, but faster, if all samples are two files.
        pairs = not rehash and all(isinstance(one.label, str) for one in shard.samples)
        if pairs and seen.agree(packed, receipt.sources):
            return None
        stamps = iter(seen.unpacked(packed))
    for sample, row in zip(shard.samples, receipt.sources, strict=True):
        changed = _changed_source(sample, shard.root, row, stamps, rehash)
        if changed:
            return changed
    return None


def _found_again(shard: ShardPlan, rejects: Iterable[Reject]) -> str | None:
    """Return the path of the first file that was left out as missing but exists, or None.

    Earlier versions mistook trouble with a store or disk for a missing file. A broken link or a
    FIFO still counts as missing.
    """
    missed = [one.file for one in rejects if one.kind in encode.MISSING]
    paths = [storage.join(shard.root, path) for path in missed]
    for path, full, stamp in zip(missed, paths, storage.stamps(paths), strict=True):
        if stamp is not None:
            try:
                storage.read(full)
            except NoFileError:
                continue
            return path
    return None


def holds(path: str, digest: str) -> bool:
    """Return whether a small file exists and has this sha256."""
    if storage.stamp(path) is None:
        return False
    return hashlib.sha256(storage.read(path)[0]).hexdigest() == digest


def unseen(samples: int, size: int) -> None:
    """Advance nothing: looking at a shard does not complete any samples."""


class Outcome(NamedTuple):
    """The result for a shard: its receipt without sources, and whether it was kept."""

    receipt: ShardReceipt
    kept: bool


def ensure(shard: ShardPlan, advance: Advance, *, out: str, on_error: str, compare: str) -> Outcome:
    """Keep a shard that is as planned, else write it."""
    stands = check_shard(shard, unseen, out=out, on_error=on_error, compare=compare)
    if stands.receipt:
        advance(len(shard.samples), 0)
        return Outcome(stands.receipt, kept=True)
    return Outcome(write_shard(shard, advance, out=out, on_error=on_error), kept=False)


def _changed_source(
    sample: Sample,
    root: str,
    noted: tuple[int | None, ...],
    stamps: Iterator[Stamp | None],
    rehash: bool,
) -> str | None:
    """Return the path of the sample's first source that is not as noted, or None.

    `stamps` are those of the sources from here on.
    """
    for at, path in enumerate(sample.sources):
        if path is None:
            continue
        size, mtime, crc = noted[3 * at : 3 * at + 3] or encode.NOTHING
        if isinstance(path, Slice):
            now = slices.held(path)
            if (size, crc) != (now.size, now.crc):
                return str(path)
            continue
        full = storage.join(root, path)
        if next(stamps) != (None if size is None else (size, mtime)):
            return path
        if rehash and crc is not None and slices.checksum(storage.read(full)[0]) != crc:
            return path
    return None
