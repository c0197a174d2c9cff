"""The content of an output folder: which shards are ours, what a build left, what may go."""

import contextlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dsbuild import interop, storage
from dsbuild.build import plan_files, slices
from dsbuild.errors import ShardError
from dsbuild.format import manifest, receipts
from dsbuild.format.documents import fits, fits_values
from dsbuild.format.manifest import Reject
from dsbuild.format.names import QUALITY as QUALITY
from dsbuild.format.names import STATISTICS as STATISTICS
from dsbuild.format.names import state as state

PREVIOUS = "previous.json"  # the manifest of a folder that is being worked on
RECIPE = "recipe.json"
FAILED = "failed.txt"  # why a pipeline failed, for the process that waits for it
WEIGHTS = "weights"  # a key of the recipe's file that is not part of the recipe
ARRAY = "array.json"  # the request of a planned array job, until that is finished
SHARES = "shares.json"  # how many shares it is done in
SIDE = "side.json"  # the names of the side files that dsbuild wrote
_OURS = (PREVIOUS, SIDE, FAILED, STATISTICS, QUALITY, ARRAY, SHARES, interop.TERMS)
_CONTROL = re.compile(
    r"(/plan-[^/]+\.jsonl|/labels-[^/]+|\.tfrecord\.(json|idx|values))$", re.DOTALL
)
_ALWAYS = ("dataset_info.json", "features.json")  # written before names of side files were noted


def shards(out: str) -> list[str]:
    """Return the names of all shards that dsbuild wrote here, sorted.

    These have a receipt, or a plan names them: a process that is killed between writing a shard
    and its receipt leaves a shard without one.
    """
    ours = {
        name.removesuffix(".json")
        for name in storage.names(state(out, "receipts"))
        if name.endswith(".json")
    }
    rest = [name for name in storage.names(out) if name not in ours]
    if rest and plan_files.splits(out) & {manifest.split_of(name) for name in rest}:
        names = {line.name for line in plan_files.lines(out)}
        ours.update(name for name in rest if name in names)
    return sorted(ours)


def places(out: str) -> tuple[str, ...]:
    """Return the folders that a build writes to."""
    return (out, state(out), state(out, "receipts"), storage.join(out, manifest.INDEX))


def sweep(out: str) -> None:
    """Remove what killed processes left half-written."""
    for place in places(out):
        storage.sweep(place)


def forget(out: str, names: Iterable[str]) -> None:
    """Remove shards and all that belongs to them, receipts first."""
    names = list(names)
    storage.remove(*(manifest.receipt_path(out, name) for name in names))
    beside = (manifest.index_path, manifest.values_path)
    storage.remove(*(path(out, name) for name in names for path in beside))
    storage.remove(*(storage.join(out, name) for name in names))


def clear(out: str) -> None:
    """Remove all that dsbuild wrote here, and nothing else."""
    # First, so that a folder with missing parts is never taken for a whole one.
    storage.remove(storage.join(out, manifest.NAME))
    forget(out, shards(out))
    storage.remove_folder(manifest.parts_path(out))
    for name in descriptions(out):
        storage.remove(storage.join(out, name))
    for name in storage.names(state(out)):
        # The recipe stays: it marks the folder as ours.
        if name in _OURS or plan_files.PLAN.fullmatch(name) or slices.LABELS.fullmatch(name):
            storage.remove(state(out, name))


def descriptions(out: str) -> tuple[str, ...]:
    """Return the names of the files that describe a finished folder, the manifest first."""
    return (manifest.NAME, manifest.SCHEMA, manifest.REJECTS, *sorted(side_names(out)))


def side_names(out: str) -> set[str]:
    """Return the names of the side files that dsbuild wrote here."""
    noted = _noted_names(out)
    return {name for name in interop.names() if name in noted or name in _ALWAYS}


def _noted_names(out: str) -> list[str]:
    """Return the names that were noted; if the note is lost, those of files that are unchanged."""
    with contextlib.suppress(ShardError):
        names = read(state(out, SIDE))
        if fits(names, [str]):
            return list(names)
    with contextlib.suppress(ShardError):
        digests = entries(out).get("files", {})
        return [
            name
            for name in interop.names()
            if name in digests
            and storage.stamp(storage.join(out, name))
            and storage.sha256(storage.join(out, name))[0] == digests[name]
        ]
    return []


def entries(out: str) -> Mapping[str, Any]:
    """Return the manifest of a folder, or the one it had before work on it began; else empty."""
    document = manifest.load(out)
    if document is not None:
        return document
    return manifest.load(out, path=state(out, PREVIOUS)) or {}


def noted_recipe(out: str) -> tuple[dict[str, Any], dict[str, float]]:
    """Return the recipe in the folder's state, and the betas of its class weights.

    It is empty if there is none. Raises ShardError if it is damaged.
    """
    path = state(out, RECIPE)
    document = read(path)
    if isinstance(document, dict):
        betas, digest = document.pop(WEIGHTS, {}), document.pop("digest", None)
        if fits_values(betas, float) and digest in (None, recipe_digest(document, betas)):
            return document, betas
    raise ShardError(f"{path}: changed since it was written; dsbuild repair restores it")


def recipe_digest(document: Mapping[str, Any], betas: Mapping[str, float]) -> str:
    """Return the digest of a recipe's file: plans prove the recipe, but not the betas."""
    import hashlib  # here, since OpenSSL is slow to load and often not needed

    return hashlib.sha256(manifest.dump([document, betas]).encode()).hexdigest()


def stands(out: str, shard: Mapping[str, Any]) -> bool:
    """Tell whether a shard is as the manifest says, judging by its receipt and its size."""
    receipt = receipts.load(out, shard["name"])
    stamp = storage.stamp(storage.join(out, shard["name"]))
    expected = (shard["bytes"], shard["sha256"])
    return (
        receipt is not None
        and stamp is not None
        and (receipt.bytes, receipt.sha256) == expected
        and stamp.size == receipt.bytes
    )


def read(path: str) -> Any:
    """Return a JSON document of the folder's state; empty if there is none."""
    if storage.stamp(path) is None:
        return {}
    return manifest.read(path)


def rejects(out: str) -> tuple[Reject, ...]:
    """Return the samples that were left out of a complete folder."""
    path = storage.join(out, manifest.REJECTS)
    if storage.stamp(path) is None:
        return ()
    try:
        lines = storage.read(path)[0].splitlines()
        return tuple(Reject(**manifest.parse(line, path)) for line in lines)
    except TypeError as error:
        raise ShardError(f"{path}: found no list of rejects; dsbuild repair restores it") from error


def strays(out: str, splits: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the paths of control files that belong to no shard; `splits` is split -> shards."""
    names = [name for mine in splits.values() for name in mine]
    beside = (manifest.receipt_path, manifest.index_path, manifest.values_path)
    expected = {path(out, name) for name in names for path in beside}
    expected |= {path(out, split) for split in splits for path in (plan_files.path, slices.path)}
    places = (state(out), state(out, "receipts"), storage.join(out, manifest.INDEX))
    paths = (storage.join(place, name) for place in places for name in storage.names(place))
    return [path for path in paths if _CONTROL.search(path) and path not in expected]
