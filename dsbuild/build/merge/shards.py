"""The shards of a merge, one for each file of the builds: planned, checked, written."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dsbuild import storage
from dsbuild.build.merge.builds import Build, Seen, Source, key
from dsbuild.build.merge.records import made
from dsbuild.build.plan import ShardPlan
from dsbuild.build.recipe import Recipe
from dsbuild.build.shard import Standing, check_shard, complete, unseen, versions
from dsbuild.build.slices import checksum
from dsbuild.engines import Advance, turn
from dsbuild.errors import ShardError
from dsbuild.format import example, label_values, receipts, tfrecord
from dsbuild.format.manifest import Statistics, shard_name
from dsbuild.format.receipts import ShardReceipt
from dsbuild.layouts import Sample

_NOTHING = (None, None, None)


@dataclass(frozen=True)
class Task:
    """A shard to write: its plan, the file that its records come from, what becomes of values.

    Attributes:
      plan: a sample for each record, whose image is named `<build>/<file>#<number>`.
      source: the file.
      table: value in the build -> value in the merge.
      prefix: what keys begin with.
      trusted: whether dsbuild wrote the file, so that its images decode.
    """

    plan: ShardPlan
    source: Source
    table: tuple[tuple[int, int], ...]
    prefix: str
    trusted: bool

    @property
    def name(self) -> str:
        """The name of the shard."""
        return self.plan.name


def planned(
    builds: Sequence[Build],
    seen: Mapping[str, Seen],
    tables: Sequence[Mapping[int, int]],
    prefixes: Sequence[str],
    recipe: Recipe,
) -> dict[str, list[Task]]:
    """Return split -> its shards: the files of the first build, then those of the next one."""
    rows: dict[str, list[tuple[int, Source]]] = {}
    for at, build in enumerate(builds):
        for source in build.sources:
            rows.setdefault(source.split, []).append((at, source))
    return {
        split: [
            Task(
                ShardPlan(
                    shard_name(split, number, len(mine)),
                    "",
                    tuple(_samples(builds[at].name, source, seen[source.path], prefixes[at])),
                    recipe,
                ),
                source,
                tuple(sorted(tables[at].items())),
                prefixes[at],
                builds[at].folder.manifest is not None,
            )
            for number, (at, source) in enumerate(mine)
        ]
        for split, mine in sorted(rows.items())
    }


def _samples(build: str, source: Source, seen: Seen, prefix: str) -> Iterator[Sample]:
    for number, name in enumerate(seen.keys):
        yield Sample(f"{prefix}{name}", f"{build}/{source.name}#{number}", None)


def check(task: Task, advance: Advance, *, out: str) -> Standing:
    """Return whether a shard may be kept: it is as planned, and its source as it was."""
    found = check_shard(task.plan, unseen, out=out, on_error="stop", compare="ignore")
    advance(len(task.plan.samples), 0)
    if found.receipt is None:
        return found
    receipt, stamp = receipts.load(out, task.name), storage.stamp(task.source.path)
    rows = receipt.sources if receipt else ()
    if any(row[:2] != stamp for row in rows):
        return Standing(None, f"its source {task.source.path} changed")
    return found


def write(task: Task, advance: Advance, *, out: str) -> ShardReceipt:
    """Write a shard, its index and its receipt, which comes last; return it without sources.

    Raises ShardError if the source is damaged, or changed since it was looked through.
    """
    plan, source, table = task.plan, task.source, dict(task.table)
    lines: list[str | None] = []
    rows: list[tuple[int | None, ...]] = []
    statistics = Statistics()
    stamp = storage.stamp(source.path)
    wanted = iter(plan.samples)
    with storage.together(out) as group:
        with group.writing(storage.join(out, plan.name)) as file, turn():
            writer = tfrecord.Writer(file)
            with writer.behind():
                for record in tfrecord.read(source.path):
                    sample = next(wanted, None)
                    with tfrecord.located(source.path, record):
                        name = key(example.parse(record.data), source, record.number)
                        if sample is None or sample.key != f"{task.prefix}{name}":
                            raise ShardError(f"found key {name}; {_CHANGED}")
                        one = made(
                            record.data, sample.key, source, table, plan.recipe, task.trusted
                        )
                    writer.write(one.record)
                    statistics += one.statistics
                    lines.append(label_values.line(one.statistics.images))
                    rows.append((*(stamp or _NOTHING[:2]), checksum(record.data), *_NOTHING))
                    advance(1, len(one.record))
        if next(wanted, None) is not None or storage.stamp(source.path) != stamp:
            raise ShardError(f"{source.path}: {_CHANGED}")
        values = "".join(line for line in lines if line is not None).encode()
        libraries = versions(plan.recipe)
        receipt = complete(plan, writer, values, (), statistics, rows, libraries, (), out, group)
    return dataclasses.replace(receipt, sources=())


_CHANGED = "the file changed while it was merged; run the same command again"
