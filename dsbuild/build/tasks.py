"""Build on machines that share nothing but the folder and the sources: the work of an engine.

An engine maps `ensure_shard` over places of plans, in any order, and more than once if it
likes; where there are fewer shards than workers, `ensure_part` over parts and then `ensure_joined`.
"""

import errno
import functools
import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dsbuild import storage
from dsbuild.build import output, plan_files
from dsbuild.build.audit import Audit, Planned, Request
from dsbuild.build.parts import count_parts, divide, join, write_part
from dsbuild.build.plan import ShardPlan
from dsbuild.build.plan_files import Place
from dsbuild.build.run import Note, Summary, finish, opened, publish, surplus, tell
from dsbuild.build.shard import Outcome, check_shard, ensure, unseen
from dsbuild.engines import Advance, Job
from dsbuild.errors import DsbuildError, ShardError, StorageError
from dsbuild.format import receipts

Engine = Callable[[Job], list[Any]]


def spread(
    request: Request,
    audit: Audit,
    engine: Engine,
    workers: int,
    note: Note = lambda _: None,
) -> Summary:
    """Build or finish an output folder as `build.run.build` does, by an engine of `workers`.

    `engine` does the work of a job on all its tasks, and returns the results in their order.
    """
    with opened(request, audit, note) as others:
        planned = audit.splits
        prepare(request, planned, others, note)
        names = [found.split for found in planned]
        places = [
            one for name in names for one in plan_files.places(plan_files.path(request.out, name))
        ]
        samples = sum(len(found.samples) for found in planned)
        title = "building " + ", ".join(names)
        count = count_parts(len(places), samples, workers)
        last: Callable[..., Any] = ensure_shard
        if count > 1:
            tasks = [(place, i) for place in places for i in range(count)]
            work = storage.carried(functools.partial(ensure_part, request=request, parts=count))
            engine(Job(tasks, work, samples, title, named=lambda task: name(task[0])))
            title, last = "joining", functools.partial(ensure_joined, parts=count)
        work = storage.carried(functools.partial(last, request=request))
        outcomes = engine(Job(places, work, samples, title, named=name))
        made = [outcome.receipt for outcome in outcomes]
        accept, weights = request.accept, request.weights
        document, rejects = finish(
            request.out, request.recipe, names, made, others, accept, weights
        )
        tell(rejects, note)
        kept = sum(outcome.kept for outcome in outcomes)
        return Summary(document, len(outcomes) - kept, kept, rejects)


def prepare(
    request: Request, planned: Sequence[Planned], others: Mapping[str, Any], note: Note
) -> None:
    """Open a folder for engines that look at each shard only where they write it."""
    for line in output.differences(request.out, request.recipe):
        note(f"the recipe changed: {line}")
    stale = surplus(request.out, planned, others, note)
    output.open_for_work(request.out)
    output.forget(request.out, stale)
    publish(request, planned)


def ensure_shard(place: Place, advance: Advance, *, request: Request) -> Outcome:
    """Keep a shard that stands as the folder's plan has it, else write it.

    Twice, or at two places at once, it does no harm.
    """
    return ensure(_load(place, request), advance, **_how(request))


def ensure_part(task: tuple[Place, int], advance: Advance, *, request: Request, parts: int) -> None:
    """Write one of the parts of a shard, where neither it nor the shard seems to stand."""
    place, number = task
    shard = _load(place, request)
    receipt = receipts.load(request.out, shard.name)
    stamp = storage.stamp(storage.join(request.out, shard.name))
    if receipt and stamp and (receipt.plan, receipt.bytes) == (shard.digest, stamp.size):
        return  # it is looked at closely, once, where the parts would be joined
    part = next(itertools.islice(divide(shard, parts), number, None))
    write_part(part, advance, **_how(request))


def ensure_joined(place: Place, advance: Advance, *, request: Request, parts: int) -> Outcome:
    """Keep a shard that stands, else write it of its parts, which `ensure_part` wrote."""
    shard = _load(place, request)
    stands = check_shard(shard, unseen, **_how(request))
    if stands.receipt:
        return Outcome(stands.receipt, kept=True)
    try:
        return Outcome(join(shard, advance, out=request.out, parts=parts), kept=False)
    except ShardError:
        # Its bytes changed, or another worker joined it meanwhile and took the parts away.
        return ensure(shard, advance, **_how(request))


def name(place: Place) -> str:
    """Return the name of the shard planned at a place; the place itself if its plan is gone."""
    try:
        return plan_files.read(place).name
    except DsbuildError:
        return f"{place.path}, byte {place.offset}"


def _load(place: Place, request: Request) -> ShardPlan:
    """Return a shard's plan; raise StorageError where this machine does not see the sources."""
    root = request.root
    if not storage.is_remote(root) and not storage.is_folder(root):
        # Of a sample it would be said that it is missing, and with `skip` that it is left out.
        raise StorageError(
            f"{root}: found no such folder on the machine of a worker, expected the sources; all "
            "workers have to reach them under this name"
        ) from OSError(errno.ENOENT, os.strerror(errno.ENOENT))
    return plan_files.load(place, root, request.recipe)


def _how(request: Request) -> dict[str, str]:
    return {"out": request.out, "on_error": request.on_error, "compare": request.sources}
