"""What a build may not do to an output folder: replace whole shards, overwrite others' files."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from dsbuild import interop, storage
from dsbuild.build import plan, plan_files
from dsbuild.build.output.state import (
    RECIPE,
    descriptions,
    entries,
    noted_recipe,
    shards,
    side_names,
    stands,
    state,
)
from dsbuild.build.recipe import Recipe
from dsbuild.errors import PlanError, ShardError
from dsbuild.format import manifest, receipts
from dsbuild.format.documents import normal
from dsbuild.format.names import ANNOTATED, EXPORTED, unpacked

_LONG = 400  # characters of a value in a message
_SHOWN = 4  # how many differences of a recipe a message names


def refuse_foreign_side_files(out: str) -> None:
    """Raise PlanError if a file that dsbuild did not write has the name of a side file."""
    for name in sorted({*interop.names()} - side_names(out)):
        if storage.stamp(storage.join(out, name)):
            raise PlanError(_foreign(out, name))


def _foreign(out: str, name: str) -> str:
    return (
        f"{storage.join(out, name)}: dsbuild did not write this file, and would replace it; move "
        "it, or choose another OUT"
    )


def refuse_extra_shards(out: str, splits: Iterable[str]) -> None:
    """Raise PlanError if readers of a split would take files that are not ours for its shards."""
    splits, ours = list(splits), set(shards(out))
    for name in storage.names(out):
        for split in splits:
            if name.startswith(f"{split}-") and name not in ours:
                if unpacked(name) in ours:
                    raise PlanError(
                        f"{storage.join(out, name)}: found a shard of this build, compressed; "
                        "expected it as it was written: decompress it, or move it away"
                    )
                raise PlanError(
                    f"{storage.join(out, name)}: dsbuild did not write this file, and readers of "
                    f"{split}-* would take it for a shard; move it, or choose another OUT"
                )


def refuse_strangers(out: str, splits: Iterable[str]) -> None:
    """Raise PlanError if files that dsbuild did not write would be taken for ours, or lost."""
    for name in (EXPORTED, ANNOTATED):
        if storage.is_folder(state(out, name)):
            raise PlanError(
                f"{out}: holds an export, whose files would mix with TFRecords; choose another OUT"
            )
    refuse_extra_shards(out, splits)
    there = storage.names(out)
    if storage.stamp(state(out, RECIPE)) is None:
        for name in there:
            if name in (*descriptions(out), manifest.INDEX):
                raise PlanError(_foreign(out, name))
    refuse_foreign_side_files(out)


def refuse_ambiguous(splits: Iterable[str]) -> None:
    """Raise PlanError if one split's name and a dash begin another's: `a-*` reads both."""
    splits = sorted(splits)
    for split in splits:
        for other in splits:
            if other.startswith(f"{split}-"):
                raise PlanError(
                    f"split {other}: readers of {split}-* would read it too; rename its list, or "
                    "build it into another OUT"
                )


def other_splits(out: str, splits: Iterable[str], recipe: Recipe) -> dict[str, Any]:
    """Return the manifest's entries of finished splits that a build of `splits` leaves alone.

    Raises PlanError if they are unfinished or of another recipe: one folder is one data set, and
    no part of it is dropped silently.
    """
    document = entries(out)
    finished = document.get("splits", {})
    there = {manifest.split_of(name) for name in shards(out)} | plan_files.splits(out)
    names = sorted((there | finished.keys()) - set(splits))
    remedy = (
        "build all splits together (without --split), start again with --overwrite, or choose "
        "another OUT"
    )
    for name in names:
        if name not in finished or not all(stands(out, one) for one in finished[name]["shards"]):
            raise PlanError(f"{out}: holds an unfinished build of split {name}; {remedy}")
        if document["recipe"] != normal(recipe.document()):
            raise PlanError(f"{out}: holds split {name}, built with another recipe; {remedy}")
    return {name: finished[name] for name in names}


def differences(out: str, recipe: Recipe) -> list[str]:
    """Say how a recipe differs from the one that the folder was built with."""
    return list(_differences(made(out), normal(recipe.document())))


def made(out: str) -> Mapping[str, Any]:
    """Return the document of the recipe that a folder was built with; empty if unknown."""
    recipe: Mapping[str, Any] | None = entries(out).get("recipe")
    if recipe:
        return recipe
    try:
        return noted_recipe(out)[0]
    except ShardError:
        return {}


def _short(value: Any) -> str:
    """Return a value of a recipe as JSON, of a long list only the beginning and the length."""
    text = manifest.dump(value)
    if len(text) <= _LONG:
        return text
    length = f" ({len(value):,} values)" if isinstance(value, list | dict) else ""
    return f"{text[: _LONG // 4]}...{length}"


def _differences(before: Mapping[str, Any], now: Mapping[str, Any], at: str = "") -> Iterator[str]:
    for key, value in now.items():
        was = before.get(key)
        if not before or was == value:
            continue
        if isinstance(was, dict) and isinstance(value, dict):
            yield from _differences(was, value, f"{at}{key}.")
        else:
            yield f"{at}{key} was {_short(was)} and is {_short(value)}"


def refuse_replacement(out: str, recipe: Recipe, planned: Mapping[str, Mapping[str, str]]) -> None:
    """Raise PlanError if a build would replace or remove whole shards of a finished build.

    `planned` is split -> name of a shard -> digest of its plan. Any other build may replace one
    that was never finished: differences and removed shards are then noted.
    """
    names = shards(out)
    if not any(_has_receipt(out, name) for name in names) or not _was_finished(out):
        return
    before, now = made(out), normal(recipe.document())
    if not before:
        digests = {digest for plans in planned.values() for digest in plans.values()}
        written = (receipts.load(out, name) for name in names if _has_receipt(out, name))
        if not any(receipt and receipt.plan in digests for receipt in written):
            _refuse(out, ["its recipe cannot be read, and its shards have other plans"])
        return
    if before.get("layout") != now["layout"]:
        _refuse(out, [f"this build is of {recipe.layout.title} ({recipe.layout.name})"])
    if before != now:
        lines = list(_differences(before, now)) or ["its recipe has keys unknown to this version"]
        more = [f"{len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
        _refuse(out, [*lines[:_SHOWN], *more])
    for split, entry in entries(out).get("splits", {}).items():
        plans = planned.get(split)
        if plans is None or plan.digest(plans.values()) == entry["plan"]:
            continue
        lost = [shard for shard in entry["shards"] if _would_be_lost(out, shard, plans)]
        if lost:
            _refuse(
                out,
                [
                    f"this build plans {_count(len(plans), 'shard')} of split {split} with other "
                    f"samples, or in another order, and would replace or remove "
                    f"{_count(len(lost), 'whole shard')}, such as {lost[0]['name']}"
                ],
            )


def refuse_source(out: str, root: str) -> None:
    """Raise PlanError because all compared samples have files of other content."""
    _refuse(
        out,
        [f"none of the samples that were compared has the same files in {root}: another source"],
    )


def _was_finished(out: str) -> bool:
    """Tell whether a folder ever had a manifest, even a lost one: files that describe it remain."""
    return bool(entries(out)) or not set(descriptions(out)).isdisjoint(storage.names(out))


def _has_receipt(out: str, name: str) -> bool:
    return bool(
        storage.stamp(storage.join(out, name)) and storage.stamp(manifest.receipt_path(out, name))
    )


def _would_be_lost(out: str, shard: Mapping[str, Any], plans: Mapping[str, str]) -> bool:
    """Tell whether a listed shard is whole, judging by its size, and a build would not keep it."""
    stamp = storage.stamp(storage.join(out, shard["name"]))
    if stamp is None or stamp.size != shard["bytes"]:
        return False
    receipt = receipts.load(out, shard["name"])
    return receipt is None or plans.get(shard["name"]) != receipt.plan


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _refuse(out: str, differences: list[str]) -> None:
    document = entries(out)
    layout = made(out).get("layout", "another layout")
    title = document.get("title", "a data set")
    splits = ", ".join(
        f"{split} ({_count(entry['records'], 'record')} in {_count(len(entry['shards']), 'shard')})"
        for split, entry in document.get("splits", {}).items()
    )
    what = "a finished" if storage.stamp(storage.join(out, manifest.NAME)) else "an unfinished"
    there = f"{title} ({layout})" if document else f"layout {layout}"
    raise PlanError(
        f"{out}: holds {what} build of {there}{f': {splits}' if splits else ''}; "
        f"{'; '.join(differences)}; choose another OUT, or replace the old build with --overwrite"
    )
