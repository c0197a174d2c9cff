"""The output folder of a merge: what it may not replace, which of its shards are kept."""

import functools
from collections.abc import Callable, Collection, Mapping, Sequence

from dsbuild import interop, storage
from dsbuild.build import output, plan_files
from dsbuild.build.merge import shards
from dsbuild.build.merge.shards import Task
from dsbuild.build.recipe import Recipe
from dsbuild.build.shard import Standing
from dsbuild.engines import Engine, Job
from dsbuild.errors import PlanError
from dsbuild.format.receipts import ShardReceipt

Note = Callable[[str], None]


def refuse(
    out: str,
    recipe: Recipe,
    planned: Mapping[str, Sequence[Task]],
    overwrite: bool,
    note: Note,
) -> None:
    """Raise a DsbuildError if the folder forbids the merge; remove what `overwrite` replaces."""
    if storage.stamp(out) and not storage.is_folder(out):
        raise PlanError(f"{out}: found a file, expected a folder; name another OUT")
    output.sweep(out)
    output.refuse_strangers(out, planned)
    if overwrite:
        if before := output.shards(out):
            note(f"removing {len(before):,} shards that dsbuild wrote here")
        output.clear(out)
        return
    interop.load(out)  # so that damaged terms are reported before hours of work
    digests = {
        split: {task.name: task.plan.digest for task in mine} for split, mine in planned.items()
    }
    output.refuse_replacement(out, recipe, digests)
    others = output.other_splits(out, list(planned), recipe)
    if others:
        raise PlanError(
            f"{out}: holds split {next(iter(others))}, which no build has any more; replace it "
            "with --overwrite, or choose another OUT"
        )


def keep(
    out: str,
    recipe: Recipe,
    planned: Mapping[str, Sequence[Task]],
    beta: float | None,
    engine: Engine,
    note: Note,
) -> dict[str, ShardReceipt]:
    """Return the receipts of shards that are kept; open the folder for work if there is any."""
    tasks = [task for mine in planned.values() for task in mine]
    before = set(output.shards(out))
    kept: dict[str, ShardReceipt] = {}
    if before:
        size = sum(len(task.plan.samples) for task in tasks)
        work = functools.partial(shards.check, out=out)
        standing = engine.map(Job(tasks, work, size, "checking"))
        kept = {
            task.name: one.receipt for task, one in zip(tasks, standing, strict=True) if one.receipt
        }
        _tell(tasks, standing, before, note)
    stale = before - {task.name for task in tasks}
    plans = {split: [task.plan for task in mine] for split, mine in planned.items()}
    whole = all(plan_files.holds(out, split, mine) for split, mine in plans.items())
    if whole and not stale and len(kept) == len(tasks):
        return kept
    output.open_for_work(out)
    output.forget(out, sorted(before - kept.keys()))
    output.save_recipe(out, recipe, list(planned), beta)
    for split, mine in plans.items():
        plan_files.save(out, split, mine)
    return kept


def _tell(
    tasks: Sequence[Task], standing: Sequence[Standing], before: Collection[str], note: Note
) -> None:
    """Note which shards are written again, and why."""
    lost = [
        (task.name, one.reason)
        for task, one in zip(tasks, standing, strict=True)
        if one.receipt is None and task.name in before
    ]
    if lost:
        more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
        note(f"writing {lost[0][0]}{more} again: {lost[0][1]}")


def write(tasks: Sequence[Task], out: str, engine: Engine) -> list[ShardReceipt]:
    """Write shards; return their receipts."""
    if not tasks:
        return []
    size = sum(len(task.plan.samples) for task in tasks)
    remote = storage.is_remote(out) or any(storage.is_remote(one.source.path) for one in tasks)
    work = storage.carried(functools.partial(shards.write, out=out))
    return engine.map(Job(tasks, work, size, "merging", lanes=3 if remote else 1))
