"""Features that only some records of a split have, in folders whose manifest tells of none.

A parser that is told of a feature stops at the first record without it.
"""

from collections.abc import Iterator, Mapping, Sequence

from dsbuild.format.example import Parsed
from dsbuild.format.folder import split_of
from dsbuild.format.schema import Schema
from dsbuild.format.tfrecord import Record
from dsbuild.validate.problem import Problem
from dsbuild.validate.rules import Checked

_MOST = 1000  # names of features of a file that are followed
_LABELS = ("label", "label.format", "class", "class.text")  # roles


def note(values: Mapping[str, Parsed], record: Record, key: str, checked: Checked) -> None:
    """Count a record's features, and note the record as the first without those that it misses."""
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
    """Yield the features that most records of a split have and some do not, each with the first.

    A label, or its format, is one in any number; what the schema requires is a problem of each
    record already.
    """
    splits: dict[str, list[Checked]] = {}
    for one in checked:
        if one.examples:
            splits.setdefault(split_of(one.path), []).append(one)
    required = {feature.name for feature in schema.features if feature.required}
    labels = {feature.name for feature in schema.features if feature.role in _LABELS}
    for split, files in splits.items():
        total = sum(one.examples for one in files)
        for name in dict.fromkeys(name for one in files for name in one.features):
            count = sum(one.features.get(name, 0) for one in files)
            if count < total and name not in required and (name in labels or 2 * count > total):
                yield _problem(name, count, total, split, files)


def _problem(name: str, count: int, total: int, split: str, files: Sequence[Checked]) -> Problem:
    one = next(one for one in files if one.features.get(name, 0) < one.examples)
    number, offset, key = one.without.get(name, one.first)
    text = (
        f"found no feature {name!r}, which {count:,} of the {total:,} records of split {split} "
        f"have and {total - count:,} do not: a parser that expects it stops here; add it, or put "
        "these records into a split of their own"
    )
    return Problem("partial", one.path, text, number, offset, key)
