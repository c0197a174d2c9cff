"""What the control files of a folder say, as far as digests prove it."""

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
      document: its manifest; None if it is lost, damaged, or not written yet.
      recipe: of its records, without class weights.
      betas: of the class weights, by split.
      splits: split -> names of its shards.
      receipts: by shard, those that are whole and named by the manifest.
      plans: by shard, its samples, if they have the expected digest.
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
        return {shard["name"]: shard for split in splits for shard in split["shards"]}

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
    """Read a folder's control files; raise PlanError if none says what the folder held."""
    document = _manifest(out)
    lines = list(plan_files.lines(out))
    names = [
        name.removesuffix(".json")
        for name in storage.names(output.state(out, "receipts"))
        if name.endswith(".json")
    ]
    if document is None and not lines and not names:
        raise PlanError(
            f"{out}: found no plan of dsbuild, so nothing says what the folder held; build it again"
        )
    made_by, betas = _recipe(out, document)
    whole = {name: receipt for name in names if (receipt := receipts.load(out, name))}
    last = output.tenure(out)
    for line in lines if document is None else ():
        receipt = whole.get(line.name)
        if receipt is None or receipt.tenure is None or last is None:
            continue
        if receipt.plan != line.digest and receipt.tenure < last:
            del whole[line.name]  # by a builder before the one that planned the folder last
    if document is not None:
        splits = {
            split: [shard["name"] for shard in entry["shards"]]
            for split, entry in document["splits"].items()
        }
    else:
        splits = _sets(out, {line.name for line in lines} | set(whole))
    known = Known(out, document, made_by, betas, splits)
    for name in known.names:
        if name in whole and _is_of(whole[name], known.entry(name)):
            known.receipts[name] = whole[name]
    for line in lines:
        shard = ShardPlan(line.name, "", line.samples, made_by)
        if shard.digest == (known.digest(line.name) or line.digest):
            known.plans[line.name] = line.samples
    _drop_unproved(known)
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
            "else says how the records were made; run the command that built it again"
        ) from error


def _sets(out: str, names: set[str]) -> dict[str, list[str]]:
    """Return split -> names of its shards, judging by names alone; each set must be complete."""
    splits: dict[str, list[str]] = {}
    for name in sorted(names):
        splits.setdefault(manifest.split_of(name) or "", []).append(name)
    for split, mine in splits.items():
        if mine != manifest.siblings(mine[0]):
            raise PlanError(
                f"{out}: there is no manifest, and plans and receipts of split {split} name "
                f"{len(mine)} shards, such as {mine[0]}, which are not a complete set; run the "
                "command that built it again"
            )
    return splits


def _is_of(receipt: ShardReceipt, entry: Mapping[str, Any]) -> bool:
    """Return whether the manifest names this receipt, or names none."""
    expected = entry.get("receipt", receipt.digest), entry.get("sha256", receipt.sha256)
    return expected == (receipt.digest, receipt.sha256)


def _drop_unproved(known: Known) -> None:
    """Drop plans that do not give the digest of their split in the manifest.

    Only manifests of earlier versions leave the digests of single plans out.
    """
    for split, entry in (known.document or {}).get("splits", {}).items():
        names = known.splits[split]
        proved = all(known.digest(name) for name in names)
        if proved or not all(name in known.plans for name in names):
            continue
        if plan.digest(known.plan(name, "").digest for name in names) != entry["plan"]:
            for name in names:
                if not known.digest(name):
                    del known.plans[name]
