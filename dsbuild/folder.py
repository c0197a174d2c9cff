"""The output folder as a whole: which shards are ours, opening it for work, closing it.

A folder with a manifest is complete. Work on it begins by taking the manifest away
and ends by writing it, so that a reader never meets old and new shards together.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dsbuild import extras, interop, manifest, storage
from dsbuild.errors import PlanError
from dsbuild.manifest import Reject
from dsbuild.recipe import Recipe

_PREVIOUS = "previous.json"  # the manifest of a folder while it is worked on
_RECIPE = "recipe.json"
_PLAN = re.compile(r"plan-(.+)\.jsonl")
_SHARD = re.compile(r".+-\d{5}-of-\d{5}\.tfrecord")


def state(out: str, *names: str) -> str:
    """Return the path of names in the folder's state."""
    return storage.join(out, manifest.STATE, *names)


def plan_path(out: str, split: str) -> str:
    """Return where the plan of a split lies; it is there before any of its shards."""
    return state(out, f"plan-{split}.jsonl")


def shards(out: str) -> list[str]:
    """Return the names of all shards that dsbuild wrote here, sorted.

    Those with a receipt, and those of a planned split: a process that was killed
    between a shard and its receipt leaves one without.
    """
    planned = {match[1] for name in storage.names(state(out)) if (match := _PLAN.fullmatch(name))}
    receipts = {
        name.removesuffix(".json")
        for name in storage.names(state(out, "receipts"))
        if name.endswith(".json")
    }
    files = {name for name in storage.names(out) if _SHARD.fullmatch(name)}
    return sorted(receipts | {name for name in files if split_of(name) in planned})


def split_of(name: str) -> str:
    """Return the split of a shard's name.

    >>> split_of("train_aug-00000-of-00004.tfrecord")
    'train_aug'
    """
    return name.rsplit("-", 3)[0]


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
    for name in names:
        storage.remove(manifest.receipt_path(out, name))
        storage.remove(manifest.index_path(out, name))
        storage.remove(storage.join(out, name))


def clear(out: str) -> None:
    """Remove all that dsbuild wrote here, and nothing else."""
    forget(out, shards(out))
    for name in _descriptions():
        storage.remove(storage.join(out, name))
    for name in storage.names(state(out)):
        if name in (_PREVIOUS, _RECIPE) or _PLAN.fullmatch(name):
            storage.remove(state(out, name))


def _descriptions() -> tuple[str, ...]:
    # The manifest goes first and comes last.
    return (manifest.NAME, manifest.SCHEMA, manifest.REJECTS, *interop.FILES)


def refuse_strangers(out: str, splits: Iterable[str]) -> None:
    """Raise PlanError where files that dsbuild did not write would be read as our shards."""
    ours = set(shards(out))
    for name in storage.names(out):
        for split in splits:
            if name.startswith(f"{split}-") and name not in ours:
                raise PlanError(
                    f"{storage.join(out, name)}: dsbuild did not write this file, and readers of "
                    f"{split}-* would take it for a shard; move it, or choose another OUT"
                )


def other_splits(out: str, splits: Sequence[str], recipe: Recipe) -> dict[str, Any]:
    """Return the manifest's entries of finished splits that a build of `splits` leaves alone.

    Raises PlanError where they are unfinished or of another recipe: one folder is one
    data set, and nothing of it is dropped in silence.
    """
    names = {split_of(name) for name in shards(out)} - set(splits)
    if not names:
        return {}
    document = manifest.load(out) or _load(state(out, _PREVIOUS))
    others = {k: v for k, v in document.get("splits", {}).items() if k in names}
    listed = ", ".join(sorted(names))
    together = " ".join(f"--split {name}" for name in [*sorted(names), *splits])
    remedy = f"build all splits together ({together}), start anew with --overwrite, or choose "
    remedy += "another OUT"
    if set(others) != names:
        raise PlanError(f"{out}: holds an unfinished build of split {listed}; {remedy}")
    if document["recipe"] != recipe.document():
        raise PlanError(f"{out}: holds split {listed}, built by another recipe; {remedy}")
    return others


def open_for_work(out: str) -> None:
    """Take away what says that the folder is complete; keep it aside for other splits."""
    document = manifest.load(out)
    if document is not None:
        storage.write(state(out, _PREVIOUS), manifest.dump(document, 2).encode())
    for name in _descriptions():
        storage.remove(storage.join(out, name))


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


def _load(path: str) -> dict[str, Any]:
    if storage.stamp(path) is None:
        return {}
    return manifest.parse(storage.read(path)[0], path)


def close(out: str, recipe: Recipe, document: Mapping[str, Any], rejects: Sequence[Reject]) -> None:
    """Write all that describes the folder, the manifest last."""
    splits = document["splits"].values()
    records = sum(split["records"] for split in splits)
    labels = sum(split["labels"] for split in splits)
    roles = extras.roles(recipe.extras)
    with_labels = ("label", "label.format")
    schema = recipe.schema.select(
        always=(*roles, *(with_labels if labels == records else ())),
        sometimes=with_labels if labels else (),
    )
    storage.write(storage.join(out, manifest.SCHEMA), schema.text().encode())
    interop.write(out, recipe.layout.name, schema, document)
    if rejects:
        lines = "".join(manifest.dump(vars(reject)) + "\n" for reject in rejects)
        storage.write(storage.join(out, manifest.REJECTS), lines.encode())
    storage.write(storage.join(out, manifest.NAME), (manifest.dump(document, 2) + "\n").encode())
    storage.remove(state(out, _PREVIOUS))
