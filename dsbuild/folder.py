"""The output folder as a whole: which shards are ours, opening it for work, closing it.

A folder with a manifest is complete. Work on it begins by taking the manifest away
and ends by writing it, so that a reader never meets old and new shards together.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dsbuild import interop, manifest, storage
from dsbuild.errors import PlanError
from dsbuild.manifest import Reject
from dsbuild.plan import files
from dsbuild.recipe import Recipe, load

_PREVIOUS = "previous.json"  # the manifest of a folder while it is worked on
_RECIPE = "recipe.json"
STATISTICS = "statistics.json"  # of all records, by `dsbuild statistics`
FAILED = "failed.txt"  # why a pipeline failed, for the process that waits for it
_SIDE = "side.json"  # the names of the side files that dsbuild wrote
_OURS = (_PREVIOUS, _SIDE, FAILED, STATISTICS, interop.TERMS)
# Side files that dsbuild wrote before it noted which.
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
    for split in files.splits(out) & {manifest.split_of(name) for name in rest}:
        names = files.samples(out, split)
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
    for name in _descriptions(out):
        storage.remove(storage.join(out, name))
    for name in storage.names(state(out)):
        # The recipe stays: it marks the folder as ours.
        if name in _OURS or files.PLAN.fullmatch(name):
            storage.remove(state(out, name))


def _descriptions(out: str) -> tuple[str, ...]:
    # The manifest goes first and comes last.
    return (manifest.NAME, manifest.SCHEMA, manifest.REJECTS, *sorted(_side(out)))


def _side(out: str) -> set[str]:
    """Return the names of the side files that dsbuild wrote here."""
    noted = _load(state(out, _SIDE)) or []
    return {name for name in interop.names() if name in noted or name in _ALWAYS}


def write_side_files(out: str, found: Mapping[str, bytes]) -> None:
    """Write side files, and note before that they are ours."""
    noted = manifest.dump(sorted(_side(out) | set(found)))
    storage.write(state(out, _SIDE), noted.encode())
    for name, data in found.items():
        storage.write(storage.join(out, name), data)


def refuse_foreign_side_files(out: str) -> None:
    """Raise PlanError where a file that dsbuild did not write has the name of a side file."""
    for name in sorted({*interop.names()} - _side(out)):
        if storage.stamp(storage.join(out, name)):
            raise PlanError(_foreign(out, name))


def _foreign(out: str, name: str) -> str:
    return (
        f"{storage.join(out, name)}: dsbuild did not write this, and would write its own in its "
        "place; move it, or choose another OUT"
    )


def refuse_strangers(out: str, splits: Iterable[str]) -> None:
    """Raise PlanError where files that dsbuild did not write would be taken for ours, or lost."""
    ours, there = set(shards(out)), storage.names(out)
    for name in there:
        for split in splits:
            if name.startswith(f"{split}-") and name not in ours:
                raise PlanError(
                    f"{storage.join(out, name)}: dsbuild did not write this file, and readers of "
                    f"{split}-* would take it for a shard; move it, or choose another OUT"
                )
    if storage.stamp(state(out, _RECIPE)) is None:
        for name in there:
            if name in (*_descriptions(out), manifest.INDEX):
                raise PlanError(_foreign(out, name))
    refuse_foreign_side_files(out)


def refuse_ambiguous(splits: Iterable[str]) -> None:
    """Raise PlanError where one split's name and a dash begin another's: `a-*` reads both."""
    splits = sorted(splits)
    for one in splits:
        for other in splits:
            if other.startswith(f"{one}-"):
                raise PlanError(
                    f"split {other}: readers of {one}-* would read it too; rename its list, or "
                    "build it into another OUT"
                )


def other_splits(out: str, splits: Iterable[str], recipe: Recipe) -> dict[str, Any]:
    """Return the manifest's entries of finished splits that a build of `splits` leaves alone.

    Raises PlanError where they are unfinished or of another recipe: one folder is one
    data set, and nothing of it is dropped in silence.
    """
    document = manifest.load(out) or _load(state(out, _PREVIOUS))
    entries = document.get("splits", {})
    found = {manifest.split_of(name) for name in shards(out)} | files.splits(out)
    names = sorted((found | entries.keys()) - set(splits))
    remedy = (
        "build all splits together (without --split), start anew with --overwrite, or choose "
        "another OUT"
    )
    for name in names:
        if name not in entries or not all(_stands(out, s) for s in entries[name]["shards"]):
            raise PlanError(f"{out}: holds an unfinished build of split {name}; {remedy}")
        if document["recipe"] != recipe.document():
            raise PlanError(f"{out}: holds split {name}, built by another recipe; {remedy}")
    return {name: entries[name] for name in names}


def _stands(out: str, shard: Mapping[str, Any]) -> bool:
    """Tell whether a shard is what the manifest says, by its receipt and its size."""
    receipt = manifest.load_receipt(out, shard["name"])
    stamp = storage.stamp(storage.join(out, shard["name"]))
    said = (shard["bytes"], shard["sha256"])
    return (
        receipt is not None
        and stamp is not None
        and (receipt.bytes, receipt.sha256) == said
        and stamp.size == receipt.bytes
    )


def side_files(out: str, recipe: Recipe, document: Mapping[str, Any]) -> dict[str, bytes]:
    """Return name -> bytes of what stands beside the manifest: schema, files for other tools."""
    splits = document["splits"].values()
    records = sum(split["records"] for split in splits)
    labels = sum(split["labels"] for split in splits)
    with_labels = ("label", "label.format", *recipe.roles("label", "alpha"))
    schema = recipe.schema.select(
        always=(*recipe.roles("image"), *(with_labels if labels == records else ())),
        sometimes=with_labels if labels else (),
    )
    found = interop.side_files(schema, document, interop.load(out))
    return {manifest.SCHEMA: schema.text().encode()} | found


def is_closed(out: str, recipe: Recipe, document: Mapping[str, Any]) -> bool:
    """Tell whether the folder is described whole, and by this manifest."""
    if storage.stamp(state(out, _PREVIOUS)):
        return False  # its work was broken off at the very end
    return not unlike(out, recipe, document) and manifest.load(out) == document


def unlike(out: str, recipe: Recipe, document: Mapping[str, Any]) -> list[str]:
    """Return the side files that are missing, or not as they would be written now.

    The text of the card is anybody's to edit.
    """
    found = []
    for name, data in side_files(out, recipe, document).items():
        path = storage.join(out, name)
        if not storage.stamp(path) or (name != interop.card.NAME and storage.read(path)[0] != data):
            found.append(name)
    return found


def open_for_work(out: str) -> None:
    """Take away what says that the folder is complete; keep it aside for other splits."""
    document = manifest.load(out)
    if document is not None:
        storage.write(state(out, _PREVIOUS), manifest.dump(document, 2).encode())
    for name in _descriptions(out):
        storage.remove(storage.join(out, name))
    storage.remove(state(out, _SIDE))
    storage.remove(state(out, FAILED))


def differences(out: str, recipe: Recipe) -> list[str]:
    """Say how a recipe differs from the one that the folder was built by."""
    before, now = _load(state(out, _RECIPE)), recipe.document()
    return [
        f"{key} was {manifest.dump(before.get(key))} and is {manifest.dump(now[key])}"
        for key in now
        if before and before.get(key) != now[key]
    ]


def save_recipe(out: str, recipe: Recipe) -> None:
    """Write the recipe that the folder's shards are being built by."""
    storage.write(state(out, _RECIPE), manifest.dump(recipe.document(), 2).encode())


