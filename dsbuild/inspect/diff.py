"""Compare two builds: recipes, samples, shards, classes, image sizes."""

import dataclasses
import functools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsbuild.engines import Advance, Engine, Job, Local
from dsbuild.format import example, features, tfrecord
from dsbuild.format.counts import Statistics
from dsbuild.format.folder import Folder, PathLike, split_of
from dsbuild.format.names import unpacked
from dsbuild.inspect.forms import Change, ClassShare, Difference, Extent, RecipeChange


class Item(NamedTuple):
    """One stored sample: its file, digests of its image, label and whole record, and its place."""

    file: str
    image: bytes
    label: bytes
    record: bytes
    number: int
    offset: int


@dataclass(frozen=True)
class Side:
    """One of the two builds that are compared.

    Attributes:
      folder: the folder or file.
      recipe: the document of its recipe; empty if it has none.
      samples: split -> key -> item.
      counted: split -> what was counted over its records.
    """

    folder: Folder
    recipe: Mapping[str, Any]
    samples: Mapping[str, Mapping[str, Item]]
    counted: Mapping[str, Statistics]


def read(path: PathLike, engine: Engine | None = None) -> Side:
    """Read a build; raise ShardError if one of its files is damaged."""
    folder = Folder.of(path)
    recipe = folder.manifest.recipe if folder.manifest else {}
    paths, schema = folder.files, folder.schema
    names = {role: schema[role].name for role in schema.roles}
    roles: dict[str, str] = {role: names[role] for role in ("key", "image") if role in names}
    sizes = [names[role] for role in ("height", "width") if role in names]
    work = functools.partial(_read, roles=roles, sizes=sizes, labels=folder.labels)
    results = (engine or Local()).map(Job(paths, work, len(paths), "comparing", unit="files"))
    samples: dict[str, dict[str, Item]] = {}
    counted: dict[str, Statistics] = {}
    for name, (items, statistics) in zip(paths, results, strict=True):
        split = split_of(name)
        samples.setdefault(split, {}).update(items)
        counted[split] = counted.get(split, Statistics()) + statistics
    return Side(folder, recipe, samples, counted)


def _read(
    path: str,
    advance: Advance,
    *,
    roles: Mapping[str, str],
    sizes: Sequence[str],
    labels: Sequence[str],
) -> tuple[dict[str, Item], Statistics]:
    items = {}
    total = Statistics()
    for record in tfrecord.read(path):
        with tfrecord.located(path, record):
            values = example.parse(record.data)
        key = example.first(values.get(roles.get("key", ""))).decode(errors="surrogateescape")
        label = features.label(values, labels)
        items[key or f"record {record.number}"] = Item(
            os.path.basename(path),
            example.digest(example.first(values.get(roles.get("image", "")))),
            _digest(label, values, labels),
            example.digest(record.data),
            record.number,
            record.offset,
        )
        statistics = features.count(label)
        ends = [features.number(values.get(name)) for name in sizes]
        if len(ends) == 2 and None not in ends:
            height, width = (end for end in ends if end is not None)
            statistics = dataclasses.replace(
                statistics, heights=(height, height), widths=(width, width)
            )
        total += statistics
    advance(1, 0)
    return items, total


def _digest(
    label: int | NDArray[np.uint8] | None,
    values: Mapping[str, example.Parsed],
    labels: Sequence[str],
) -> bytes:
    """Return a digest of a record's label: of what it says, not of how that is encoded."""
    if isinstance(label, np.ndarray):
        raw = (name for name in labels if features.is_panoptic(values, name))
        instances = next((example.first(values.get(name)) for name in raw), b"")
        return example.digest(repr(label.shape).encode() + label.tobytes() + instances)
    stored = [values.get(name) for name in labels] if label is None else label
    return example.digest(repr(stored).encode())


def diff(before: Side, after: Side) -> Difference:
    """Return how two builds differ, as a JSON document; `same` is whether they are equal."""
    splits = {
        split: _of_split(before.samples.get(split, {}), after.samples.get(split, {}))
        for split in sorted({*before.samples, *after.samples})
    }
    recipe: list[RecipeChange] = [
        {"what": key, "was": before.recipe.get(key), "is": after.recipe.get(key)}
        for key in sorted({*before.recipe, *after.recipe})
        if before.recipe.get(key) != after.recipe.get(key)
    ]
    return {
        "a": before.folder.path,
        "b": after.folder.path,
        "same": not recipe and not any(any(change.values()) for change in splits.values()),
        "recipe": recipe,
        "splits": splits,
        "extent": {split: [_extent(side, split) for side in (before, after)] for split in splits},
        "classes": [row for split in splits for row in _classes(before, after, split)],
    }


def _of_split(before: Mapping[str, Item], after: Mapping[str, Item]) -> Change:
    both = [key for key in before if key in after]
    return {
        "removed": [key for key in before if key not in after],
        "added": [key for key in after if key not in before],
        "image": [key for key in both if before[key].image != after[key].image],
        "label": [key for key in both if before[key].label != after[key].label],
        "features": [
            key
            for key in both
            if before[key].record != after[key].record and before[key][1:3] == after[key][1:3]
        ],
        "moved": [key for key in both if unpacked(before[key].file) != unpacked(after[key].file)],
    }


def _extent(side: Side, split: str) -> Extent:
    counted = side.counted.get(split, Statistics())
    return {
        "records": len(side.samples.get(split, ())),
        "heights": list(counted.heights),
        "widths": list(counted.widths),
    }


def _classes(before: Side, after: Side, split: str) -> list[ClassShare]:
    """Return the share of each class in both builds: of pixels, or of images if there are none."""
    shares = []
    for side in (before, after):
        counted = side.counted.get(split, Statistics())
        counts = counted.pixels or counted.images
        whole = sum(counts.values())
        shares.append({value: count / whole for value, count in counts.items()})
    return [
        {
            "split": split,
            "value": value,
            "name": _name(value, after, before),
            "was": shares[0].get(value, 0.0),
            "is": shares[1].get(value, 0.0),
        }
        for value in sorted({*shares[0], *shares[1]})
    ]


def _name(value: int, *sides: Side) -> str | None:
    names = (side.folder.class_name(value) for side in sides)
    return next((name for name in names if name is not None), None)


def drift(document: Difference) -> ClassShare | None:
    """Return the class whose share moves most, from `diff`'s document; None without classes."""
    rows = document["classes"]
    return max(rows, key=lambda row: abs(row["is"] - row["was"]), default=None)
