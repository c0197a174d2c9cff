"""Open an output folder for a build: refuse, remove, and publish recipe and plans."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from dsbuild import interop, storage
from dsbuild.build import encode, output, plan_files, slices, sources
from dsbuild.build.audit import Audit, Planned
from dsbuild.build.request import Request
from dsbuild.errors import ShardError, StorageError
from dsbuild.format import manifest
from dsbuild.layouts import Sample
from dsbuild.layouts.sample import ABSENT, Slice, row
from dsbuild.storage.spool import spaced

Note = Callable[[str], None]
_TRIED = 4  # samples of a split that are encoded before --overwrite removes anything


@contextlib.contextmanager
def locked(request: Request, audit: Audit, note: Note) -> Iterator[None]:
    """Hold the lock of an output folder for a build; raise a DsbuildError if the audit forbids it.

    Nothing in the folder may change before `allowed` returns.
    """
    out = request.out
    audit.refuse(skip=request.on_error == "skip", accept=request.accept)
    if storage.stamp(out) and not storage.is_folder(out):
        raise StorageError(f"{out}: found a file, expected a folder; name another OUT")
    with storage.lock(output.state(out, "lock"), note):
        yield


def allowed(request: Request, audit: Audit, note: Note) -> Mapping[str, Any]:
    """Return the entries of splits that a build leaves alone; remove what --overwrite replaces.

    Raises a DsbuildError if the folder forbids the build.
    """
    out, splits = request.out, [planned.split for planned in audit.splits]
    output.sweep(out)
    output.refuse_strangers(out, splits)
    if request.overwrite:
        _replace(request, audit, note)
    else:
        interop.load(out)  # so that damaged terms are reported before hours of work
        _refuse_replacement(request, audit)
    others = output.other_splits(out, splits, request.recipe)
    output.refuse_ambiguous([*splits, *others])
    return others


def _refuse_replacement(request: Request, audit: Audit) -> None:
    """Raise PlanError if the folder holds whole shards of another build."""
    out = request.out
    plans = {one.split: {shard.name: shard.digest for shard in one.shards} for one in audit.splits}
    kept = {split: known | appeared(out, split, audit) for split, known in plans.items()}
    output.refuse_replacement(out, request.recipe, kept)
    if request.sources == "ignore" or manifest.load(out) is None:
        return
    for planned in audit.splits:
        counts = len(planned.shards), len(planned.samples)
        if sources.others_throughout(planned.plans(), *counts, out):
            output.refuse_source(out, request.root)


def appeared(out: str, split: str, audit: Audit) -> dict[str, str]:
    """Return the digests of plans in the folder that differ from those of an audit by one thing.

    Labels that were not there, so that their pictures had none, are there now. Their shards may be
    written again, as if the labels had changed.
    """
    path = plan_files.path(out, split)
    (planned,) = (one for one in audit.splits if one.split == split)
    finished = output.entries(out).get("splits", {}).get(split)
    if not finished or finished["plan"] == planned.digest or storage.stamp(path) is None:
        return {}
    found = {}
    before = map(plan_files.read, plan_files.places(path))
    try:
        for shard, line in zip(planned.plans(), before, strict=True):
            if line.digest == shard.digest:
                continue
            if line.name != shard.name or not _only_more(line.samples, shard.samples):
                return {}
            found[line.name] = line.digest
    except (ValueError, ShardError):  # another number of shards, or a damaged plan
        return {}
    return found


def _only_more(before: Sequence[Sample], now: Sequence[Sample]) -> bool:
    """Tell whether samples differ by nothing but labels that stood for absent files."""
    return len(before) == len(now) and all(
        old[:2] == new[:2] and (row(old) == row(new) or _absent(old) == new.label)
        for old, new in zip(before, now, strict=True)
    )


def _absent(sample: Sample) -> str | None:
    """Return the path of the label that an empty slice stands for; None for other labels."""
    label = sample.label
    return label.path if isinstance(label, Slice) and label.key == ABSENT else None


def _replace(request: Request, audit: Audit, note: Note) -> None:
    """Remove what dsbuild wrote here, after encoding some samples of the new build."""
    before = output.shards(request.out)
    if before and request.on_error == "stop":
        for planned in audit.splits:
            for sample in planned.filled(spaced(planned.samples, _TRIED)[:_TRIED]):
                encode.encode(sample, request.root, request.recipe)
    if before:
        note(f"removing {_count(before)} that dsbuild wrote here")
    output.clear(request.out)


def surplus(
    out: str, planned: Sequence[Planned], others: Mapping[str, Any], note: Note
) -> list[str]:
    """Return the shards of an earlier plan that are neither in this plan nor in another split."""
    names = {shard.name for split in planned for shard in split.shards}
    stale = [
        name
        for name in output.shards(out)
        if name not in names and manifest.split_of(name) not in others
    ]
    if stale:
        note(f"removing {_count(stale)} of an earlier plan, such as {stale[0]}")
    return stale


def _count(names: Sequence[str]) -> str:
    return f"{len(names):,} shard{'' if len(names) == 1 else 's'}"


def publish(request: Request, planned: Iterable[Planned]) -> None:
    """Write recipe and plans into the folder, before any of their shards."""
    planned = list(planned)
    splits = [one.split for one in planned]
    output.save_recipe(request.out, request.recipe, splits, request.weights)
    for one in planned:
        read = one.kept.read if one.kept else slices.read
        plan_files.save(request.out, one.split, one.plans(), read)
