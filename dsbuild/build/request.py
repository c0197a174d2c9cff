"""What to build: one frozen value, whose fields are options of the build commands."""

import re
from dataclasses import dataclass

from dsbuild import fields
from dsbuild.build.class_weights import MOST, NAME
from dsbuild.build.recipe import Recipe
from dsbuild.errors import PlanError
from dsbuild.fields import field
from dsbuild.layouts.finding import ACCEPTABLE

_UNITS = ("", "k", "m", "g", "t")
ORDERS = ("listed", "shuffled")
SHARD_SIZE = 128 * 10**6


def shard_size(given: int | str) -> int:
    """Return the size of a shard in bytes.

    A text such as `128MB` is in powers of 1000, one such as `128MiB` in powers of 1024.
    Raises PlanError for a text that is no size.
    """
    if not isinstance(given, str):
        return given
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)\s*([kmgt]?)(i?)b?", given.strip().lower())
    base = 1024 if match and match[3] else 1000
    found = int(float(match[1]) * base ** _UNITS.index(match[2])) if match else 0
    if found < 1:
        raise PlanError(f"shard_size: found {given!r}; expected a size such as 128MB or 1GB")
    return found


def check_out(out: str) -> None:
    """Raise PlanError for an empty text, which would be the current folder."""
    if not out:
        raise PlanError("out: found an empty text, expected a folder; . is the current one")


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to build, from where, to where; each field's help describes it.

    `root` is the layout's root, as `Layout.find` returns it. Raises PlanError for a value outside
    a field's bounds.
    """

    recipe: Recipe
    root: str
    out: str
    splits: tuple[str, ...] = field(
        (), "Build only these splits, such as train,val. Default: all.", option="split"
    )
    shards: int | None = field(None, "Shards per split.", least=1, most=99999)
    shard_size: int = field(
        SHARD_SIZE, "Approximate size of a shard, if --shards is not given.", least=1
    )
    order: str = field(
        "listed",
        "listed: in the order of the list. shuffled: by a hash of seed and key.",
        choices=ORDERS,
    )
    seed: int = field(0, "Seed for --order shuffled.")
    limit: int | None = field(None, "Build only the first N samples of each split.", least=1)
    on_error: str = field(
        "stop",
        "At a bad sample: stop, or skip it and list it in rejects.jsonl.",
        choices=("stop", "skip"),
    )
    sources: str = field(
        "stamp",
        "How a resumed build finds changed sources: by size and time, also by content, or not.",
        choices=("stamp", "content", "ignore"),
    )
    overwrite: bool = field(False, "Start again: remove all that dsbuild wrote to OUT.")
    weights: float | None = field(
        None, "Beta for class weights in the manifest; None for no weights.", least=0, most=MOST
    )
    accept: tuple[str, ...] = field(
        (),
        "Build a split even if all its labels have this mistake.",
        choices=ACCEPTABLE,
    )

    def __post_init__(self) -> None:
        fields.check(self, PlanError)
        check_out(self.out)
        decodes = "label" in self.recipe.schema.roles  # else a label is its folder's class
        if self.weights is not None and self.recipe.verify == "header" and decodes:
            raise PlanError(
                f"--extra {NAME}: it counts the labels, which --verify header leaves undecoded"
            )
