"""A build as an array job: planned once, done in shares by many processes, finished once.

    .dsbuild/array.json     the request that was planned, its splits, how many shards they have
    .dsbuild/shares.json    how many shares it is done in, to say which shares are missing

Share K of N does every N-th shard, beginning with the K-th. It may run at any time between plan
and finish, beside other shares, twice, or again after it was killed: shards that are as planned
are kept. Both files are removed when the build is finished.
"""

import ast
import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

from dsbuild import fields, storage
from dsbuild.build import audit as audits
from dsbuild.build import output, plan_files, run, tasks
from dsbuild.build.audit import Audit
from dsbuild.build.opening import Note, allowed, locked
from dsbuild.build.request import Request
from dsbuild.build.shard import Outcome
from dsbuild.build.tasks import Shards
from dsbuild.engines import Engine, Local
from dsbuild.errors import PlanError, ShardError
from dsbuild.format import manifest
from dsbuild.format.documents import fits, fits_values, is_count

_ASIDE = ("recipe", "root", "out", "overwrite")  # the recipe is compared by its document
_PLAN = {"request": dict, "splits": [str], "shards": int}
_NAMES = {"sources": "--rehash", "weights": "--extra weights"}
_RECIPE = {"extras": "--extra", "verify": "--verify"}
_SHOWN = 8  # how many missing shares a message names


@dataclasses.dataclass(frozen=True)
class Task:
    """Share `number` of `count`, from 1 on."""

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


class _Plan(NamedTuple):
    """What was planned: a request's options as text, splits, and how many shards they have."""

    request: dict[str, str]
    splits: list[str]
    shards: int


def plan(request: Request, audit: Audit, note: Note = lambda _: None) -> int:
    """Plan an array job in the output folder; return its number of shards.

    0 if the folder is already finished by this very plan. The shares check existing shards.
    """
    out, planned = request.out, audit.splits
    with locked(request, audit, note), storage.listed_once(*output.places(out)):
        others = allowed(request, audit, note)
        if run.is_whole(out, planned):
            return 0
        run.prepare(request, planned, others, note)
        count = sum(len(one.shards) for one in planned)
        document = _Plan(_options(request), [one.split for one in planned], count)._asdict()
        storage.write(output.state(out, output.ARRAY), manifest.dump(document).encode())
    return count


def share(request: Request, task: Task, engine: Engine | None = None) -> list[Outcome]:
    """Do one share of a planned array job; return what became of its shards.

    There is nothing to do in a finished folder. Raises PlanError if there is no plan, or another
    one.
    """
    out = request.out
    if not 0 < task.number <= task.count:
        raise PlanError(f"--task {task}: expected K/N, with K from 1 to N")
    if _is_finished(request):
        return []
    _refuse_unplanned(request)
    with storage.sharing(output.state(out, "lock"), output.state(out, output.ARRAY)) as text:
        known = _read(request, text)
        if task.count > known.shards:
            raise PlanError(
                f"--task {task}: {out} is planned in {known.shards} shards, so there are at most "
                "as many shares; name fewer, or plan again with more --shards"
            )
        _note_count(out, task.count)
        mine = list(tasks.places(out, known.splits))[task.number - 1 :: task.count]
        samples = sum(len(plan_files.read(place).samples) for place in mine)
        shards = Shards(len(mine), samples, lambda: mine)
        # Never in parts: if the same share runs twice at once, one would remove the other's parts.
        return tasks.write(request, shards, f"share {task}", engine or Local(), parts=1)


def finish(
    request: Request, engine: Engine | None = None, note: Note = lambda _: None
) -> run.Summary:
    """Complete a planned array job whose shards are all written; the manifest comes last.

    Every shard is read again and compared with its receipt and its plan, since no lock covers all
    shares. Raises PlanError if shards are missing, and then changes nothing.
    """
    out = request.out
    if _is_finished(request):
        document = manifest.load(out) or {}
        count = sum(len(split["shards"]) for split in document["splits"].values())
        return run.Summary(document, 0, count, output.rejects(out))
    _refuse_unplanned(request)
    record = output.state(out, output.ARRAY)
    with storage.lock(output.state(out, "lock"), note):
        known = _read(request, storage.read(record)[0])
        each = functools.partial(tasks.places, out, known.splits)
        names = [tasks.name(place) for place in each()]
        shards = Shards(len(names), len(names), each)
        checked = tasks.check(request, shards, engine or Local(), "ignore")
        missing = {i: one.reason for i, one in enumerate(checked) if not one.receipt}
        if missing:
            raise PlanError(_missing(out, names, missing))
        others = output.other_splits(out, known.splits, request.recipe)
        output.refuse_ambiguous([*known.splits, *others])
        receipts = [one.receipt for one in checked if one.receipt]
        accept, weights = request.accept, request.weights
        document, rejects = run.finish(
            out, request.recipe, known.splits, receipts, others, accept, weights
        )
        storage.remove(record, output.state(out, output.SHARES))
    run.tell(rejects, note)
    return run.Summary(document, len(receipts), 0, rejects)


