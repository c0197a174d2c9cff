"""What each rule measures: pure functions from the evidence to one number and its examples.

A function returns None if its rule does not apply, such as one on masks to data without masks.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from dsbuild.format import tiles
from dsbuild.format.manifest import IGNORE
from dsbuild.inspect.forms import ClassCount, Group, SplitStatistics, StatisticsDocument
from dsbuild.inspect.leaks import crosses
from dsbuild.inspect.quality.evidence import Evidence
from dsbuild.inspect.tables import count, share


class Measure(NamedTuple):
    """What a rule found.

    Attributes:
      value: a number of things, or a share from 0 to 1.
      text: what it says, such as `2 of 24 records`.
      examples: what it was found in.
    """

    value: float
    text: str
    examples: Sequence[str] = ()


def damage(evidence: Evidence) -> Measure:
    """Count the problems that `dsbuild validate` finds, except label values."""
    found = [str(one) for one in evidence.validation.problems if one.kind != "values"]
    found += [
        f"{one['file']}: {one['text']}"
        for one in evidence.statistics["unreadable"]
        if not evidence.validation.problems
    ]
    return Measure(len(found), count(len(found), "problem"), found)


def values(evidence: Evidence) -> Measure | None:
    """Count the records with label values that are no class."""
    if not evidence.folder.surrounding.classes:
        return None
    found = [str(one) for one in evidence.validation.problems if one.kind == "values"]
    return Measure(len(found), count(len(found), "problem"), found)


def left_out(evidence: Evidence) -> Measure | None:
    """Return the share of samples that the build left out."""
    if not evidence.rejects:
        return None
    left = sum(evidence.rejects.values())
    whole = evidence.samples
    per_split = [f"{name}: {number:,}" for name, number in evidence.rejects.items() if number]
    return Measure(left / max(whole, 1), f"{left:,} of {count(whole, 'sample')}", per_split)


def leaks(evidence: Evidence) -> Measure | None:
    """Count the groups of equal images in splits that should share none."""
    return _groups(evidence, evidence.statistics["duplicates"]["leaked"], across=True)


def near_leaks(evidence: Evidence) -> Measure | None:
    """Count the groups of images in such splits that look nearly alike."""
    near = evidence.statistics["duplicates"]["near"]
    return _groups(evidence, [one for one in near if _crosses(evidence, one)], across=True)


def duplicates(evidence: Evidence) -> Measure | None:
    """Count the groups of equal images that do not leak from one split into another."""
    exact = evidence.statistics["duplicates"]["exact"]
    return _groups(evidence, [one for one in exact if not _crosses(evidence, one)], across=False)


def _crosses(evidence: Evidence, group: Group) -> bool:
    parts = evidence.statistics["duplicates"]["parts"]
    return crosses(group["splits"], [(part, whole) for part, whole in parts])


def _groups(evidence: Evidence, chosen: Sequence[Group], across: bool) -> Measure | None:
    if across and len(evidence.statistics["splits"]) < 2:
        return None
    known = evidence.folder.surrounding.manifest
    tiled = known is not None and "tile" in known.recipe.get("images", {})
    examples = [_group(group, across, tiled) for group in chosen]
    if tiled:
        examples = list(dict.fromkeys(text for text in examples if text))
    return Measure(len(examples), count(len(examples), "group"), examples)


def _group(group: Group, across: bool, tiled: bool) -> str:
    """Return the records of a group, or the images that they are tiles of, each once.

    Equal tiles of one image in one split are no group.
    """
    names = [one["key"] or f"{one['file']}, record {one['record']}" for one in group["records"]]
    each = list(dict.fromkeys(map(tiles.source_of, names) if tiled else names))
    if tiled and len(each) < 2 and not across:
        return ""
    # Records of one key in one split, as other tools write them, are named one by one.
    names = each if across or tiled or len(each) > 1 else names
    return ", ".join(names) + (f" (in {' and '.join(group['splits'])})" if across else "")


def absent(evidence: Evidence) -> Measure | None:
    """Count the classes that occur in no record."""
    rows = _real(evidence.statistics["all"]["classes"])
    if not rows:
        return None
    never = [_name(row) for row in rows if not row["images"]]
    return Measure(len(never), f"{len(never):,} of {_classes(len(rows))}", never)


def missing(evidence: Evidence) -> Measure | None:
    """Count the classes that one labelled split lacks and another one has."""
    splits = dict(_labelled(evidence.statistics))
    if len(splits) < 2:
        return None
    held = {row["value"] for row in _real(evidence.statistics["all"]["classes"]) if row["images"]}
    found = [
        f"{_name(row)}: not in {name}"
        for name, one in splits.items()
        for row in _real(one["classes"])
        if not row["images"] and row["value"] in held
    ]
    number = len({text.rpartition(": not in ")[0] for text in found})
    return Measure(number, _classes(number), found)


def ignored(evidence: Evidence) -> Measure | None:
    """Return the largest share of ignored pixels of a split."""
    shares = {
        name: one["ignored"]
        for name, one in evidence.statistics["splits"].items()
        if one["ignored"] is not None
    }
    if not shares:
        return None
    most = max(shares, key=lambda name: shares[name] or 0)
    texts = [f"{name}: {_percent(part or 0)}" for name, part in shares.items()]
    return Measure(shares[most] or 0, f"{_percent(shares[most] or 0)} of {most}", texts)


def empty(evidence: Evidence) -> Measure | None:
    """Return the largest share of a split's masks that hold no object."""
    if not evidence.empty:
        return None
    counts = {name: (int(one.sum()), len(one)) for name, one in evidence.empty.items()}
    most = max(counts, key=lambda name: counts[name][0] / max(counts[name][1], 1))
    part, whole = counts[most]
    texts = [f"{name}: {few:,} of {count(all_, 'record')}" for name, (few, all_) in counts.items()]
    return Measure(part / max(whole, 1), f"{part:,} of {count(whole, 'record')} of {most}", texts)


