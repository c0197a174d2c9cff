"""Build an output folder: plan, resume, write shards, manifest last."""

import contextlib
import functools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dsbuild import folder, manifest, mistakes, palettes, plan, storage
from dsbuild.audit import Audit, Planned, Request
from dsbuild.errors import SampleError, ShardError, StorageError
from dsbuild.job import Job
from dsbuild.manifest import Reject, ShardReceipt
from dsbuild.plan import ShardPlan, files
from dsbuild.recipe import Recipe
from dsbuild.shard import Standing, check_shard, parts, versions, write_shard

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
    with opened(request, audit, note) as others:
        out, planned = request.out, audit.splits
        standing = _standing(request, planned, workers, quiet, note)
        entries = [shard for found in planned for shard in found.shards]
        todo = {shard.name for shard in entries if not standing[shard.name].receipt}
        stale = surplus(out, planned, others, note)
        splits = {found.split for found in planned}
        if todo or stale or manifest.load(out) is None or not files.splits(out) >= splits:
            folder.open_for_work(out)
            folder.forget(out, [*stale, *sorted(todo)])
            publish(request, planned)
        made = _write(request, planned, todo, workers, quiet)
        kept = [stands.receipt for stands in standing.values() if stands.receipt]
        names = [found.split for found in planned]
        accept = request.accept
        document, rejects = finish(out, request.recipe, names, [*made, *kept], others, accept)
        tell(rejects, note)
        return Summary(document, len(made), len(kept), rejects)


def _write(
    request: Request, planned: Sequence[Planned], todo: Collection[str], workers: int, quiet: bool
) -> list[ShardReceipt]:
    """Write shards on processes of this machine; in parts where they are fewer than these."""
    out, on_error = request.out, request.on_error
    samples = sum(one.records for found in planned for one in found.shards if one.name in todo)
    title = "building " + ", ".join(found.split for found in planned)
    count = parts.count_parts(len(todo), samples, workers)

    def shards() -> Iterator[ShardPlan]:
        return (one for found in planned for one in found.plans() if one.name in todo)

    if count == 1:
        work = functools.partial(write_shard, out=out, on_error=on_error)
        return Job(shards(), work, samples, title).run(workers, quiet)
    pieces = (part for shard in shards() for part in parts.divide(shard, count))
    work = functools.partial(parts.write_part, out=out, on_error=on_error, compare=request.sources)
    Job(pieces, work, samples, title).run(workers, quiet)
    work = functools.partial(parts.join, out=out, parts=count)
    return Job(shards(), work, samples, "joining").run(workers, quiet)


@contextlib.contextmanager
def opened(request: Request, audit: Audit, note: Note) -> Iterator[Mapping[str, Any]]:
    """Hold an output folder for a build; give the manifest's entries of splits left alone.

    Raises a DsbuildError where the audit or the folder forbids the build.
    """
    out, recipe = request.out, request.recipe
    audit.refuse(skip=request.on_error == "skip", accept=request.accept)
    if storage.stamp(out) and not storage.is_folder(out):
        raise StorageError(f"{out}: found a file, expected a folder; name another OUT")
    with storage.lock(folder.state(out, "lock"), note):
        folder.sweep(out)
        if request.overwrite:
            note(f"removing all {len(folder.shards(out))} shards that dsbuild wrote here")
            folder.clear(out)
        splits = [found.split for found in audit.splits]
        others = folder.other_splits(out, splits, recipe)
        folder.refuse_ambiguous([*splits, *others])
        folder.refuse_strangers(out, splits)
        yield others


def surplus(
    out: str, planned: Sequence[Planned], others: Mapping[str, Any], note: Note
) -> list[str]:
    """Return the shards of an earlier plan that neither this one nor another split has."""
    names = {shard.name for found in planned for shard in found.shards}
    stale = [
        name
        for name in folder.shards(out)
        if name not in names and manifest.split_of(name) not in others
    ]
    if stale:
        note(f"removing {len(stale)} shards of an earlier plan, such as {stale[0]}")
    return stale


def publish(request: Request, planned: Iterable[Planned]) -> None:
    """Write recipe and plans into the folder, before any shard of theirs."""
    folder.save_recipe(request.out, request.recipe)
    for found in planned:
        files.save(request.out, found.split, found.plans())


