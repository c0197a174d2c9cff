"""Plans in an output folder: a file a split, a line a shard. There before any of their shards."""

import itertools
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from dsbuild import storage
from dsbuild.build import plan
from dsbuild.build.plan import ShardPlan
from dsbuild.build.recipe import Recipe
from dsbuild.errors import ShardError
from dsbuild.format import manifest

PLAN = re.compile(r"plan-(.+)\.jsonl", re.DOTALL)


class Place(NamedTuple):
    """Where the plan of a shard stands: a line of a plan file."""

    path: str
    offset: int
    size: int


def path(out: str, split: str) -> str:
    """Return where the plan of a split lies."""
    return storage.join(out, manifest.STATE, f"plan-{split}.jsonl")


def splits(out: str) -> set[str]:
    """Return the splits that were planned here, finished or not."""
    names = storage.names(storage.join(out, manifest.STATE))
    return {match[1] for name in names if (match := PLAN.fullmatch(name))}


def save(out: str, split: str, plans: Iterable[ShardPlan]) -> None:
    """Write the plan of a split."""
    with storage.writing(path(out, split)) as file:
        file.writelines(shard.line().encode() for shard in plans)


def holds(out: str, split: str, plans: Iterable[ShardPlan]) -> bool:
    """Tell whether the plan of a split stands as `save` would write it."""
    name = path(out, split)
    if storage.stamp(name) is None:
        return False
    lines = (shard.line().encode() for shard in plans)
    with storage.reading(name) as (file, _):
        return all(one == other for one, other in itertools.zip_longest(file, lines))


def lines(out: str) -> Iterator[plan.Line]:
    """Yield what the lines of all plan files say, past those that are damaged."""
    for split in sorted(splits(out)):
        name = path(out, split)
        with storage.reading(name) as (file, _):
            for line in file:
                try:
                    yield plan.read_line(line, name)
                except ShardError:
                    continue


def places(path: str) -> Iterator[Place]:
    """Yield where the plan of every shard stands in a plan file."""
    offset = 0
    with storage.reading(path) as (file, _):
        for line in file:
            yield Place(path, offset, len(line))
            offset += len(line)


def read(place: Place) -> plan.Line:
    """Return what the plan of a shard says, read from its place alone."""
    return plan.read_line(storage.read_part(place.path, place.offset, place.size), place.path)


def load(place: Place, root: str, recipe: Recipe) -> ShardPlan:
    """Return the plan of a shard, read from its place alone; raise ShardError if damaged."""
    return read(place).plan(root, recipe, place.path)
