"""Missing or damaged shards: written aside, compared with the old ones, swapped in."""

import functools
import hashlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from dsbuild import storage
from dsbuild.build import output, sources
from dsbuild.build.plan import ShardPlan
from dsbuild.build.repair.known import Known
from dsbuild.build.request import Request
from dsbuild.build.shard import holds
from dsbuild.build.tasks import Shards, write
from dsbuild.engines import Advance, Engine, Job, cores
from dsbuild.errors import DataError, PlanError, StorageError
from dsbuild.format import example, label_values, manifest, receipts, tfrecord
from dsbuild.format.index import index_text
from dsbuild.format.receipts import ShardReceipt

Note = Callable[[str], None]


@dataclass(frozen=True)
class State:
    """Whether a shard's bytes, its index and its list of label values are right."""

    whole: bool
    index: bool
    values: bool


def stage(out: str) -> str:
    """Return the folder in which shards are written before they replace others."""
    return output.state(out, "repair")


def look(known: Known, engine: Engine) -> dict[str, State]:
    """Return the state of each shard."""
    tasks = [_Task(name, known.sha256(name), known.receipts.get(name)) for name in known.names]
    work = functools.partial(_state, out=known.out)
    states = engine.map(Job(tasks, work, len(tasks), "checking", "files"))
    return dict(zip(known.names, states, strict=True))


class _Task(NamedTuple):
    """A shard to look at, and what is known about it."""

    name: str
    sha256: str | None
    receipt: ShardReceipt | None


def _state(task: _Task, advance: Advance, *, out: str) -> State:
    name = task.name
    path = storage.join(out, name)
    whole = _there(path) and storage.sha256(path)[0] == task.sha256
    advance(1, 0)
    index, values = (task.receipt.index, task.receipt.values) if task.receipt else (None, None)
    return State(
        whole,
        index is not None and _is(manifest.index_path(out, name), index),
        values is None or _is(manifest.values_path(out, name), values),
    )


def _there(path: str) -> bool:
    """Return whether a path leads to a regular file, not to a FIFO or device."""
    return storage.stamp(path) is not None and not storage.odd(path)


def _is(path: str, digest: str) -> bool:
    return not storage.odd(path) and holds(path, digest)


def beside(known: Known, name: str, state: State) -> dict[str, bytes] | None:
    """Return path -> bytes of the index and label values that a whole shard is missing.

    They are made from its records; None if their digests differ from those in the receipt.
    """
    receipt, path = known.receipts[name], storage.join(known.out, name)
    made: dict[str, tuple[bytes, str | None]] = {}
    try:
        if not state.index:
            index = index_text(tfrecord.walk(path)).encode()
            made[manifest.index_path(known.out, name)] = (index, receipt.index)
        if not state.values:
            schema = known.recipe.schema
            labels = [schema[role].name for role in ("label", "class") if role in schema.roles]
            lines = label_values.lines(path, labels, cores())
            made[manifest.values_path(known.out, name)] = (lines, receipt.values)
    except DataError:
        return None
    if any(hashlib.sha256(data).hexdigest() != digest for data, digest in made.values()):
        return None
    return {place: data for place, (data, _) in made.items()}


def write_beside(
    known: Known, root: str, todo: Collection[str], engine: Engine
) -> dict[str, ShardReceipt]:
    """Write shards into the stage folder; return their receipts with sources.

    The stage folder is removed after an error, so a StorageError about it says that nothing was
    changed.
    """
    entries = (known.document or {}).get("splits", {}).values()
    left = any(entry["rejects"] for entry in entries) or any(
        receipt.rejects for receipt in known.receipts.values()
    )

    def shards() -> Iterator[ShardPlan]:
        return (known.plan(name, root) for name in sorted(todo))

    home = stage(known.out)
    samples = sum(len(known.plans[name]) for name in todo)
    on_error = "skip" if left else "stop"
    request = Request(
        recipe=known.recipe, root=root, out=home, on_error=on_error, sources="content"
    )
    try:
        write(request, Shards(len(todo), samples, shards), "repairing", engine)
    except StorageError as error:
        if home not in str(error):
            raise
        said = str(error).replace(storage.UNSYNCED, "could not be synced")
        raise type(error)(f"{said}; nothing was changed") from error
    return {name: receipt for name in todo if (receipt := receipts.load(home, name))}


