"""A repair as one transaction: gather, write beside, compare, swap, describe."""

from collections.abc import Callable, Mapping
from typing import Any

from dsbuild import interop, storage
from dsbuild.build import finishing, output, run
from dsbuild.build.repair import control, plans, shards
from dsbuild.build.repair.known import Known, gather
from dsbuild.engines import Engine, Local
from dsbuild.errors import LayoutError, PlanError
from dsbuild.format import manifest
from dsbuild.format.receipts import ShardReceipt
from dsbuild.layouts import Merged


def repair(
    out: str,
    source: str | None = None,
    engine: Engine | None = None,
    note: Callable[[str], None] = lambda _: None,
    accept_changed_sources: bool = False,
) -> run.Summary:
    """Restore what is missing or damaged, from the rest of the folder and the source.

    Whole shards are kept, whatever happened to their sources; the folder then has the bytes of a
    fresh build. Raises a DsbuildError if that is impossible, without touching any shard or the
    manifest. Sources that changed since the build are used only with `accept_changed_sources`.
    """
    if not storage.is_folder(out) and storage.stamp(out) is None:
        raise PlanError(storage.missing(out))
    if not storage.is_folder(output.state(out)) and manifest.load(out) is None:
        raise PlanError(
            f"{out}: found no plan of dsbuild, so nothing says what the folder held; build it again"
        )
    with storage.lock(output.state(out, "lock"), note):
        output.sweep(out)
        storage.remove_folder(shards.stage(out))
        known = gather(out)
        output.refuse_extra_shards(out, known.splits)
        try:
            return _repair(known, source, engine or Local(), note, accept_changed_sources)
        finally:
            storage.remove_folder(shards.stage(out))


def _repair(
    known: Known,
    source: str | None,
    engine: Engine,
    note: Callable[[str], None],
    accept: bool,
) -> run.Summary:
    out = known.out
    terms = control.lost_terms(known)
    states = shards.look(known, engine)
    todo = {name for name in known.names if not states[name].whole or name not in known.receipts}
    beside = {
        name
        for name in known.names
        if name not in todo and not (states[name].index and states[name].values)
    }
    lost = [name for name in known.names if name not in known.plans]
    small = {name: shards.beside(known, name, states[name]) for name in sorted(beside)}
    todo |= {name for name, files in small.items() if files is None}
    root = _root(known, source, needed=bool(todo or lost))
    lost = plans.restore(known, root, lost) if lost else []
    if lost:
        raise PlanError(
            f"{out}: the plan of {lost[0]} is lost or damaged, and the listing of {root} gives "
            "another one; nothing was changed; name the data set as it was, restore the file, or "
            "build again with --overwrite"
        )
    staged = shards.write_beside(known, root, todo, engine) if todo else {}
    for line in shards.compare(known, root, staged, accept):
        note(line)
    if terms is not None:
        storage.write(interop.terms.path(out), terms)
    made = known.receipts | staged
    same = all(known.entry(name).get("receipt") == made[name].digest for name in known.names)
    valid = known.document if same else None  # the manifest, if it describes these shards
    if staged and valid is None:
        control.open_for_work(known)
    for files in filter(None, small.values()):
        storage.write_all(files)
    shards.swap(known, staged)
    control.write_plans(known, note)
    rejects = run.left_out(made.values())
    if valid is not None:
        document = control.restore(known, valid, rejects, note)
    else:
        document = output.close(out, known.recipe, _describe(known, made), rejects)
    control.remove_strays(known)
    restored = len(todo | beside)
    return run.Summary(document, restored, len(known.names) - restored, rejects)


def _root(known: Known, source: str | None, needed: bool) -> str:
    """Return the root of the sources; empty if none is found and none is needed."""
    try:
        return known.recipe.layout.find(source)
    except LayoutError as error:
        if isinstance(known.recipe.layout, Merged) and (source is not None or needed):
            raise LayoutError(f"{known.out}: {error}") from error
        if source is not None:
            raise LayoutError(
                f"{error}; name the data set that the folder was built from"
            ) from error
        if needed:
            raise LayoutError(
                f"{known.out}: found no data set ({known.recipe.layout.title}) to restore it "
                f"from; name the one that it was built from: dsbuild repair {known.out} SOURCE"
            ) from error
        return ""


def _describe(known: Known, made: Mapping[str, ShardReceipt]) -> dict[str, Any]:
    written = {
        split: [made[name] for name in names] for split, names in sorted(known.splits.items())
    }
    found = run.describe(known.recipe, written, known.betas, {})
    before = known.document or {}
    return found | {name: before[name] for name in finishing.MORE if name in before}
