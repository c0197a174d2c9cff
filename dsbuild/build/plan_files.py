"""Plans in an output folder: one file per split, one line per shard, written before the shards."""

import contextlib
import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from dsbuild import storage
from dsbuild.build import plan, slices
from dsbuild.build.plan import ShardPlan
from dsbuild.build.recipe import Recipe
from dsbuild.errors import ShardError
from dsbuild.format import manifest, names

PLAN = re.compile(r"plan-(.+)\.jsonl", re.DOTALL)


class Place(NamedTuple):
    """Where the plan of a shard is: a line of a plan file."""

    path: str
    offset: int
    size: int


def path(out: str, split: str) -> str:
    """Return the path of a split's plan."""
    return names.state(out, f"plan-{split}.jsonl")


def splits(out: str) -> set[str]:
    """Return the splits that were planned here, finished or not."""
    names = storage.names(storage.join(out, manifest.STATE))
    return {match[1] for name in names if (match := PLAN.fullmatch(name))}


def save(out: str, split: str, plans: Iterable[ShardPlan], read: slices.Read = slices.read) -> None:
    """Write the plan of a split, and first the slices of its labels, if it has any.

    `read` reads a slice from where it is kept now.
    """
    # The slices come into place first: a plan never names ranges of an older file.
    with storage.writing(path(out, split)) as file, contextlib.ExitStack() as stack:
        kept = None
        for shard, offset in offsets(plans):
            file.write(shard.line(offset).encode())
            for part in slices.of(shard.samples):
                if kept is None:
                    kept = stack.enter_context(storage.writing(slices.path(out, split)))
                kept.write(slices.content(part, read))
    if kept is None and storage.stamp(slices.path(out, split)):
        storage.remove(slices.path(out, split))  # those of an earlier plan


def holds(out: str, split: str, plans: Iterable[ShardPlan]) -> bool:
    """Tell whether the plan file of a split is as `save` would write it."""
    digest, size = hashlib.sha256(), 0
    for shard, offset in offsets(plans):
        digest.update(shard.line(offset).encode())
        size = offset + shard.size()
    return has(out, split, digest.hexdigest(), size)


def has(out: str, split: str, digest: str, size: int) -> bool:
    """Tell whether a split has a plan file with this sha256, and `size` bytes of slices."""
    name = path(out, split)
    if storage.stamp(name) is None or storage.sha256(name)[0] != digest:
        return False
    kept = storage.stamp(slices.path(out, split)) if size else None
    return not size or (kept is not None and kept.size == size)


def offsets(plans: Iterable[ShardPlan]) -> Iterator[tuple[ShardPlan, int]]:
    """Yield plans, each with the offset of its slices in the file of its split."""
    offset = 0
    for shard in plans:
        yield shard, offset
        offset += shard.size()


def lines(out: str) -> Iterator[plan.Line]:
    """Yield the lines of all plan files, skipping damaged ones."""
    for split in sorted(splits(out)):
        name = path(out, split)
        with storage.reading(name) as (file, _):
            for line in file:
                try:
                    yield plan.read_line(line, name)
                except ShardError:
                    continue


def places(path: str) -> Iterator[Place]:
    """Yield the place of every shard's plan in a plan file."""
    offset = 0
    with storage.reading(path) as (file, _):
        for line in file:
            yield Place(path, offset, len(line))
            offset += len(line)


def read(place: Place) -> plan.Line:
    """Return a line of a plan file, reading nothing but that line."""
    return plan.read_line(storage.read_part(place.path, place.offset, place.size), place.path)


def load(place: Place, root: str, recipe: Recipe) -> ShardPlan:
    """Return the plan of a shard, reading only its line; raise ShardError if it is damaged."""
    return read(place).plan(root, recipe, place.path)
