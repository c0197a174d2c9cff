"""Write a shard in parts, in parallel, each as a small shard of its own; then join them.

TFRecords can be concatenated, so the bytes are those of a shard written in one piece. Parts are
kept in the folder's state until their shard is whole, also when a build is interrupted.
"""

import hashlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from dsbuild import storage
from dsbuild.build import palettes, plan
from dsbuild.build.plan import ShardPlan
from dsbuild.build.shard import complete, ensure
from dsbuild.engines import Advance, Engine, batch
from dsbuild.errors import ShardError
from dsbuild.format import manifest, receipts, tfrecord
from dsbuild.format.manifest import Statistics
from dsbuild.format.receipts import ShardReceipt

SECONDS = 0.005  # roughly what encoding a sample takes


class Part(NamedTuple):
    """A part of a shard: the shard's name, and the part as a plan."""

    shard: str
    plan: ShardPlan

    @property
    def name(self) -> str:
        """The part's own name."""
        return f"{self.shard}, part {self.plan.name}"


def count_parts(shards: int, samples: int, engine: Engine) -> int:
    """Return how many parts per shard keep the workers busy; `samples` are those of all shards.

    No part is smaller than a task of the engine should be: joining would cost more than it saves.
    """
    workers = engine.workers if shards else 0
    if not 0 < shards < workers:
        return 1
    return max(1, min(-(-workers // shards), samples // shards // batch(engine, SECONDS)))


def divide(shard: ShardPlan, parts: int) -> Iterator[Part]:
    """Yield the parts of a shard in order."""
    total = len(shard.samples)
    for part in plan.shards(shard.split, shard.root, shard.samples, total, parts, shard.recipe):
        yield Part(shard.name, part)


def place(out: str, name: str) -> str:
    """Return the folder of the parts of a shard."""
    return storage.join(manifest.parts_path(out), name)


def write_part(part: Part, advance: Advance, *, out: str, on_error: str, compare: str) -> None:
    """Write a part as `write_shard` writes a shard, unless it exists already."""
    home = place(out, part.shard)
    ensure(part.plan, advance, out=home, on_error=on_error, compare=compare)


def join(shard: ShardPlan, advance: Advance, *, out: str, parts: int) -> ShardReceipt:
    """Write a shard from its parts, which are then removed; return its receipt without sources.

    Raises ShardError if a part is missing or changed.
    """
    home = place(out, shard.name)
    made = [_receipt(home, part.plan) for part in divide(shard, parts)]
    values = _values(home, made)
    with storage.together(out) as group:
        with group.writing(storage.join(out, shard.name)) as file:
            writer = tfrecord.Writer(file)
            for receipt in made:
                with storage.reading(storage.join(home, receipt.name)) as (frames, _):
                    writer.append(frames, manifest.offsets(home, receipt.name))
        if (writer.size, len(writer.index)) != (
            sum(receipt.bytes for receipt in made),
            sum(receipt.records for receipt in made),
        ):
            raise _changed(home)
        whole = complete(
            shard,
            writer,
            values,
            rejects=[reject for receipt in made for reject in receipt.rejects],
            statistics=sum((receipt.statistics for receipt in made), Statistics()),
            sources=[row for receipt in made for row in receipt.sources],
            versions={k: v for receipt in made for k, v in receipt.versions.items()},
            colours=palettes.rows(palettes.joined(receipt.colours for receipt in made)),
            out=out,
            group=group,
        )
    storage.remove_folder(home)
    advance(len(shard.samples), whole.bytes)
    return whole


def _values(home: str, made: Sequence[ShardReceipt]) -> bytes | None:
    """Return the lists of label values of parts as one list; None if a part has none."""
    if any(receipt.values is None for receipt in made):
        return None
    paths = [manifest.values_path(home, receipt.name) for receipt in made]
    with storage.ahead(paths) as read:
        lists = [read(path)[0] for path in paths]
    for receipt, values in zip(made, lists, strict=True):
        if hashlib.sha256(values).hexdigest() != receipt.values:
            raise _changed(home)
    return b"".join(lists)


def _changed(home: str) -> ShardError:
    return ShardError(f"{home}: parts changed while they were joined; run the command again")


def _receipt(home: str, part: ShardPlan) -> ShardReceipt:
    receipt = receipts.load(home, part.name)
    if receipt is None or receipt.plan != part.digest:
        raise ShardError(f"{home}: the part {part.name} is gone; run the same command again")
    return receipt
