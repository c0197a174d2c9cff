"""Checks across files: keys and images that occur twice, classes that a split does not have."""

from array import array
from collections.abc import Sequence

import numpy as np

from dsbuild.format.folder import split_of
from dsbuild.format.manifest import Manifest
from dsbuild.validate.problem import Problem
from dsbuild.validate.rules import Checked

_FEW = 100  # classes that a note lists


def duplicates(checked: Sequence[Checked], notes: list[str]) -> list[Problem]:
    """Return keys that occur twice in a split; note the keys and images that splits share."""
    problems = []
    splits = [split_of(file.path) for file in checked]
    for kind, digests in (
        ("key", [file.keys for file in checked]),
        ("image", [file.images for file in checked]),
    ):
        shared: dict[tuple[str, str], int] = {}
        for group in _same(digests):
            (first, number), *others = group
            for other, record in others:
                if splits[other] != splits[first]:
                    pair = (splits[first], splits[other])
                    shared[pair] = shared.get(pair, 0) + 1
                elif kind == "key":
                    file = checked[other]
                    text = (
                        f"record {number} of {checked[first].path} has the same key, expected "
                        "unique keys within a split; build it again"
                    )
                    offset = file.offsets[record]
                    problems.append(Problem("duplicate-key", file.path, text, record, offset))
        for (split, twin), count in shared.items():
            ending = "" if count == 1 else "s"
            notes.append(f"splits {split} and {twin} share {count:,} {kind}{ending}")
    return problems


def classes(checked: Sequence[Checked], manifest: Manifest | None) -> list[str]:
    """Return a note on each split without a class that occurs in another split."""
    values: dict[str, set[int]] = {}
    for file in checked:
        values.setdefault(split_of(file.path), set()).update(file.values)
    everywhere = set().union(*values.values()) - {manifest.ignore if manifest else None}
    notes = []
    for split, present in values.items():
        missing = [_name(value, manifest) for value in sorted(everywhere - present)]
        if present and missing:
            more = f" and {len(missing) - _FEW:,} more" if len(missing) > _FEW else ""
            notes.append(f"split {split} has no pixel of {', '.join(missing[:_FEW])}{more}")
    return notes


def _name(value: int, manifest: Manifest | None) -> str:
    name = manifest.class_name(value) if manifest else None
    return str(value) if name is None else name


def _same(digests: "Sequence[array[int]]") -> list[list[tuple[int, int]]]:
    """Return groups of places (file, record) whose digests are equal and not 0, in order."""
    files = np.repeat(np.arange(len(digests)), [len(column) for column in digests])
    numbers = np.concatenate([np.arange(len(column)) for column in digests]) if digests else files
    whole = np.concatenate(digests) if digests else np.empty(0, np.uint64)
    order = np.argsort(whole, kind="stable")
    ranked = whole[order]
    again = np.flatnonzero((ranked[1:] == ranked[:-1]) & (ranked[1:] != 0))
    groups: dict[int, list[tuple[int, int]]] = {}
    for at in sorted({*again, *(again + 1)}):
        place = order[at]
        groups.setdefault(int(ranked[at]), []).append((int(files[place]), int(numbers[place])))
    return sorted(groups.values())