def _options(request: Request) -> dict[str, str]:
    """Return a request's options as text, by name; without places and the recipe."""
    names = [one.name for one in dataclasses.fields(request) if one.name not in _ASIDE]
    values: dict[str, Any] = {name: getattr(request, name) for name in names}
    values["extra"] = request.recipe.extras
    return {name: repr(value) for name, value in values.items()}


def _is_finished(request: Request) -> bool:
    """Return whether this very request finished the folder; if it may have, list the sources."""
    if storage.stamp(output.state(request.out, output.ARRAY)):
        return False
    finished = manifest.load(request.out) is not None
    return finished and run.is_whole(request.out, audits.audit(request).splits)


def _refuse_unplanned(request: Request) -> None:
    if not storage.stamp(output.state(request.out, output.ARRAY)):
        raise PlanError(
            f"{request.out}: found no plan of an array job; run the same command with --plan-only "
            "first"
        )


def _read(request: Request, text: bytes) -> _Plan:
    """Return the plan that a folder holds; raise PlanError if it is of another request."""
    out = request.out
    path = output.state(out, output.ARRAY)
    document = manifest.parse(text, path)
    if not fits(document, _PLAN) or not fits_values(document["request"], str):
        raise ShardError(f"{path}: found no plan of an array job; run --plan-only again")
    known = _Plan(**document)
    lines = [_by_option(line) for line in output.differences(out, request.recipe)] + [
        f"{_NAMES.get(name) or _named(name)} was {_shown(known.request.get(name))} and is "
        f"{_shown(value)}"
        for name, value in _options(request).items()
        if known.request.get(name) != value
    ]
    if lines:
        raise PlanError(
            f"{out}: the plan is for another build: {'; '.join(lines)}; use the options that it "
            "was planned with, or plan again with --plan-only"
        )
    return known


def _named(name: str) -> str:
    """Return the option that a field of a request is made of."""
    shown = {one.name: fields.shown(one) for one in dataclasses.fields(Request)}
    return f"--{shown.get(name, name).replace('_', '-')}"


def _by_option(line: str) -> str:
    """Return a difference of two recipes by the name of the option: `images.exif was ...`."""
    name, was, rest = line.partition(" was ")
    kind, _, last = name.rpartition(".")
    if kind in ("images", "options"):
        name = f"--{last.replace('_', '-')}"
    return f"{_RECIPE.get(name, name)}{was}{rest}"


def _shown(text: str | None) -> str:
    """Return a value as users type it; `text` is its Python expression."""
    value = None if text is None else ast.literal_eval(text)
    if isinstance(value, bool) or value in (None, (), "stamp", "content"):
        return "given" if value in (True, "content") else "not given"
    return ",".join(value) if isinstance(value, tuple) else str(value)


def _note_count(out: str, count: int) -> None:
    path, text = output.state(out, output.SHARES), manifest.dump({"count": count}).encode()
    if storage.stamp(path) is None or storage.read(path)[0] != text:
        storage.write(path, text)


def _missing(out: str, names: Sequence[str], missing: dict[int, str]) -> str:
    """Say which shards are missing, and which shares write them."""
    first = min(missing)
    path = output.state(out, output.SHARES)
    noted = manifest.read(path) if storage.stamp(path) else {}
    count = noted["count"] if fits(noted, {"count": is_count}) else 0
    again = "run all shares"
    if count:
        shares = sorted({i % count + 1 for i in missing})
        more = f" and {len(shares) - _SHOWN} more" if len(shares) > _SHOWN else ""
        named = ", ".join(f"{number}/{count}" for number in shares[:_SHOWN])
        again = f"run --task {named}{more} again"
    others = f" and {len(missing) - 1:,} more" if len(missing) > 1 else ""
    return (
        f"{out}: {len(missing):,} of {len(names):,} shards are not written as planned: "
        f"{names[first]} ({missing[first]}){others}; {again}, then --finish"
    )
