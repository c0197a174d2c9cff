"""Finish a build: turn the receipts of all shards into the manifest, which is written last."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, cast

from dsbuild import storage
from dsbuild.build import output, palettes, plan, split_signatures
from dsbuild.build.opening import Note
from dsbuild.build.recipe import Recipe
from dsbuild.build.rejected import none_left
from dsbuild.errors import SampleError, ShardError
from dsbuild.format import manifest, names, receipts
from dsbuild.format.documents import normal
from dsbuild.format.manifest import Reject
from dsbuild.format.receipts import ShardReceipt

MORE = ("merged",)  # what only some manifests say


def finish(
    out: str,
    recipe: Recipe,
    splits: Sequence[str],
    written: Iterable[ShardReceipt],
    others: Mapping[str, Any],
    accept: Collection[str] = (),
    weights: float | None = None,
    more: Mapping[str, Any] | None = None,
) -> tuple[dict[str, Any], tuple[Reject, ...]]:
    """Describe a folder whose shards are all written, the manifest last; return it, and rejects.

    `written` are the receipts of all shards of `splits`, in any order; `weights` is the beta of
    their class weights, `more` what else the manifest says. Raises ShardError if receipts are
    missing or come twice; SampleError for a split of which every sample was left out, or whose
    labels show a mistake that `accept` does not name.
    """
    output.sweep(out)  # what lost workers left half-written
    mine: dict[str, list[ShardReceipt]] = {split: [] for split in splits}
    for receipt in sorted(written, key=lambda receipt: receipt.name):
        mine[str(manifest.split_of(receipt.name))].append(receipt)
    for split, made in mine.items():
        names = [receipt.name for receipt in made]
        expected = manifest.siblings(names[0]) if names else []
        if not names or names != expected:
            raise ShardError(
                f"{out}: {len(names)} receipts of split {split} came back, expected those of all "
                f"{len(expected) or 'its'} shards, each once: the runner lost some; run the same "
                "command again, or with another --runner"
            )
    document = describe(recipe, mine, dict.fromkeys(mine, weights), others) | dict(more or {})
    names = [shard["name"] for entry in others.values() for shard in entry["shards"]]
    kept = [one for name in names if (one := receipts.load(out, name))]
    rejects = left_out([*(one for made in mine.values() for one in made), *kept])
    storage.remove_folder(manifest.parts_path(out))
    before = output.entries(out).get("splits", {})
    fresh = {split: made for split, made in mine.items() if not _stood(made, before.get(split))}
    _refuse_empty(fresh)
    _refuse_splits(out, fresh, recipe, accept)
    return output.close(out, recipe, document, rejects), rejects


def _stood(made: Sequence[ShardReceipt], before: Mapping[str, Any] | None) -> bool:
    """Return whether a split was finished and accepted with these shards."""
    shards = before["shards"] if before else ()
    return [(one["name"], one["sha256"]) for one in shards] == [(r.name, r.sha256) for r in made]


def left_out(written: Iterable[ShardReceipt]) -> tuple[Reject, ...]:
    """Return the samples that were left out, in the order of their shards' names."""
    ranked = sorted(written, key=lambda receipt: receipt.name)
    return tuple(reject for receipt in ranked for reject in receipt.rejects)


def _refuse_empty(written: Mapping[str, Sequence[ShardReceipt]]) -> None:
    """Raise SampleError for a split of which every sample was left out."""
    for split, made in written.items():
        rejects = left_out(made)
        if rejects and not any(receipt.records for receipt in made):
            first = rejects[0]
            text = f"sample {first.key}: {first.file}: {first.reason}"
            raise none_left(split, len(rejects), text)


def _refuse_splits(
    out: str,
    written: Mapping[str, Sequence[ShardReceipt]],
    recipe: Recipe,
    accept: Collection[str],
) -> None:
    """Raise SampleError for a split whose labels, taken together, are clearly wrong."""
    for split, mine in written.items():
        values = {value for receipt in mine for value in receipt.statistics.pixels}
        known = palettes.joined(receipt.colours for receipt in mine)
        for mistake in split_signatures.of_all(values, known, recipe.layout):
            if mistake.kind in accept:
                continue
            if mistake.kind not in split_signatures.CONSTANT or _several(out, mine):
                raise SampleError(
                    f"split {split}: {mistake.text}; its shards are kept, but the build is not "
                    "finished"
                )


def _several(out: str, written: Iterable[ShardReceipt]) -> bool:
    """Return whether shards were made from several different images, by their checksums."""
    seen: set[int | None] = set()
    for name in (receipt.name for receipt in written):
        kept = receipts.load(out, name)  # with its sources, which are not held in memory
        seen.update(row[2] for row in (kept.sources if kept else ()) if row[2] is not None)
        if len(seen) > 1:
            return True
    return False


def tell(rejects: Iterable[Reject], note: Note) -> None:
    """Note what rejects suggest about samples that passed."""
    if any(reject.kind == "luma" for reject in rejects):
        note(
            "some labels were left out because they are the luma of the palette's colours; labels "
            "from the same source that passed, because their lumas happen to be class indices, "
            "are just as wrong: get the originals"
        )


def describe(
    recipe: Recipe,
    written: Mapping[str, Sequence[ShardReceipt]],
    betas: Mapping[str, float | None],
    others: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the manifest of a folder, without its digests, from split -> receipts in order.

    `betas` are those of the class weights, by split; `others` are entries of other splits.
    """
    layout = recipe.layout
    splits = dict(others)
    for split, mine in written.items():
        digest = plan.digest(receipt.plan for receipt in mine)
        beta = betas.get(split)
        splits[split] = receipts.split_entry(mine, layout.classes, layout.ignore, digest, beta)
    values = [
        *range(len(layout.classes)),
        *([] if layout.ignore is None else [layout.ignore]),
    ]
    all_receipts = [receipt for mine in written.values() for receipt in mine]
    panoptic = {"target": "panoptic", "divisor": layout.divisor, "things": list(layout.things)}
    document = {
        "dsbuild": names.WRITTEN_AS,
        "title": layout.title,
        **({} if layout.divisor is None else panoptic),
        "classes": list(layout.classes),
        "ignore": layout.ignore,
        "palette": {str(i): list(layout.palette[i]) for i in values if i < len(layout.palette)},
        "recipe": recipe.document(),
        "versions": {k: v for receipt in all_receipts for k, v in receipt.versions.items()},
        "splits": dict(sorted(splits.items())),
    }
    return cast(dict[str, Any], normal(document))
