"""The control files of a folder, each believed only as far as its digests prove it."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dsbuild import storage
from dsbuild.build import output, plan, plan_files, recipe
from dsbuild.build.plan import ShardPlan
from dsbuild.build.recipe import Recipe
from dsbuild.errors import DataError, PlanError, ShardError
from dsbuild.format import manifest, receipts
from dsbuild.format.receipts import ShardReceipt
from dsbuild.layouts import Sample


@dataclass
class Known:
    """What is proved about a folder.

    Attributes:
      out: the folder.
      document: its manifest, None where that is lost, damaged, or not written yet.
      recipe: of its records, without class weights.
      betas: of the class weights, by split.
      splits: split -> names of its shards.
      receipts: by shard, those that are whole and that the manifest names.
      plans: by shard, the samples, where they have the digest that they should have.
    """

    out: str
    document: Mapping[str, Any] | None
    recipe: Recipe
    betas: Mapping[str, float]
    splits: Mapping[str, list[str]]
    receipts: dict[str, ShardReceipt] = field(default_factory=dict)
    plans: dict[str, tuple[Sample, ...]] = field(default_factory=dict)

    @functools.cached_property
    def _entries(self) -> Mapping[str, Mapping[str, Any]]:
        splits = (self.document or {}).get("splits", {}).values()
        return {one["name"]: one for split in splits for one in split["shards"]}

    @property
    def names(self) -> list[str]:
        """The names of all shards."""
        return [name for names in self.splits.values() for name in names]

    def entry(self, name: str) -> Mapping[str, Any]:
        """Return the manifest's entry of a shard; empty if there is none."""
        return self._entries.get(name, {})

    def sha256(self, name: str) -> str | None:
        """Return the sha256 that a shard was written with, None if unknown."""
        if name in self.receipts:
            return self.receipts[name].sha256
        return self.entry(name).get("sha256")

    def digest(self, name: str) -> str | None:
        """Return the digest of a shard's plan, None if only the plan itself knows it."""
        if name in self.receipts:
            return self.receipts[name].plan
        return self.entry(name).get("plan")

    def plan(self, name: str, root: str) -> ShardPlan:
        """Return the plan of a shard."""
        return ShardPlan(name, root, self.plans[name], self.recipe)


def gather(out: str) -> Known:
    """Read a folder's control files; raise PlanError if none says what was in it."""
    document = _manifest(out)
    lines = list(plan_files.lines(out))
    noted = [
        name.removesuffix(".json")
        for name in storage.names(output.state(out, "receipts"))
        if name.endswith(".json")
    ]
    if document is None and not lines and not noted:
        raise PlanError(
            f"{out}: found no plan of dsbuild, so it is not known what was in it; build it again"
        )
    made, betas = _recipe(out, document)
    found = {name: one for name in noted if (one := receipts.load(out, name))}
    last = output.tenure(out)
    for line in lines if document is None else ():
        one = found.get(line.name)
        if one is None or one.tenure is None or last is None:
            continue
        if one.plan != line.digest and one.tenure < last:
            del found[line.name]  # of a builder before the one that planned the folder last
    if document is not None:
        splits = {
            split: [one["name"] for one in entry["shards"]]
            for split, entry in document["splits"].items()
        }
    else:
        splits = _sets(out, {line.name for line in lines} | set(found))
    known = Known(out, document, made, betas, splits)
    for name in known.names:
        if name in found and _is_of(found[name], known.entry(name)):
            known.receipts[name] = found[name]
    for line in lines:
        shard = ShardPlan(line.name, "", line.samples, made)
        if shard.digest == (known.digest(line.name) or line.digest):
            known.plans[line.name] = line.samples
    _hold(known)
    return known


def _manifest(out: str) -> Mapping[str, Any] | None:
    """Return the manifest if it can be read and is the last holder's."""
    try:
        document = manifest.load(out)
    except ShardError:
        return None
    return None if document is None or output.stranger(out, document) else document


def _recipe(out: str, document: Mapping[str, Any] | None) -> tuple[Recipe, Mapping[str, float]]:
    if document is not None:
        return recipe.load(document["recipe"]), output.betas(document)
    try:
        return output.load_recipe(out)
    except (DataError, PlanError) as error:
        raise PlanError(
            f"{out}: neither {manifest.NAME} nor the recipe can be read ({error}), and nothing "
            "else tells how its records were made; run the command again that built it"
        ) from error


def _sets(out: str, names: set[str]) -> dict[str, list[str]]:
    """Return split -> names of its shards, by names alone; each set has to be whole."""
    splits: dict[str, list[str]] = {}
    for name in sorted(names):
        splits.setdefault(manifest.split_of(name) or "", []).append(name)
    for split, mine in splits.items():
        if mine != manifest.siblings(mine[0]):
            raise PlanError(
                f"{out}: there is no manifest, and plans and receipts of split {split} are of "
                f"{len(mine)} shards, such as {mine[0]}, which are no whole set; run the command "
                "again that built it"
            )
    return splits


def _is_of(receipt: ShardReceipt, entry: Mapping[str, Any]) -> bool:
    """Return whether the manifest names this receipt, or names none."""
    said = entry.get("receipt", receipt.digest), entry.get("sha256", receipt.sha256)
    return said == (receipt.digest, receipt.sha256)


def _hold(known: Known) -> None:
    """Drop plans that do not add up to those of the manifest: of earlier versions' folders."""
    for split, entry in (known.document or {}).get("splits", {}).items():
        names = known.splits[split]
        told = all(known.digest(name) for name in names)
        if told or not all(name in known.plans for name in names):
            continue
        if plan.digest(known.plan(name, "").digest for name in names) != entry["plan"]:
            for name in names:
                if not known.digest(name):
                    del known.plans[name]
