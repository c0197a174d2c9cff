"""What a folder or a record holds, as a JSON document."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, cast

from dsbuild import storage
from dsbuild.engines import Engine, Local
from dsbuild.errors import ShardError
from dsbuild.format import example, features, tfrecord
from dsbuild.format.counts import Statistics
from dsbuild.format.folder import Folder, PathLike, remedy
from dsbuild.format.manifest import IGNORE, Manifest
from dsbuild.format.names import STATE
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

    A folder with a manifest is described from it and the first record of each split; anything
    else is read whole.
    """
    folder = Folder.of(path)
    if folder.manifest is not None:
        return _inspect_finished(folder.path, folder.manifest)
    scans = scan.scan_all(folder.files, folder.labels, engine or Local())
    splits: dict[str, SplitState] = {}
    for name in dict.fromkeys(file.split for file in scans):
        files = [file for file in scans if file.split == name]
        total = sum((file.statistics for file in files), Statistics())
        splits[name] = {
            "records": sum(file.records for file in files),
            "bytes": sum(file.bytes for file in files),
            "labels": total.labels,
            "classes": [_class_count(value, total) for value in sorted(total.images)],
            "shards": [
                {
                    "name": file.name,
                    "records": file.records,
                    "bytes": file.bytes,
                    "problem": file.problem,
                }
                for file in files
            ],
        }
    unfinished = storage.is_folder(storage.join(folder.path, STATE))
    return {
        "path": folder.path,
        "title": None,
        "complete": False if unfinished else None,
        "splits": splits,
        "features": _features(scans),
    }


def _class_count(value: int, total: Statistics) -> ClassCount:
    images = total.images.get(value, 0)
    if not total.pixels:
        return {"value": value, "name": None, "images": images}
    return {"value": value, "name": None, "pixels": total.pixels.get(value, 0), "images": images}


def _inspect_finished(path: str, manifest: Manifest) -> Inspection:
    splits: dict[str, SplitState] = {}
    scans: list[scan.FileScan] = []
    for name, entry in manifest.document["splits"].items():
        classes = [{"value": i, **row} for i, row in enumerate(entry.get("classes", ()))]
        if entry.get("ignore"):
            # A file of names may name the ignore value too; it is listed once.
            classes = [row for row in classes if row["value"] != manifest.ignore]
            classes.append({"value": manifest.ignore, "name": IGNORE, **entry["ignore"]})
        shards = [{**shard, "problem": _changed(path, shard)} for shard in entry["shards"]]
        good = [shard["name"] for shard in shards if shard["records"] and not shard["problem"]]
        scans += [scan.scan(storage.join(path, name), limit=1) for name in good[:1]]
        # A manifest is checked for its form when it is read.
        splits[name] = cast(SplitState, {**entry, "classes": classes, "shards": shards})
    made: Inspection = {
        "path": path,
        "title": manifest.title,
        "complete": True,
        "recipe": manifest.recipe,
        "splits": splits,
        "features": _features(scans),
    }
    if manifest.divisor is not None:
        made["divisor"] = manifest.divisor
    return made


def _changed(path: str, shard: Mapping[str, Any]) -> str | None:
    """Return how a shard differs in size from its manifest entry, or None if it does not."""
    full = storage.join(path, shard["name"])
    stamp = storage.stamp(full)
    if stamp is None:
        return f"{full}: the manifest lists this shard, but it is missing; {remedy(full)}"
    if stamp.size != shard["bytes"]:
        return (
            f"{full}: found {stamp.size:,} bytes, but the manifest lists {shard['bytes']:,}; "
            "build it again"
        )
    return None


def _features(scans: Sequence[scan.FileScan]) -> list[FeatureRange]:
    total: dict[str, scan.FeatureScan] = {}
    for file in scans:
        for name, feature in file.features.items():
            total[name] = total[name] + feature if name in total else feature
    records = sum(file.records for file in scans)
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

    `number` counts over all files of `path`; a string is the record's key.
    """
    folder = Folder.of(path)
    if isinstance(number, str):
        file, stored = _find_key(folder, number)
    else:
        file, stored = _find(folder, number)
    with tfrecord.located(file, stored):
        values = example.parse(stored.data)
    return {
        "file": file,
        "record": stored.number,
        "byte": stored.offset,
        "bytes": len(stored.data),
        "features": {
            key: {"kind": features.kind(value), "value": scan.describe(value)}
            for key, value in sorted(values.items())
        },
        "classes": _record_classes(features.count(features.label(values, folder.labels)), folder),
    }


def _find(folder: Folder, number: int) -> tuple[str, tfrecord.Record]:
    """Return a record by its number, and its file; skip files by their counts in the manifest."""
    shards = folder.manifest.shards if folder.manifest else ()
    counts = {shard.name: shard.records for shard in shards}
    left = number
    for name in folder.files:
        count = counts.get(os.path.basename(name))
        if count is None or left < count:
            count = 0
            for stored in tfrecord.read(name):
                if stored.number == left:
                    return name, stored
                count += 1
        left -= count
    raise ShardError(
        f"{folder.path}: found {number - left:,} records, but none with number {number:,}"
    )


def _find_key(folder: Folder, key: str) -> tuple[str, tfrecord.Record]:
    """Return the first record with a key, and its file."""
    count = 0
    for name in folder.files:
        for stored in tfrecord.read(name):
            with tfrecord.located(name, stored):
                values = example.parse(stored.data)
            if features.key(values, folder.names) == key:
                return name, stored
            count += 1
    raise ShardError(f"{folder.path}: found {count:,} records, but none with key {key!r}")


def _record_classes(counted: Statistics, folder: Folder) -> list[RecordClass]:
    rows: list[RecordClass] = []
    for value in counted.images:
        row: RecordClass = {"value": value, "name": folder.class_name(value)}
        if counted.pixels:
            row["pixels"] = counted.pixels[value]
        rows.append(row)
    return rows


def problems(document: Inspection) -> list[str]:
    """Return the problems in an inspection's document."""
    return [
        shard["problem"]
        for split in document["splits"].values()
        for shard in split["shards"]
        if shard["problem"]
    ]
