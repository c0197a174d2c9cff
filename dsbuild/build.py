"""Build an output folder: plan, resume, write shards, manifest last."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dsbuild import folder, manifest, plan, storage
from dsbuild.audit import Audit, Planned, Request
from dsbuild.errors import StorageError
from dsbuild.job import Job
from dsbuild.manifest import Reject, ShardReceipt
from dsbuild.plan import ShardPlan
from dsbuild.shard import Standing, check_shard, versions, write_shard

Note = Callable[[str], None]


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
    if request.on_error == "stop":
        audit.refuse()
    if storage.stamp(request.out) and not storage.is_folder(request.out):
        raise StorageError(f"{request.out}: found a file, expected a folder; name another OUT")
    with storage.lock(folder.state(request.out, "lock")):
        folder.sweep(request.out)
        if request.overwrite:
            note(f"removing all {len(folder.shards(request.out))} shards that dsbuild wrote here")
            folder.clear(request.out)
        return _build(request, audit.splits, workers, quiet, note)


def _build(
    request: Request, planned: Sequence[Planned], workers: int, quiet: bool, note: Note
) -> Summary:
    out, recipe = request.out, request.recipe
    splits = [found.split for found in planned]
    plans = [shard for found in planned for shard in found.plans]
    others = folder.other_splits(out, splits, recipe)
    folder.refuse_ambiguous([*splits, *others])
    folder.refuse_strangers(out, splits)
    standing = _standing(request, plans, workers, quiet, note)
    todo = [shard for shard, stands in zip(plans, standing, strict=True) if not stands.receipt]
    names = {shard.name for shard in plans}
    stale = [
        name
        for name in folder.shards(out)
        if name not in names and manifest.split_of(name) not in others
    ]
    if stale:
        note(f"removing {len(stale)} shards of an earlier plan, such as {stale[0]}")
    if todo or stale or manifest.load(out) is None or not folder.planned_splits(out) >= {*splits}:
        folder.open_for_work(out)
        folder.forget(out, [*stale, *(shard.name for shard in todo)])
        folder.save_recipe(out, recipe)
        for found in planned:
            with storage.writing(folder.plan_path(out, found.split)) as file:
                file.writelines(shard.line().encode() for shard in found.plans)
    work = functools.partial(write_shard, out=out, on_error=request.on_error)
    samples = sum(len(shard.samples) for shard in todo)
    written = Job(todo, work, samples, "building " + ", ".join(splits)).run(workers, quiet)
    made = {receipt.name: receipt for receipt in written}
    made |= {stands.receipt.name: stands.receipt for stands in standing if stands.receipt}
    document = _manifest(request, planned, made, others)
    rejects = _rejects(out, [made[shard.name] for shard in plans], others)
    if not folder.is_closed(out, recipe, document):
        folder.close(out, recipe, document, rejects)
    if any(reject.kind == "luma" for reject in rejects):
        note(
            "some labels were left out, since they are the luma of the palette's colours; labels "
            "from the same place that passed, by classes whose numbers are lumas too, are as "
            "wrong: get the originals"
        )
    return Summary(document, len(todo), len(plans) - len(todo), rejects)


def _standing(
    request: Request, plans: Sequence[ShardPlan], workers: int, quiet: bool, note: Note
) -> list[Standing]:
    """Return for every shard whether it may be kept, and say what may not and why."""
    out, recipe = request.out, request.recipe
    before = set(folder.shards(out))
    if not before:
        return [Standing(None)] * len(plans)
    work = functools.partial(
        check_shard, out=out, on_error=request.on_error, compare=request.sources
    )
    samples = sum(len(shard.samples) for shard in plans)
    standing = Job(plans, work, samples, "checking").run(workers, quiet)
    for line in folder.differences(out, recipe):
        note(f"the recipe changed: {line}")
    again: dict[str, list[str]] = {}
    for shard, stands in zip(plans, standing, strict=True):
        if stands.receipt is None and shard.name in before:
            again.setdefault(stands.reason, []).append(shard.name)
    for reason, names in again.items():
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        note(f"writing {names[0]}{more} again: {reason}")
    kept = [stands.receipt for stands in standing if stands.receipt]
    if kept and len(kept) < len(plans):
        note(f"resuming: {len(kept)} of {len(plans)} shards stand and are kept")
    now = versions(recipe)
    drifted = {
        f"{k} {v}" for receipt in kept for k, v in receipt.versions.items() if now.get(k, v) != v
    }
    if drifted:
        note(f"kept shards were written with {', '.join(sorted(drifted))}; --overwrite renews them")
    return standing


def _rejects(
    out: str, receipts: Sequence[ShardReceipt], others: Mapping[str, Any]
) -> tuple[Reject, ...]:
    """Return all rejects of the folder, those of splits that were left alone included."""
    names = [shard["name"] for entry in others.values() for shard in entry["shards"]]
    kept = [receipt for name in names if (receipt := manifest.load_receipt(out, name))]
    return tuple(reject for receipt in [*receipts, *kept] for reject in receipt.rejects)


def _manifest(
    request: Request,
    planned: Sequence[Planned],
    receipts: Mapping[str, ShardReceipt],
    others: Mapping[str, Any],
) -> dict[str, Any]:
    from dsbuild import __version__

    layout = request.recipe.layout
    weights = [one for one in request.recipe.chosen if one.name == "weights"]
    beta = dict(weights[0].parameters)["beta"] if weights else None
    splits = dict(others)
    for found in planned:
        mine = [receipts[shard.name] for shard in found.plans]
        digest = plan.digest(found.plans)
        splits[found.split] = manifest.split_entry(
            mine, layout.classes, layout.ignore, digest, beta
        )
    values = [
        *range(len(layout.classes)),
        *([] if layout.ignore is None else [layout.ignore]),
    ]
    return {
        "dsbuild": __version__,
        "title": layout.title,
        "classes": list(layout.classes),
        "ignore": layout.ignore,
        "palette": {str(i): list(layout.palette[i]) for i in values if i < len(layout.palette)},
        "recipe": request.recipe.document(),
        "versions": {k: v for receipt in receipts.values() for k, v in receipt.versions.items()},
        "splits": dict(sorted(splits.items())),
    }
