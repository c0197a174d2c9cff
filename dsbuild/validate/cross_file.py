"""What shows across files alone: keys and images that occur twice, classes that a split lacks."""

from array import array
from collections.abc import Sequence

import numpy as np

from dsbuild.format.folder import split_of
from dsbuild.format.manifest import Manifest
from dsbuild.validate.problem import Problem
from dsbuild.validate.rules import Checked

_FEW = 100  # classes that a note lists


def duplicates(checked: Sequence[Checked], notes: list[str]) -> list[Problem]:
    """Return keys that occur twice in a split; note those and images that two splits share."""
    problems = []
    splits = [split_of(one.path) for one in checked]
    for kind, digests in (
        ("key", [c.keys for c in checked]),
        ("image", [c.images for c in checked]),
    ):
        shared: dict[tuple[str, str], int] = {}
        for group in _same(digests):
            (first, number), *others = group
            for other, record in others:
                if splits[other] != splits[first]:
                    pair = (splits[first], splits[other])
                    shared[pair] = shared.get(pair, 0) + 1
                elif kind == "key":
                    again = checked[other]
                    offset = again.offsets[record]
                    text = (
                        f"found the key of record {number} of {checked[first].path}, expected keys "
                        "that differ; build it again"
                    )
                    problems.append(Problem("duplicate-key", again.path, text, record, offset))
        for (split, twin), count in shared.items():
            notes.append(f"splits {split} and {twin} share {count:,} {kind}s")
    return problems


def classes(checked: Sequence[Checked], known: Manifest | None) -> list[str]:
    """Note the classes that occur in some splits and not in others."""
    values: dict[str, set[int]] = {}
    for one in checked:
        values.setdefault(split_of(one.path), set()).update(one.values)
    everywhere = set().union(*values.values()) - {known.ignore if known else None}
    notes = []
    for split, found in values.items():
        missing = [_name(value, known) for value in sorted(everywhere - found)]
        if found and missing:
            more = f" and {len(missing) - _FEW:,} more" if len(missing) > _FEW else ""
            notes.append(f"split {split} has no pixel of {', '.join(missing[:_FEW])}{more}")
    return notes


def _name(value: int, known: Manifest | None) -> str:
    name = known.class_name(value) if known else None
    return str(value) if name is None else name


def _same(digests: "Sequence[array[int]]") -> list[list[tuple[int, int]]]:
    """Return groups of places (file, record) whose digests are equal and not 0, in order."""
    files = np.repeat(np.arange(len(digests)), [len(one) for one in digests])
    numbers = np.concatenate([np.arange(len(one)) for one in digests]) if digests else files
    whole = np.concatenate(digests) if digests else np.empty(0, np.uint64)
    order = np.argsort(whole, kind="stable")
    ranked = whole[order]
    again = np.flatnonzero((ranked[1:] == ranked[:-1]) & (ranked[1:] != 0))
    groups: dict[int, list[tuple[int, int]]] = {}
    for at in sorted({*again, *(again + 1)}):
        place = order[at]
        groups.setdefault(int(ranked[at]), []).append((int(files[place]), int(numbers[place])))
    return sorted(groups.values())
