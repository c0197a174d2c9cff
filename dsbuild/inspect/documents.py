"""What a folder or a record holds, as a JSON document."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, cast

from dsbuild import storage
from dsbuild.engines import Engine, Local
from dsbuild.errors import ShardError
from dsbuild.format import example, features, manifest, tfrecord
from dsbuild.format.counts import Statistics
from dsbuild.format.folder import Folder, PathLike
from dsbuild.format.manifest import Manifest
from dsbuild.inspect import scan
from dsbuild.inspect.forms import (
    ClassCount,
    FeatureRange,
    Inspection,
    RecordClass,
    RecordDocument,
    SplitState,
)


def inspect(path: PathLike, engine: Engine | None = None) -> Inspection:
    """Return what a folder or a TFRecord file holds, as one JSON document.

    A folder with a manifest is described by it and by the first record of each split;
    all others are read whole.
    """
    folder = Folder.of(path)
    if folder.manifest is not None:
        return _inspect_known(folder.path, folder.manifest)
    found = scan.scan_all(folder.files, folder.labels, engine or Local())
    splits: dict[str, SplitState] = {}
    for name in dict.fromkeys(file.split for file in found):
        mine = [file for file in found if file.split == name]
        total = sum((file.statistics for file in mine), Statistics())
        splits[name] = {
            "records": sum(file.records for file in mine),
            "bytes": sum(file.bytes for file in mine),
            "labels": total.labels,
            "classes": [_class_count(value, total) for value in sorted(total.images)],
            "shards": [
                {
                    "name": f.name,
                    "records": f.records,
                    "bytes": f.bytes,
                    "problem": f.problem,
                }
                for f in mine
            ],
        }
    unfinished = storage.is_folder(storage.join(folder.path, manifest.STATE))
    return {
        "path": folder.path,
        "title": None,
        "complete": False if unfinished else None,
        "splits": splits,
        "features": _features(found),
    }


def _class_count(value: int, total: Statistics) -> ClassCount:
    images = total.images.get(value, 0)
    if not total.pixels:
        return {"value": value, "name": None, "images": images}
    return {"value": value, "name": None, "pixels": total.pixels.get(value, 0), "images": images}


def _inspect_known(path: str, known: Manifest) -> Inspection:
    splits: dict[str, SplitState] = {}
    found: list[scan.FileScan] = []
    for name, entry in known.document["splits"].items():
        classes = [{"value": i, **row} for i, row in enumerate(entry.get("classes", ()))]
        if entry.get("ignore"):
            classes.append({"value": known.ignore, "name": manifest.IGNORE, **entry["ignore"]})
        shards = [{**shard, "problem": _changed(path, shard)} for shard in entry["shards"]]
        whole = [s["name"] for s in shards if s["records"] and not s["problem"]]
        found += [scan.scan(storage.join(path, shard), limit=1) for shard in whole[:1]]
        # A manifest is checked for its form when it is read.
        splits[name] = cast(SplitState, {**entry, "classes": classes, "shards": shards})
    return {
        "path": path,
        "title": known.title,
        "complete": True,
        "recipe": known.recipe,
        "splits": splits,
        "features": _features(found),
    }


def _changed(path: str, shard: Mapping[str, Any]) -> str | None:
    """Return how a shard differs in size from what the manifest says, or None."""
    full = storage.join(path, shard["name"])
    stamp = storage.stamp(full)
    if stamp is None:
        return f"{full}: the manifest lists this shard, and it is missing; build again"
    if stamp.size != shard["bytes"]:
        return (
            f"{full}: found {stamp.size:,} bytes, expected {shard['bytes']:,} by the manifest; "
            "build again"
        )
    return None


def _features(found: Sequence[scan.FileScan]) -> list[FeatureRange]:
    total: dict[str, scan.FeatureScan] = {}
    for file in found:
        for name, feature in file.features.items():
            total[name] = total[name] + feature if name in total else feature
    records = sum(file.records for file in found)
    return [
        {
            "name": name,
            "kind": feature.kind,
            "values": list(feature.values),
            "bytes": list(feature.bytes),
            "always": feature.records == records,
        }
        for name, feature in sorted(total.items())
    ]


def record(path: PathLike, number: int | str) -> RecordDocument:
    """Return one record in full, as a JSON document.

    `number` counts over all files of path; a text is the record's key.
    """
    folder = Folder.of(path)
    if isinstance(number, str):
        name, found = _find_key(folder, number)
    else:
        name, found = _find(folder, number)
    with tfrecord.located(name, found):
        values = example.parse(found.data)
    return {
        "file": name,
        "record": found.number,
        "byte": found.offset,
        "bytes": len(found.data),
        "features": {
            key: {"kind": features.kind(value), "value": scan.describe(value)}
            for key, value in sorted(values.items())
        },
        "classes": _record_classes(features.count(features.label(values, folder.labels)), folder),
    }


def _find(folder: Folder, number: int) -> tuple[str, tfrecord.Record]:
    """Return the file and the record of a number; files that the manifest counts are skipped."""
    shards = folder.manifest.shards if folder.manifest else ()
    counts = {shard.name: shard.records for shard in shards}
    left = number
    for name in folder.files:
        count = counts.get(os.path.basename(name))
        if count is None or left < count:
            count = 0
            for found in tfrecord.read(name):
                if found.number == left:
                    return name, found
                count += 1
        left -= count
    raise ShardError(
        f"{folder.path}: found {number - left:,} records, so none of number {number:,}"
    )


def _find_key(folder: Folder, key: str) -> tuple[str, tfrecord.Record]:
    """Return the file and the record of a key, the first where several have it."""
    count = 0
    for name in folder.files:
        for found in tfrecord.read(name):
            with tfrecord.located(name, found):
                values = example.parse(found.data)
            if features.key(values, folder.names) == key:
                return name, found
            count += 1
    raise ShardError(f"{folder.path}: found {count:,} records, and none of key {key!r}")


def _record_classes(found: Statistics, folder: Folder) -> list[RecordClass]:
    rows: list[RecordClass] = []
    for value in found.images:
        row: RecordClass = {"value": value, "name": folder.class_name(value)}
        if found.pixels:
            row["pixels"] = found.pixels[value]
        rows.append(row)
    return rows


def problems(document: Inspection) -> list[str]:
    """Return the problems that an inspection met."""
    return [
        shard["problem"]
        for split in document["splits"].values()
        for shard in split["shards"]
        if shard["problem"]
    ]
