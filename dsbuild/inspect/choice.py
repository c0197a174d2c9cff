"""Choose the records that a gallery shows."""

import difflib
import os
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from dsbuild.errors import PlanError
from dsbuild.inspect.catalog import Row
from dsbuild.validate.problem import Problem

SAMPLES = 48  # in a gallery, unless it takes more to show every class
_NAMED = 30  # classes named in an error
_MOST = 1000  # samples of a gallery that shows every class
Where = tuple[str, int, int]  # a record's file name, number and first byte


def find(name: str, classes: Sequence[str], rows: Sequence[Row]) -> int:
    """Return the label value of a class from its name or number; raise PlanError if unknown."""
    if name in classes:
        return list(classes).index(name)
    values = {value for row in rows for value in row.counts}
    if name.isdecimal() and (int(name) in values or int(name) < len(classes)):
        return int(name)
    known = [*classes] or [str(value) for value in sorted(values)]
    near = difflib.get_close_matches(name, known, 1)
    hint = f"; did you mean {near[0]}?" if near else "."
    more = f", and {len(known) - _NAMED:,} more" if len(known) > _NAMED else ""
    listed = f"{', '.join(known[:_NAMED])}{more}" if known else "none: no label was read"
    raise PlanError(f"class {name!r}: there is no such class{hint} Classes: {listed}")


def choose(
    rows: Sequence[Row], count: int | None, seed: int, how: str = "any", value: int = -1
) -> list[Row]:
    """Return `count` of the rows, by default `SAMPLES`; `how` says which.

    `any`: see `cover`. All others choose from the rows that have a class: `with` by the seed,
    `most` and `least` by the largest and smallest share of that class.
    """
    if how == "any":
        return cover(rows, count, seed)
    rows = [row for row in rows if row.counts.get(value)]
    count = SAMPLES if count is None else count
    if how in ("most", "least"):
        sign = -1 if how == "most" else 1
        return sorted(rows, key=lambda row: sign * row.part(value))[:count]
    chosen = random.Random(seed).sample(range(len(rows)), min(count, len(rows)))
    return [rows[i] for i in sorted(chosen)]


def cover(rows: Sequence[Row], count: int | None, seed: int) -> list[Row]:
    """Return `count` of the rows, so that as many classes as possible occur in them.

    Each class, the rarest first, adds the row that has it and most other classes not shown so far;
    what is left of `count` is chosen by the seed, no sample twice that is in two splits if there
    are others. `count` None is `SAMPLES`, or more if it takes more to show every class.
    """
    holders = Counter(value for row in rows for value in row.counts)
    by_value: dict[int, list[int]] = {value: [] for value in holders}
    for i, row in enumerate(rows):
        for value in row.counts:
            by_value[value].append(i)
    mixed = random.Random(seed).sample(range(len(rows)), len(rows))
    rank = {i: place for place, i in enumerate(mixed)}
    most = _MOST if count is None else count
    left, chosen = set(holders), dict[int, None]()
    for value in sorted(holders, key=lambda value: (holders[value], value)):
        if value in left and len(chosen) < most:
            new = max(
                by_value[value],
                key=lambda i: (len(left & rows[i].counts.keys()), rows[i].part(value), -rank[i]),
            )
            chosen[new] = None
            left -= rows[new].counts.keys()
    wanted = SAMPLES if count is None else count
    keys = {rows[i].key for i in chosen}
    again = []
    for i in mixed:
        if len(chosen) >= wanted:
            break
        if rows[i].key and rows[i].key in keys:
            again.append(i)
        else:
            chosen[i] = None
            keys.add(rows[i].key)
    for i in again[: max(wanted - len(chosen), 0)]:
        chosen[i] = None
    return [rows[i] for i in sorted(chosen)]


def faulty(problems: Iterable[Problem]) -> dict[Where, list[Problem]]:
    """Return the records with problems, in order, each with its problems."""
    records: dict[Where, list[Problem]] = {}
    for problem in problems:
        if problem.record is not None and problem.offset is not None:
            place = (os.path.basename(problem.file), problem.record, problem.offset)
            records.setdefault(place, []).append(problem)
    return records


def varied(records: Mapping[Where, Sequence[Problem]], count: int) -> list[Where]:
    """Return `count` of the records with problems, including the first of each kind."""
    first: dict[str, Where] = {}
    for place, problems in records.items():
        for problem in problems:
            first.setdefault(problem.kind, place)
    kept = set(list(dict.fromkeys([*first.values(), *records]))[:count])
    return [place for place in records if place in kept]
