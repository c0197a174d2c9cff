"""Features that only some records of a split have, in folders whose manifest does not list any.

A parser that expects a feature stops at the first record without it.
"""

from collections.abc import Iterator, Mapping, Sequence

from dsbuild.format.example import Parsed
from dsbuild.format.folder import split_of
from dsbuild.format.schema import Schema
from dsbuild.format.tfrecord import Record
from dsbuild.validate.problem import Problem
from dsbuild.validate.rules import Checked

_MOST = 1000  # feature names that are counted per file
_LABELS = ("label", "label.format", "label.divisor", "class", "class.text")  # roles


def note(values: Mapping[str, Parsed], record: Record, key: str, checked: Checked) -> None:
    """Count a record's features, and note the first record without each feature."""
    counts, without = checked.features, checked.without
    place = (record.number, record.offset, key)
    if not checked.examples:
        checked.first = place
    for name in values:
        if name in counts:
            counts[name] += 1
        elif len(counts) < _MOST:
            counts[name] = 1
            if checked.examples:
                without[name] = checked.first
    for name in counts.keys() - values.keys():
        without.setdefault(name, place)
    checked.examples += 1


def problems(checked: Sequence[Checked], schema: Schema) -> Iterator[Problem]:
    """Yield each feature that most records of a split have but some do not, at the first of these.

    A label or its format is reported however few records have it. Features that the schema
    requires are skipped: each record without one is a problem already.
    """
    splits: dict[str, list[Checked]] = {}
    for file in checked:
        if file.examples:
            splits.setdefault(split_of(file.path), []).append(file)
    required = {feature.name for feature in schema.features if feature.required}
    labels = {feature.name for feature in schema.features if feature.role in _LABELS}
    for split, files in splits.items():
        total = sum(file.examples for file in files)
        for name in dict.fromkeys(name for file in files for name in file.features):
            count = sum(file.features.get(name, 0) for file in files)
            if count < total and name not in required and (name in labels or 2 * count > total):
                yield _problem(name, count, total, split, files)


def _problem(name: str, count: int, total: int, split: str, files: Sequence[Checked]) -> Problem:
    first = next(file for file in files if file.features.get(name, 0) < file.examples)
    number, offset, key = first.without.get(name, first.first)
    text = (
        f"feature {name!r} is missing: {count:,} of the {total:,} records of split {split} have "
        f"it and {total - count:,} do not, so a parser that expects it stops here; add it, or "
        "move these records to a split of their own"
    )
    return Problem("partial", first.path, text, number, offset, key)
