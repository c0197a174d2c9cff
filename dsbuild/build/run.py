"""Build an output folder: plan, check existing shards, write the others, manifest last.

One driver serves every engine. An engine that outlives the process which submits it, such as Beam
on Dataflow, also has `complete`, since it must write the manifest itself: it gets the same folder
with the same plans, does the same tasks, and calls the same `finish`. Only existing shards are not
checked beforehand, since that would be a pipeline of its own.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from dsbuild import storage
from dsbuild.build import output, plan_files, tasks
from dsbuild.build.audit import Audit, Planned
from dsbuild.build.finishing import describe, finish, left_out, tell
from dsbuild.build.opening import Note, allowed, locked, publish, surplus
from dsbuild.build.recipe import Recipe
from dsbuild.build.request import Request
from dsbuild.build.shard import Standing, versions
from dsbuild.build.tasks import Shards
from dsbuild.engines import Engine, Local
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
    "prepare",
    "tell",
]


@dataclass(frozen=True)
class Summary:
    """The result of a build: the manifest, numbers of shards written and kept, and rejects."""

    manifest: Mapping[str, Any]
    written: int
    kept: int
    rejects: tuple[Reject, ...]


@runtime_checkable
class Completing(Protocol):
    """An engine that writes shards and the manifest by itself, once it is submitted."""

    def complete(
        self, request: Request, splits: Sequence[str], shards: Shards, note: Note
    ) -> Summary | None:
        """Complete a folder that was prepared; return None if a service does so later."""
        ...

    def rehearse(self, request: Request, splits: Sequence[str], shards: Shards, note: Note) -> bool:
        """Rehearse the build if the engine's options ask for that; return whether they do.

        Raises DsbuildError if the request cannot be run.
        """
        ...


def build(
    request: Request,
    audit: Audit,
    engine: Engine | None = None,
    note: Note = lambda _: None,
) -> Summary | None:
    """Build or finish an output folder by its audit (`audit(request)`); return the result.

    Shards that are as planned are kept. The engine is this process by default. A DsbuildError
    leaves a folder without a manifest but with all finished shards; any engine can then finish it.
    Returns None if the engine was only asked to submit or rehearse the build.
    """
    engine = engine or Local()
    out, planned = request.out, audit.splits
    names = [one.split for one in planned]
    if isinstance(engine, Completing):
        if engine.rehearse(request, names, _shards(out, planned), note):
            return None
    else:
        _ = engine.workers  # so that a cluster that is not ready is reported before any change
    with locked(request, audit, note):
        with storage.listed_once(*output.places(out)):
            others = allowed(request, audit, note)
            if isinstance(engine, Completing):
                prepare(request, planned, others, note)
            else:
                kept = _kept(request, planned, others, engine, note)
        if isinstance(engine, Completing):
            return engine.complete(request, names, _shards(out, planned), note)
        todo = {shard.name for one in planned for shard in one.shards} - kept.keys()
        left = _shards(out, planned, todo)
        title = "building " + ", ".join(names)
        made = tasks.write(request, left, title, engine) if todo else []
        receipts = [*(outcome.receipt for outcome in made), *kept.values()]
        accept, weights = request.accept, request.weights
        with storage.listed_once(*output.places(out)):
            document, rejects = finish(
                out, request.recipe, names, receipts, others, accept, weights
            )
        tell(rejects, note)
        written = sum(not outcome.kept for outcome in made)
        return Summary(document, written, len(receipts) - written, rejects)


def prepare(
    request: Request, planned: Sequence[Planned], others: Mapping[str, Any], note: Note
) -> None:
    """Open a folder for work in which each shard is checked only where it is written."""
    for line in output.differences(request.out, request.recipe):
        note(f"the recipe changed: {line}")
    _open(request, planned, surplus(request.out, planned, others, note))


def _open(request: Request, planned: Sequence[Planned], stale: Sequence[str]) -> None:
    output.open_for_work(request.out)
    output.forget(request.out, stale)
    publish(request, planned)


def _shards(out: str, planned: Sequence[Planned], names: Collection[str] | None = None) -> Shards:
    """Return the shards of a published plan, or those with these names."""
    entries = [entry for one in planned for entry in one.shards]
    chosen = [entry for entry in entries if names is None or entry.name in names]

    def each() -> Iterator[plan_files.Place]:
        for one in planned:
            path, offset = plan_files.path(out, one.split), 0
            for entry in one.shards:
                if names is None or entry.name in names:
                    yield plan_files.Place(path, offset, entry.bytes)
                offset += entry.bytes

    return Shards(len(chosen), sum(entry.samples for entry in chosen), each)


def is_whole(out: str, planned: Sequence[Planned]) -> bool:
    """Return whether a folder has a manifest, and the plans of these splits."""
    return manifest.load(out) is not None and all(
        plan_files.has(out, one.split, one.written.file, one.written.size) for one in planned
    )


def _kept(
    request: Request,
    planned: Sequence[Planned],
    others: Mapping[str, Any],
    engine: Engine,
    note: Note,
) -> dict[str, ShardReceipt]:
    """Open a folder for work, if there is any; return the receipts of shards that are kept.

    Notes what is not kept, and why. A finished folder of this very plan stays as it is until it is
    known that something must be written.
    """
    out, recipe = request.out, request.recipe
    before = set(output.shards(out))
    changes = output.differences(out, recipe) if before else []
    stale = surplus(out, planned, others, note)
    same = not stale and is_whole(out, planned)
    if not same:
        _open(request, planned, stale)
    if not before:
        return {}
    names = [shard.name for one in planned for shard in one.shards]
    standing = dict(
        zip(
            names,
            tasks.check(
                request,
                _shards(out, planned),
                engine,
                request.sources,
                (stamps for one in planned for stamps in one.stamps()),
            ),
            strict=True,
        )
    )
    kept = {name: one.receipt for name, one in standing.items() if one.receipt}
    if same and len(kept) < len(names):
        _open(request, planned, ())
    output.forget(out, sorted(before & (set(names) - kept.keys())))
    for line in changes:
        note(f"the recipe changed: {line}")
    _note_kept(standing, before, recipe, note)
    return kept


def _note_kept(
    standing: Mapping[str, Standing], before: Collection[str], recipe: Recipe, note: Note
) -> None:
    """Note which shards of an earlier build are written again and why, and which are kept."""
    again: dict[str, list[str]] = {}
    for name, one in standing.items():
        if one.receipt is None and name in before:
            again.setdefault(one.reason, []).append(name)
    for reason, missed in again.items():
        more = f" and {len(missed) - 1} more" if len(missed) > 1 else ""
        note(f"writing {missed[0]}{more} again: {reason}")
    kept = [one.receipt for one in standing.values() if one.receipt]
    if kept and len(kept) < len(standing):
        note(f"resuming: {len(kept)} of {len(standing)} shards are valid and kept")
    now = versions(recipe)
    drifted = {
        f"{k} {v}" for receipt in kept for k, v in receipt.versions.items() if now.get(k, v) != v
    }
    if drifted:
        note(f"kept shards were written with {', '.join(sorted(drifted))}; --overwrite renews them")
