"""Build an output folder: plan, resume, write shards, manifest last."""

import contextlib
import functools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dsbuild import (
    example,
    folder,
    interop,
    manifest,
    mistakes,
    palettes,
    plan,
    receipts,
    storage,
)
from dsbuild.audit import Audit, Planned, Request, spaced
from dsbuild.documents import normal
from dsbuild.errors import SampleError, ShardError, StorageError
from dsbuild.job import Job
from dsbuild.manifest import Reject
from dsbuild.plan import ShardPlan, files
from dsbuild.receipts import ShardReceipt
from dsbuild.recipe import Recipe
from dsbuild.shard import Standing, check_shard, parts, sources, versions, write_shard

Note = Callable[[str], None]
_TRIED = 4  # samples of a split that are encoded before --overwrite removes anything


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
        told = all(files.holds(out, found.split, found.plans()) for found in planned)
        if todo or stale or not told or manifest.load(out) is None:
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
        work = functools.partial(write_shard, out=out, on_error=on_error)
        return Job(shards(), work, samples, title).run(workers, quiet)
    some = (part for shard in shards() for part in parts.divide(shard, pieces))
    work = functools.partial(parts.write_part, out=out, on_error=on_error, compare=compare)
    Job(some, work, samples, title).run(workers, quiet)
    work = functools.partial(parts.join, out=out, parts=pieces)
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
        splits = [found.split for found in audit.splits]
        folder.refuse_strangers(out, splits)
        if request.overwrite:
            folder.refuse_ambiguous(splits)
            _replace(request, audit, note)
        else:
            interop.load(out)  # damaged terms are named before hours of work
            _refuse_replacement(request, audit)
        others = folder.other_splits(out, splits, recipe)
        folder.refuse_ambiguous([*splits, *others])
        yield others


def _refuse_replacement(request: Request, audit: Audit) -> None:
    """Raise PlanError where the folder holds whole shards of another build."""
    out = request.out
    asked = {
        found.split: {shard.name: shard.digest for shard in found.shards} for found in audit.splits
    }
    folder.refuse_replacement(out, request.recipe, asked)
    if request.sources == "ignore" or manifest.load(out) is None:
        return
    for found in audit.splits:
        counts = len(found.shards), len(found.samples)
        if sources.others_throughout(found.plans(), *counts, out):
            folder.refuse_source(out, request.root)


def _replace(request: Request, audit: Audit, note: Note) -> None:
    """Remove what dsbuild wrote here, once some samples of what takes its place were encoded."""
    before = folder.shards(request.out)
    if before and request.on_error == "stop":
        for found in audit.splits:
            for sample in spaced(found.samples, _TRIED)[:_TRIED]:
                example.encode(sample, request.root, request.recipe)
    note(f"removing all {len(before)} shards that dsbuild wrote here")
    folder.clear(request.out)


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
    planned = list(planned)
    folder.save_recipe(request.out, request.recipe, [found.split for found in planned])
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
    written: Iterable[ShardReceipt],
    others: Mapping[str, Any],
    accept: Collection[str] = (),
) -> tuple[dict[str, Any], tuple[Reject, ...]]:
    """Describe a folder whose shards are all written, the manifest last; return it, and rejects.

    `written` are the receipts of all shards of `splits`, in any order. Raises ShardError where
    some lack, or come twice; SampleError for a split whose labels betray a mistake that is not one
    to `accept`.
    """
    folder.sweep(out)  # what workers left that were lost on the way
    mine: dict[str, list[ShardReceipt]] = {split: [] for split in splits}
    for receipt in sorted(written, key=lambda receipt: receipt.name):
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
    weights = [one for one in recipe.chosen if one.name == "weights"]
    beta = dict(weights[0].parameters)["beta"] if weights else None
    document = describe(recipe, mine, dict.fromkeys(mine, beta), others)
    names = [shard["name"] for entry in others.values() for shard in entry["shards"]]
    kept = [receipt for name in names if (receipt := receipts.load(out, name))]
    rejects = left_out([*(one for found in mine.values() for one in found), *kept])
    storage.remove_folder(manifest.parts_path(out))
    before = folder.entries(out).get("splits", {})
    fresh = {split: made for split, made in mine.items() if not _stood(made, before.get(split))}
    _refuse_splits(fresh, recipe, accept)
    return folder.close(out, recipe, document, rejects), rejects


def _stood(made: Sequence[ShardReceipt], before: Mapping[str, Any] | None) -> bool:
    """Tell whether a split was finished, and accepted, with these shards."""
    shards = before["shards"] if before else ()
    return [(one["name"], one["sha256"]) for one in shards] == [(r.name, r.sha256) for r in made]


def left_out(written: Iterable[ShardReceipt]) -> tuple[Reject, ...]:
    """Return the samples that were left out, in the order of their shards' names."""
    ranked = sorted(written, key=lambda receipt: receipt.name)
    return tuple(reject for receipt in ranked for reject in receipt.rejects)


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


def describe(
    recipe: Recipe,
    written: Mapping[str, Sequence[ShardReceipt]],
    betas: Mapping[str, float | None],
    others: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the manifest of a folder but for its digests, from split -> receipts in order.

    `betas` are those of the weights of classes, by split; `others` are entries as they stand.
    """
    from dsbuild import __version__

    layout = recipe.layout
    splits = dict(others)
    for split, mine in written.items():
        digest = plan.digest(receipt.plan for receipt in mine)
        beta = betas.get(split)
        splits[split] = receipts.split_entry(mine, layout.classes, layout.ignore, digest, beta)
    values = [
        *range(len(layout.classes)),
        *([] if layout.ignore is None else [layout.ignore]),
    ]
    made = [receipt for mine in written.values() for receipt in mine]
    document = {
        "dsbuild": __version__,
        "title": layout.title,
        "classes": list(layout.classes),
        "ignore": layout.ignore,
        "palette": {str(i): list(layout.palette[i]) for i in values if i < len(layout.palette)},
        "recipe": recipe.document(),
        "versions": {k: v for receipt in made for k, v in receipt.versions.items()},
        "splits": dict(sorted(splits.items())),
    }
    return normal(document)
