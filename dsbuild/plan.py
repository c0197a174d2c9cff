"""Samples to shards: order, balance, digests. Pure arithmetic; reads no file."""

import functools
import hashlib
import heapq
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dsbuild.errors import PlanError
from dsbuild.layouts import Sample
from dsbuild.manifest import dump, shard_name
from dsbuild.recipe import Recipe

ORDERS = ("listed", "shuffled")
SHARD_SIZE = 128 * 10**6


@dataclass(frozen=True)
class ShardPlan:
    """One output file: its samples in order, and the recipe they are encoded by.

    Attributes:
      split, index, count: which of a split's shards this is.
      root: folder that the samples' paths are relative to; not part of the digest.
      samples: in the order of the records.
      recipe: what decides the bytes of a record.
    """

    split: str
    index: int
    count: int
    root: str
    samples: tuple[Sample, ...]
    recipe: Recipe

    @property
    def name(self) -> str:
        """The shard's file name, DeepLab's."""
        return shard_name(self.split, self.index, self.count)

    @functools.cached_property
    def digest(self) -> str:
        """The sha256 of recipe, name and ordered samples: same digest, same bytes."""
        document = {
            "recipe": self.recipe.document(),
            "name": self.name,
            "samples": self._rows(),
        }
        return hashlib.sha256(dump(document).encode()).hexdigest()

    def line(self) -> str:
        """Return the plan's line in the plan file of its split."""
        document = {"name": self.name, "digest": self.digest, "samples": self._rows()}
        return dump(document) + "\n"

    def _rows(self) -> list[list[str | int | None]]:
        return [[sample.key, sample.image, sample.label] for sample in self.samples]


def even_split(total: int, parts: int) -> list[range]:
    """Return `parts` consecutive ranges over `total`, whose lengths differ by one at most.

    >>> even_split(5, 4)
    [range(0, 2), range(2, 3), range(3, 4), range(4, 5)]
    """
    if parts < 1:
        raise PlanError(f"found {parts} shards, expected at least 1")
    size, rest = divmod(total, parts)
    starts = [i * size + min(i, rest) for i in range(parts + 1)]
    return [range(a, b) for a, b in itertools.pairwise(starts)]


def order(
    samples: Iterable[Sample],
    how: str = "listed",
    seed: int = 0,
    limit: int | None = None,
) -> list[Sample]:
    """Return samples in the order of their records, at most `limit` of them.

    `listed` keeps their order. `shuffled` sorts by a hash of seed and key, so the order
    does not depend on the listing, and two samples keep theirs when others are added.
    """
    if how not in ORDERS:
        raise PlanError(f"--order {how}: found {how!r}, expected one of {ORDERS}")
    samples = list(samples)
    if how == "listed":
        return samples[:limit]
    ranked = ((hashlib.sha256(f"{seed}\0{s.key}".encode()).digest(), s) for s in samples)
    first = heapq.nsmallest(len(samples) if limit is None else limit, ranked, key=lambda r: r[0])
    return [sample for _, sample in first]


def shard_count(size: int, shard_size: int, samples: int) -> int:
    """Return how many shards of about `shard_size` bytes hold `size` bytes; none is empty."""
    if shard_size < 1:
        raise PlanError(f"--shard-size {shard_size}: expected at least 1 byte")
    return max(1, min(samples, round(size / shard_size)))


def shards(
    split: str, root: str, samples: Sequence[Sample], count: int, recipe: Recipe
) -> list[ShardPlan]:
    """Deal a split's ordered samples to `count` shards, balanced to within one record.

    With fewer samples than shards the last ones are empty, which is a valid TFRecord.
    """
    return [
        ShardPlan(split, i, count, root, tuple(samples[part.start : part.stop]), recipe)
        for i, part in enumerate(even_split(len(samples), count))
    ]


def digest(plans: Iterable[ShardPlan]) -> str:
    """Return the digest of several plans in order."""
    return hashlib.sha256("".join(plan.digest for plan in plans).encode()).hexdigest()