def load_recipe(out: str) -> Recipe:
    """Return the recipe that the folder's shards were built by, class weights included."""
    made = load(_load(state(out, _RECIPE)))
    entries = (manifest.load(out) or _load(state(out, _PREVIOUS))).get("splits", {}).values()
    betas = {entry["weights"]["beta"] for entry in entries if "weights" in entry}
    return dataclasses.replace(made, extras=(*made.extras, *(f"weights:beta={b}" for b in betas)))


def _load(path: str) -> Any:
    if storage.stamp(path) is None:
        return {}
    return manifest.parse(storage.read(path)[0], path)


def rejects(out: str) -> tuple[Reject, ...]:
    """Return the samples that were left out of a complete folder."""
    path = storage.join(out, manifest.REJECTS)
    if storage.stamp(path) is None:
        return ()
    lines = storage.read(path)[0].splitlines()
    return tuple(Reject(**manifest.parse(line, path)) for line in lines)


def close(out: str, recipe: Recipe, document: Mapping[str, Any], left: Sequence[Reject]) -> None:
    """Write all that describes the folder, the manifest last."""
    found = side_files(out, recipe, document)
    storage.write(storage.join(out, manifest.SCHEMA), found.pop(manifest.SCHEMA))
    write_side_files(out, found)
    if left:
        lines = "".join(manifest.dump(vars(reject)) + "\n" for reject in left)
        storage.write(storage.join(out, manifest.REJECTS), lines.encode())
    storage.write(storage.join(out, manifest.NAME), (manifest.dump(document, 2) + "\n").encode())
    storage.remove(state(out, _PREVIOUS))