def _standing(
    request: Request, planned: Sequence[Planned], workers: int, quiet: bool, note: Note
) -> dict[str, Standing]:
    """Return for every shard whether it may be kept, and say what may not and why."""
    out, recipe = request.out, request.recipe
    names = [shard.name for found in planned for shard in found.shards]
    before = set(folder.shards(out))
    if not before:
        return dict.fromkeys(names, Standing(None))
    work = functools.partial(
        check_shard, out=out, on_error=request.on_error, compare=request.sources
    )
    samples = sum(len(found.samples) for found in planned)
    shards = (shard for found in planned for shard in found.plans())
    found = Job(shards, work, samples, "checking").run(workers, quiet)
    standing = dict(zip(names, found, strict=True))
    for line in folder.differences(out, recipe):
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


def finish(
    out: str,
    recipe: Recipe,
    splits: Sequence[str],
    receipts: Iterable[ShardReceipt],
    others: Mapping[str, Any],
    accept: Collection[str] = (),
) -> tuple[dict[str, Any], tuple[Reject, ...]]:
    """Describe a folder whose shards are all written, the manifest last; return it, and rejects.

    `receipts` are those of all shards of `splits`, in any order. Raises ShardError where some
    lack, or come twice; SampleError for a split whose labels betray a mistake that is not one
    to `accept`.
    """
    folder.sweep(out)  # what workers left that were lost on the way
    mine: dict[str, list[ShardReceipt]] = {split: [] for split in splits}
    for receipt in sorted(receipts, key=lambda receipt: receipt.name):
        mine[manifest.split_of(receipt.name)].append(receipt)
    for split, found in mine.items():
        names = [receipt.name for receipt in found]
        expected = manifest.siblings(names[0]) if names else []
        if not names or names != expected:
            raise ShardError(
                f"{out}: {len(names)} receipts of split {split} came back, expected those of all "
                f"{len(expected) or 'its'} shards, each once: what ran the build lost some; run "
                "the same command again, or with another --runner"
            )
    document = _manifest(recipe, mine, others)
    names = [shard["name"] for entry in others.values() for shard in entry["shards"]]
    kept = [receipt for name in names if (receipt := manifest.load_receipt(out, name))]
    rejects = tuple(
        reject
        for receipt in [*(one for found in mine.values() for one in found), *kept]
        for reject in receipt.rejects
    )
    storage.remove_folder(manifest.parts_path(out))
    if not folder.is_closed(out, recipe, document):
        before = (manifest.load(out) or {}).get("splits", {})
        shards = {split: document["splits"][split]["shards"] for split in mine}
        fresh = {s: mine[s] for s in mine if before.get(s, {}).get("shards") != shards[s]}
        _refuse_splits(fresh, recipe, accept)
        folder.close(out, recipe, document, rejects)
    return document, rejects


def _refuse_splits(
    receipts: Mapping[str, Sequence[ShardReceipt]], recipe: Recipe, accept: Collection[str]
) -> None:
    """Raise SampleError for a split of which all labels together show that they are wrong."""
    for split, mine in receipts.items():
        values = {value for receipt in mine for value in receipt.statistics.pixels}
        known = palettes.joined(receipt.colours for receipt in mine)
        for mistake in mistakes.of_all(values, known, recipe.layout):
            if mistake.kind not in accept:
                raise SampleError(
                    f"split {split}: {mistake.text}; its shards are kept, and the build is not "
                    "finished"
                )


def tell(rejects: Iterable[Reject], note: Note) -> None:
    """Note what rejects betray of samples that passed."""
    if any(reject.kind == "luma" for reject in rejects):
        note(
            "some labels were left out, since they are the luma of the palette's colours; labels "
            "from the same place that passed, by classes whose numbers are lumas too, are as "
            "wrong: get the originals"
        )


def _manifest(
    recipe: Recipe, receipts: Mapping[str, Sequence[ShardReceipt]], others: Mapping[str, Any]
) -> dict[str, Any]:
    from dsbuild import __version__

    layout = recipe.layout
    weights = [one for one in recipe.chosen if one.name == "weights"]
    beta = dict(weights[0].parameters)["beta"] if weights else None
    splits = dict(others)
    for split, mine in receipts.items():
        digest = plan.digest(receipt.plan for receipt in mine)
        splits[split] = manifest.split_entry(mine, layout.classes, layout.ignore, digest, beta)
    values = [
        *range(len(layout.classes)),
        *([] if layout.ignore is None else [layout.ignore]),
    ]
    made = [receipt for mine in receipts.values() for receipt in mine]
    return {
        "dsbuild": __version__,
        "title": layout.title,
        "classes": list(layout.classes),
        "ignore": layout.ignore,
        "palette": {str(i): list(layout.palette[i]) for i in values if i < len(layout.palette)},
        "recipe": recipe.document(),
        "versions": {k: v for receipt in made for k, v in receipt.versions.items()},
        "splits": dict(sorted(splits.items())),
    }