def compare(known: Known, root: str, staged: dict[str, ShardReceipt], accept: bool) -> list[str]:
    """Return notes on shards whose content changed; raise PlanError if that is not allowed.

    No shard may have fewer records than before. Other content is accepted, with a note, if
    libraries changed; if sources changed, only with `accept`.
    """
    notes = []
    for name, now in sorted(staged.items()):
        entry, before = known.entry(name), known.receipts.get(name)
        records = before.records if before else entry.get("records", 0)
        if now.records < records:
            first = now.rejects[0] if now.rejects else None
            what = f"sample {first.key}: {first.file}: {first.reason}; " if first else ""
            raise PlanError(
                f"{known.out}: {what}{name} had {records:,} records and would now have "
                f"{now.records:,}; nothing was changed; restore its sources"
            )
        digest = before.digest if before else entry.get("receipt")
        sha = known.sha256(name)
        # Manifests of earlier versions name no receipts, and their receipts have other fields.
        if now.sha256 == sha and ("receipt" not in entry or digest in (None, now.digest)):
            continue
        if sha is None and not _differs(known, name, now):
            continue
        where, changed = _changed(known, name, root, now, before)
        if changed and not accept:
            raise PlanError(
                f"{known.out}: {where} changed since {name} was written; nothing was changed; "
                "restore it, or use sources as they are now with --accept-changed-sources"
            )
        notes.append(
            f"{name}: {where} changed since it was written, and was used as it is now"
            if changed
            else f"{name} has other bytes than before: other versions of libraries wrote it"
        )
    return notes


def _differs(known: Known, name: str, now: ShardReceipt) -> bool:
    """Return whether a shard whose digest is unknown is whole and differs from the new one."""
    path = storage.join(known.out, name)
    if not _there(path) or storage.sha256(path)[0] == now.sha256:
        return False
    try:
        return len(tfrecord.walk(path)) > 0
    except DataError:
        return False


def _changed(
    known: Known, name: str, root: str, now: ShardReceipt, before: ShardReceipt | None
) -> tuple[str, bool]:
    """Return which source changed, and whether one did, as far as known."""
    samples = known.plans[name]
    if before and len(before.sources) == len(samples):
        files = sources.changed(samples, before.sources, now.sources)
        if not files:
            return "", False
        key, path = files[0]
        more = f" (and {len(files) - 1} more files)" if len(files) > 1 else ""
        return f"sample {key}: {storage.join(root, path)}{more}", True
    other = _first_other(known, name)
    return (f"sample {other}: its source" if other else "a source or a library"), True


def _first_other(known: Known, name: str) -> str | None:
    """Return the key of the first record of a damaged shard that differs in the new one."""
    key = known.recipe.schema["key"].name
    try:
        fresh = set()
        for record in tfrecord.read(storage.join(stage(known.out), name)):
            fresh.add(example.digest(record.data))
        with storage.reading(storage.join(known.out, name)) as (file, size):
            offsets = manifest.offsets(known.out, name)
            for record in tfrecord.frames(file, size, offsets):
                if not record.problem and example.digest(record.data) not in fresh:
                    value = example.parse(record.data).get(key)
                    return example.first(value).decode(errors="replace")
    except DataError:
        return None
    return None


def swap(known: Known, names: Collection[str]) -> None:
    """Move staged shards, indexes and label values into place; receipts come last."""
    home, out = stage(known.out), known.out
    for name in sorted(names):
        storage.remove(manifest.receipt_path(out, name))
        for path in (storage.join, manifest.index_path, manifest.values_path):
            if storage.stamp(path(home, name)):
                storage.move(path(home, name), path(out, name))
            else:
                storage.remove(path(out, name))
        storage.move(manifest.receipt_path(home, name), manifest.receipt_path(out, name))
    storage.remove_folder(home)