def small(evidence: Evidence, side: int) -> Measure:
    """Return the share of images whose shorter side has fewer than `side` pixels."""
    sizes = evidence.statistics["all"]["sizes"]
    few = [(width, height, number) for width, height, number in sizes if min(width, height) < side]
    part, whole = sum(one[2] for one in few), sum(one[2] for one in sizes)
    texts = [f"{width} x {height}: {count(number, 'image')}" for width, height, number in few]
    return Measure(part / max(whole, 1), f"{part:,} of {count(whole, 'image')}", texts)


def unlicensed(evidence: Evidence) -> Measure | None:
    """Return 1 if no licence is stated."""
    if evidence.folder.manifest is None:
        return None
    stated = evidence.terms.license
    return Measure(int(not stated), stated or "no licence is stated")


def drift(evidence: Evidence) -> Measure | None:
    """Return by how much the share of a class differs most from that in the reference."""
    if evidence.reference is None:
        return None
    found: list[tuple[float, str]] = []
    splits = dict(_labelled(evidence.statistics))
    others = dict(_labelled(evidence.reference))
    for name in splits.keys() & others.keys():
        now, was = (_shares(one) for one in (splits[name], others[name]))
        for key in {**was, **now}:
            change = now.get(key, 0.0) - was.get(key, 0.0)
            text = (
                f"{name}: {key} was {_percent(was.get(key, 0))} and is {_percent(now.get(key, 0))}"
            )
            found.append((abs(change), text))
    if not found:
        return None
    found.sort(key=lambda one: (-one[0], one[1]))
    return Measure(found[0][0], found[0][1], [text for change, text in found if change])


def class_share(evidence: Evidence, name: str) -> Measure | None:
    """Return the share of a class, of the pixels or else of the records of all splits."""
    shares = _shares(evidence.statistics["all"])
    if name not in shares:
        return None
    return Measure(shares[name], _percent(shares[name]))


def class_names(evidence: Evidence) -> list[str]:
    """Return what the classes are called, or their values if they have no name."""
    return [_name(row) for row in _real(evidence.statistics["all"]["classes"])]


def _labelled(document: StatisticsDocument) -> Iterator[tuple[str, SplitStatistics]]:
    return ((name, one) for name, one in document["splits"].items() if one["labels"])


def _shares(one: SplitStatistics) -> dict[str, float]:
    rows = one["classes"]
    counts = {_name(row): row.get("pixels", row["images"]) for row in rows}
    whole = sum(counts.values())
    return {name: number / whole if whole else 0.0 for name, number in counts.items()}


def _real(rows: Sequence[ClassCount]) -> list[ClassCount]:
    return [row for row in rows if row["name"] != IGNORE]


def _name(row: ClassCount) -> str:
    return row["name"] or str(row["value"])


def _classes(number: int) -> str:
    return "1 class" if number == 1 else f"{number:,} classes"


def _percent(part: float) -> str:
    return share(round(part * 1_000_000), 1_000_000)
