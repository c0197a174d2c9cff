"""Build an output folder: plan, resume, write shards, manifest last."""

import functools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dsbuild import storage
from dsbuild.build import output, parts, plan_files
from dsbuild.build.audit import Audit, Planned, Request
from dsbuild.build.finishing import describe, finish, left_out, tell
from dsbuild.build.opening import Note, opened, publish, surplus
from dsbuild.build.plan import ShardPlan
from dsbuild.build.shard import Standing, check_shard, versions, write_shard
from dsbuild.engines import Job
from dsbuild.format import manifest
from dsbuild.format.manifest import Reject
from dsbuild.format.receipts import ShardReceipt

__all__ = [
    "Note",
    "Summary",
    "build",
    "describe",
    "finish",
    "left_out",
    "opened",
    "publish",
    "surplus",
    "tell",
    "write_shards",
]


@dataclass(frozen=True)
class Summary:
    """What a build came to: the manifest, how many shards were written and kept, rejects."""

    manifest: Mapping[str, Any]
    written: int
    kept: int
    rejects: tuple[Reject, ...]


def build(
    request: Request,
    audit: Audit,
    workers: int = 1,
    quiet: bool = True,
    note: Note = lambda _: None,
) -> Summary:
    """Build or finish an output folder by its audit (`audit(request)`); return what came of it.

    Shards that stand as planned are kept. Raises a DsbuildError, which leaves a folder
    without manifest but with all finished shards; the same call then finishes it.
    """
    with opened(request, audit, note) as others:
        out, planned = request.out, audit.splits
        standing = _standing(request, planned, workers, quiet, note)
        entries = [shard for found in planned for shard in found.shards]
        todo = {shard.name for shard in entries if not standing[shard.name].receipt}
        stale = surplus(out, planned, others, note)
        finished = not (todo or stale) and manifest.load(out) is not None
        if not finished or not all(plan_files.holds(out, p.split, p.plans()) for p in planned):
            output.open_for_work(out)
            output.forget(out, [*stale, *sorted(todo)])
            publish(request, planned)
        made = _write(request, planned, todo, workers, quiet)
        kept = [stands.receipt for stands in standing.values() if stands.receipt]
        names = [found.split for found in planned]
        accept, weights = request.accept, request.weights
        written = [*made, *kept]
        document, rejects = finish(out, request.recipe, names, written, others, accept, weights)
        tell(rejects, note)
        return Summary(document, len(made), len(kept), rejects)


def _write(
    request: Request, planned: Sequence[Planned], todo: Collection[str], workers: int, quiet: bool
) -> list[ShardReceipt]:
    """Write shards on processes of this machine; in parts where they are fewer than these."""
    samples = sum(one.records for found in planned for one in found.shards if one.name in todo)
    title = "building " + ", ".join(found.split for found in planned)
    how = {"out": request.out, "on_error": request.on_error, "compare": request.sources}

    def shards() -> Iterator[ShardPlan]:
        return (one for found in planned for one in found.plans() if one.name in todo)

    return write_shards(shards, len(todo), samples, title, workers, quiet, **how)


def write_shards(
    shards: Callable[[], Iterator[ShardPlan]],
    count: int,
    samples: int,
    title: str,
    workers: int,
    quiet: bool,
    *,
    out: str,
    on_error: str,
    compare: str,
) -> list[ShardReceipt]:
    """Write `count` planned shards of `samples` in all; return their receipts without sources."""
    pieces = parts.count_parts(count, samples, workers)
    if pieces == 1:
        work = storage.carried(functools.partial(write_shard, out=out, on_error=on_error))
        return Job(shards(), work, samples, title).run(workers, quiet)
    some = (part for shard in shards() for part in parts.divide(shard, pieces))
    how = {"out": out, "on_error": on_error, "compare": compare}
    work = storage.carried(functools.partial(parts.write_part, **how))
    Job(some, work, samples, title).run(workers, quiet)
    work = storage.carried(functools.partial(parts.join, out=out, parts=pieces))
    return Job(shards(), work, samples, "joining").run(workers, quiet)


def _standing(
    request: Request, planned: Sequence[Planned], workers: int, quiet: bool, note: Note
) -> dict[str, Standing]:
    """Return for every shard whether it may be kept, and say what may not and why."""
    out, recipe = request.out, request.recipe
    names = [shard.name for found in planned for shard in found.shards]
    before = set(output.shards(out))
    if not before:
        return dict.fromkeys(names, Standing(None))
    work = functools.partial(
        check_shard, out=out, on_error=request.on_error, compare=request.sources
    )
    samples = sum(len(found.samples) for found in planned)
    shards = (shard for found in planned for shard in found.plans())
    found = Job(shards, work, samples, "checking").run(workers, quiet)
    standing = dict(zip(names, found, strict=True))
    for line in output.differences(out, recipe):
        note(f"the recipe changed: {line}")
    again: dict[str, list[str]] = {}
    for name, stands in standing.items():
        if stands.receipt is None and name in before:
            again.setdefault(stands.reason, []).append(name)
    for reason, missed in again.items():
        more = f" and {len(missed) - 1} more" if len(missed) > 1 else ""
        note(f"writing {missed[0]}{more} again: {reason}")
    kept = [stands.receipt for stands in found if stands.receipt]
    if kept and len(kept) < len(names):
        note(f"resuming: {len(kept)} of {len(names)} shards stand and are kept")
    now = versions(recipe)
    drifted = {
        f"{k} {v}" for receipt in kept for k, v in receipt.versions.items() if now.get(k, v) != v
    }
    if drifted:
        note(f"kept shards were written with {', '.join(sorted(drifted))}; --overwrite renews them")
    return standing
