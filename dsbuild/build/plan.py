"""Plan samples into shards: order, balance, digests. Pure arithmetic; reads no source."""

import functools
import hashlib
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, NamedTuple

from dsbuild.build import slices
from dsbuild.build.recipe import Recipe
from dsbuild.build.request import ORDERS
from dsbuild.errors import PlanError, ShardError
from dsbuild.format.documents import fits, is_count
from dsbuild.format.manifest import SHARD, dump, parse, shard_name, split_of
from dsbuild.layouts import Sample
from dsbuild.layouts.sample import is_label, of_row, row
from dsbuild.storage import spool

_LABELS = frozenset((str, int, type(None)))


def _are_samples(value: Any) -> bool:
    """Tell whether a value is a list of key, image and label; a folder may have millions.

    The paths of planes may follow.
    """
    return isinstance(value, list) and all(
        type(row) is list
        and (len(row) == 3 or (len(row) == 4 and fits(row[3], [str])))
        and type(row[0]) is type(row[1]) is str
        and (type(row[2]) in _LABELS or is_label(row[2]))
        for row in value
    )


_LINE = {
    "name": str,
    "digest": str,
    "samples": _are_samples,
    # Where the slices of the samples begin in their file; size and crc32c of each.
    "slices?": (is_count, [(is_count, is_count)]),
}


@dataclass(frozen=True)
class ShardPlan:
    """One output file: its samples in order, and the recipe that encodes them.

    Attributes:
      name: of the file, in DeepLab's form.
      root: folder that the samples' paths are relative to; not part of the digest.
      samples: in the order of the records.
      recipe: what decides the bytes of a record.
    """

    name: str
    root: str
    samples: tuple[Sample, ...]
    recipe: Recipe

    @property
    def split(self) -> str:
        """The shard's split."""
        return split_of(self.name) or ""

    @functools.cached_property
    def digest(self) -> str:
        """The sha256 of recipe, name and ordered samples: equal digests mean equal bytes."""
        recipe, name = self.recipe.text, dump(self.name)
        # The text of a document with these three keys, from parts that are needed again.
        text = f'{{"recipe":{recipe},"name":{name},"samples":{self._rows}}}'
        return hashlib.sha256(text.encode()).hexdigest()

    def line(self, offset: int = 0) -> str:
        """Return the plan's line in the plan file of its split.

        `offset` is where the slices of its samples begin in the file that keeps those of the split.
        """
        kept = [slices.held(part) for part in slices.of(self.samples)]
        ranges = [offset, [[one.size, one.crc] for one in kept]]
        more = f',"slices":{dump(ranges)}' if kept else ""
        head = dump({"name": self.name, "digest": self.digest})
        return f'{head[:-1]},"samples":{self._rows}{more}}}\n'

    def size(self) -> int:
        """Return how many bytes the slices of the samples have."""
        return sum(slices.held(part).size for part in slices.of(self.samples))

    @functools.cached_property
    def _rows(self) -> str:
        """The JSON text of its samples."""
        return dump(list(map(row, self.samples)))


class Line(NamedTuple):
    """A line of a plan file: a shard's name, its samples, the digest of its plan."""

    name: str
    samples: tuple[Sample, ...]
    digest: str

    def plan(self, root: str, recipe: Recipe, path: str) -> ShardPlan:
        """Return the plan; raise ShardError if its digest differs from the line's."""
        shard = ShardPlan(self.name, root, self.samples, recipe)
        if shard.digest != self.digest:
            raise ShardError(
                f"{path}: the plan of {self.name} does not have the digest that its line names: it "
                "is damaged, or of another recipe; dsbuild repair restores it"
            )
        return shard


def read_line(line: bytes, path: str) -> Line:
    """Parse a line of the plan file `path`; raise ShardError if it is not a plan."""
    document = parse(line, path)
    if not fits(document, _LINE) or not SHARD.fullmatch(document["name"]):
        raise ShardError(f"{path}: found no plan of dsbuild; dsbuild repair restores it")
    samples = tuple(map(of_row, document["samples"]))
    if any(slices.of(samples)):
        offset, ranges = document.get("slices", (0, []))
        file = slices.path_beside(path)
        samples = tuple(slices.placed(samples, file, offset, ranges))
    return Line(document["name"], samples, document["digest"])


def even_split(total: int, parts: int) -> list[range]:
    """Return `parts` consecutive ranges over `total` whose lengths differ by at most one.

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
) -> Iterator[Sample]:
    """Yield samples in the order of their records, at most `limit` of them.

    `listed` keeps their order. `shuffled` sorts by a hash of seed and key, so the order does not
    depend on the listing, and two samples keep their order when others are added.
    """
    if how not in ORDERS:
        raise PlanError(f"--order {how}: found {how!r}, expected one of {ORDERS}")
    if how == "shuffled":
        ranked = ((_rank(seed, sample.key), sample) for sample in samples)
        samples = (sample for _, sample in spool.ordered(ranked, key=itemgetter(0)))
    return itertools.islice(samples, limit)


def _rank(seed: int, key: str) -> bytes:
    return hashlib.sha256(f"{seed}\0{key}".encode(errors="surrogateescape")).digest()


def shard_count(size: int, shard_size: int, samples: int) -> int:
    """Return how many shards of about `shard_size` bytes hold `size` bytes, none of them empty."""
    if shard_size < 1:
        raise PlanError(f"--shard-size {shard_size}: expected at least 1 byte")
    return max(1, min(samples, round(size / shard_size)))


def shards(
    split: str, root: str, samples: Iterable[Sample], total: int, count: int, recipe: Recipe
) -> Iterator[ShardPlan]:
    """Divide a split's `total` ordered samples among `count` shards, balanced to within one record.

    With fewer samples than shards the last shards are empty, which is valid for a TFRecord.
    """
    samples = iter(samples)
    for i, part in enumerate(even_split(total, count)):
        mine = tuple(itertools.islice(samples, len(part)))
        yield ShardPlan(shard_name(split, i, count), root, mine, recipe)


def digest(digests: Iterable[str]) -> str:
    """Return the digest of a split's plan, from those of its shards in order."""
    return hashlib.sha256("".join(digests).encode()).hexdigest()
