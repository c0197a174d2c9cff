"""The tasks of a build: shards, or parts of shards, that an engine maps in any order.

Only the folder and the sources are shared. A task may be done twice, or in two places at once:
`ensure_shard` keeps a shard that is as planned. If there are fewer shards than workers,
`ensure_part` is mapped over parts and then `ensure_joined` over shards.
"""

import errno
import functools
import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias, TypedDict

from dsbuild import storage
from dsbuild.build import plan_files
from dsbuild.build.parts import count_parts, divide, join, write_part
from dsbuild.build.plan import ShardPlan
from dsbuild.build.plan_files import Place
from dsbuild.build.request import Request
from dsbuild.build.seen import Packed
from dsbuild.build.shard import Outcome, Standing, check_shard, ensure, unseen
from dsbuild.engines import Advance, Engine, Job, Result, Task
from dsbuild.errors import DsbuildError, ShardError, StorageError
from dsbuild.format import receipts

_LANES = 3  # one works on a shard while the next one is opened and the last one is sent

Planned: TypeAlias = Place | ShardPlan  # the place of a shard's plan in the folder, or the plan


@dataclass(frozen=True)
class Shards:
    """Planned shards: how many, with how many samples, and a function that yields them."""

    count: int
    samples: int
    each: Callable[[], Iterable[Planned]]


def write(
    request: Request, shards: Shards, title: str, engine: Engine, parts: int | None = None
) -> list[Outcome]:
    """Write shards, or keep those that are as planned; return what became of each, in order.

    Each is written in `parts`, by default as many as keep the engine's workers busy.
    """
    if parts is None:
        parts = count_parts(shards.count, shards.samples, engine)
    if parts == 1:
        work = storage.carried(functools.partial(ensure_shard, request=request))
        return engine.map(_job(request, shards.each(), work, shards.samples, title, name))
    pieces = ((shard, i) for shard in shards.each() for i in range(parts))
    write_part = storage.carried(functools.partial(ensure_part, request=request, parts=parts))
    named: Callable[[tuple[Planned, int]], str] = lambda piece: name(piece[0])  # noqa: E731
    engine.map(_job(request, pieces, write_part, shards.samples, title, named))
    work = storage.carried(functools.partial(ensure_joined, request=request, parts=parts))
    return engine.map(_job(request, shards.each(), work, shards.samples, "joining", name))


def check(
    request: Request,
    shards: Shards,
    engine: Engine,
    sources: str,
    stamps: Iterable[Packed | None] | None = None,
) -> list[Standing]:
    """Return for each shard whether it may be kept; `sources` is as in Request.

    `stamps` are those of the sources of each shard, packed, where they are known.
    """
    work = functools.partial(stands, request=request, sources=sources)
    pairs = zip(shards.each(), itertools.repeat(None) if stamps is None else stamps, strict=False)
    job = _job(request, pairs, work, shards.samples, "checking", lambda pair: name(pair[0]))
    results = engine.map(job)
    if len(results) != shards.count:
        raise ShardError(
            f"{request.out}: {len(results)} checks of shards came back, expected {shards.count}: "
            "the runner lost some; run the same command again, or with another --runner"
        )
    return results


def _job(
    request: Request,
    tasks: Iterable[Task],
    work: Callable[..., Result],
    samples: int,
    title: str,
    named: Callable[[Task], str],
) -> Job[Task, Result]:
    """Return a job whose tasks wait for a store in lanes, if there is one."""
    remote = storage.is_remote(request.out) or storage.is_remote(request.root)
    return Job(tasks, work, samples, title, named=named, lanes=_LANES if remote else 1)


def stands(
    task: tuple[Planned, Packed | None], advance: Advance, *, request: Request, sources: str
) -> Standing:
    """Tell whether a shard may be kept, given the packed stamps of its sources."""
    place, stamps = task
    shard, how = _load(place, request), _how(request)
    how["compare"] = sources
    return check_shard(shard, advance, stamps=stamps, **how)


def ensure_shard(shard: Planned, advance: Advance, *, request: Request) -> Outcome:
    """Keep a shard that is as planned, else write it."""
    return ensure(_load(shard, request), advance, **_how(request))


def ensure_part(
    part: tuple[Planned, int], advance: Advance, *, request: Request, parts: int
) -> None:
    """Write one part of a shard, unless the part or the shard seems to be finished."""
    place, number = part
    shard = _load(place, request)
    receipt = receipts.load(request.out, shard.name)
    stamp = storage.stamp(storage.join(request.out, shard.name))
    if receipt and stamp and (receipt.plan, receipt.bytes) == (shard.digest, stamp.size):
        return  # `ensure_joined` checks it closely, once
    piece = next(itertools.islice(divide(shard, parts), number, None))
    write_part(piece, advance, **_how(request))


def ensure_joined(place: Planned, advance: Advance, *, request: Request, parts: int) -> Outcome:
    """Keep a shard that is as planned, else write it from the parts that `ensure_part` wrote."""
    shard = _load(place, request)
    standing = check_shard(shard, unseen, **_how(request))
    if standing.receipt:
        return Outcome(standing.receipt, kept=True)
    try:
        return Outcome(join(shard, advance, out=request.out, parts=parts), kept=False)
    except ShardError:
        # The parts changed, or another worker has joined and removed them.
        return ensure(shard, advance, **_how(request))


def name(shard: Planned) -> str:
    """Return the name of a planned shard; its place if its plan is gone."""
    if isinstance(shard, ShardPlan):
        return shard.name
    try:
        return plan_files.read(shard).name
    except DsbuildError:
        return f"{shard.path}, byte {shard.offset}"


def places(out: str, splits: Iterable[str]) -> Iterator[Place]:
    """Yield the places of all shards of some splits that are planned in a folder."""
    return (one for split in splits for one in plan_files.places(plan_files.path(out, split)))


def _load(shard: Planned, request: Request) -> ShardPlan:
    """Return a shard's plan; raise StorageError if this machine does not see the sources."""
    root = request.root
    if not storage.is_remote(root) and not storage.is_folder(root):
        # Otherwise its samples would be called missing, and be left out by `skip`.
        raise StorageError(
            f"{root}: there is no such folder on a worker's machine, expected the sources; all "
            "workers must reach them under this name"
        ) from OSError(errno.ENOENT, os.strerror(errno.ENOENT))
    if isinstance(shard, ShardPlan):
        return shard
    return plan_files.load(shard, root, request.recipe)


class _How(TypedDict):
    out: str
    on_error: str
    compare: str


def _how(request: Request) -> _How:
    return {"out": request.out, "on_error": request.on_error, "compare": request.sources}
