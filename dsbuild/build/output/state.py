"""What is in an output folder: which shards are ours, what a build left, what may be removed."""

import contextlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dsbuild import interop, storage
from dsbuild.build import plan_files
from dsbuild.errors import ShardError
from dsbuild.format import manifest, receipts
from dsbuild.format.documents import fits, fits_values
from dsbuild.format.manifest import Reject

PREVIOUS = "previous.json"  # the manifest of a folder while it is worked on
RECIPE = "recipe.json"
STATISTICS = "statistics.json"  # of all records, by `dsbuild statistics`
FAILED = "failed.txt"  # why a pipeline failed, for the process that waits for it
WEIGHTS = "weights"  # a key of the recipe's file that is not the recipe's
ARRAY = "array.json"  # the request of a planned array job, until that is finished
SHARES = "shares.json"  # in how many shares it is being done
SIDE = "side.json"  # the names of the side files that dsbuild wrote
_OURS = (PREVIOUS, SIDE, FAILED, STATISTICS, ARRAY, SHARES, interop.TERMS)
# Side files that dsbuild wrote before it noted which.
_CONTROL = re.compile(r"(/plan-[^/]+\.jsonl|\.tfrecord\.(json|idx|values))$", re.DOTALL)
_ALWAYS = ("dataset_info.json", "features.json")


def state(out: str, *names: str) -> str:
    """Return the path of names in the folder's state."""
    return storage.join(out, manifest.STATE, *names)


def shards(out: str) -> list[str]:
    """Return the names of all shards that dsbuild wrote here, sorted.

    Those with a receipt, and those that a plan names: a process that was killed between
    a shard and its receipt leaves one without.
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


def sweep(out: str) -> None:
    """Remove what killed processes left half-written."""
    for place in (
        out,
        state(out),
        state(out, "receipts"),
        storage.join(out, manifest.INDEX),
    ):
        storage.sweep(place)


def forget(out: str, names: Iterable[str]) -> None:
    """Remove shards with all that belongs to them, receipts first."""
    names = list(names)
    storage.remove(*(manifest.receipt_path(out, name) for name in names))
    beside = (manifest.index_path, manifest.values_path)
    storage.remove(*(path(out, name) for name in names for path in beside))
    storage.remove(*(storage.join(out, name) for name in names))


def clear(out: str) -> None:
    """Remove all that dsbuild wrote here, and nothing else."""
    # First, so that a folder of which a part is gone is never taken for a whole one.
    storage.remove(storage.join(out, manifest.NAME))
    forget(out, shards(out))
    storage.remove_folder(manifest.parts_path(out))
    for name in descriptions(out):
        storage.remove(storage.join(out, name))
    for name in storage.names(state(out)):
        # The recipe stays: it marks the folder as ours.
        if name in _OURS or plan_files.PLAN.fullmatch(name):
            storage.remove(state(out, name))


def descriptions(out: str) -> tuple[str, ...]:
    """Return the names of the files that describe a finished folder, the manifest first."""
    return (manifest.NAME, manifest.SCHEMA, manifest.REJECTS, *sorted(side_names(out)))


def side_names(out: str) -> set[str]:
    """Return the names of the side files that dsbuild wrote here."""
    noted = _noted(out)
    return {name for name in interop.names() if name in noted or name in _ALWAYS}


def _noted(out: str) -> list[str]:
    """Return the names that were noted; where the note is lost, those of files that stand."""
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
    """Return the manifest of a folder, or the one that it had before it was worked on."""
    document = manifest.load(out)
    if document is not None:
        return document
    return manifest.load(out, path=state(out, PREVIOUS)) or {}


def noted_recipe(out: str) -> tuple[dict[str, Any], dict[str, float]]:
    """Return the recipe that lies in the folder's state, and the betas of its class weights.

    Raises ShardError where it is damaged; an empty one where there is none.
    """
    path = state(out, RECIPE)
    document = read(path)
    if isinstance(document, dict):
        betas, digest = document.pop(WEIGHTS, {}), document.pop("digest", None)
        if fits_values(betas, float) and digest in (None, recipe_digest(document, betas)):
            return document, betas
    raise ShardError(f"{path}: found another content than was written; dsbuild repair restores it")


def recipe_digest(document: Mapping[str, Any], betas: Mapping[str, float]) -> str:
    """Return the digest of a recipe's file: plans hold the recipe to account, not the betas."""
    import hashlib  # here, since OpenSSL is slow to load and much does without

    return hashlib.sha256(manifest.dump([document, betas]).encode()).hexdigest()


def stands(out: str, shard: Mapping[str, Any]) -> bool:
    """Tell whether a shard is what the manifest says, by its receipt and its size."""
    receipt = receipts.load(out, shard["name"])
    stamp = storage.stamp(storage.join(out, shard["name"]))
    said = (shard["bytes"], shard["sha256"])
    return (
        receipt is not None
        and stamp is not None
        and (receipt.bytes, receipt.sha256) == said
        and stamp.size == receipt.bytes
    )


def read(path: str) -> Any:
    """Return a JSON document of the folder's state, an empty one where there is none."""
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
    """Return the paths of control files that belong to no shard of `splits`, by split."""
    names = [name for mine in splits.values() for name in mine]
    beside = (manifest.receipt_path, manifest.index_path, manifest.values_path)
    expected = {path(out, name) for name in names for path in beside}
    expected |= {plan_files.path(out, split) for split in splits}
    places = (state(out), state(out, "receipts"), storage.join(out, manifest.INDEX))
    found = (storage.join(place, name) for place in places for name in storage.names(place))
    return [path for path in found if _CONTROL.search(path) and path not in expected]
