"""What a folder holds, what a plan is and what a build came to, as JSON documents."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from dsbuild import storage
from dsbuild.build.audit import Audit
from dsbuild.build.run import Summary
from dsbuild.engines import Engine, Local
from dsbuild.errors import ShardError
from dsbuild.format import catalog, example, manifest, receipts, scan, tfrecord
from dsbuild.format.manifest import Statistics
from dsbuild.inspect import tables


def inspect(path: str, engine: Engine | None = None) -> dict[str, Any]:
    """Return what a folder or a TFRecord file holds, as one JSON document.

    A folder with a manifest is described by it and by the first record of each split;
    all others are read whole.
    """
    known = manifest.load(path)
    if known is not None:
        return _inspect_known(path, known)
    found = scan.scan_all(scan.files(path), scan.labels_of(path), engine or Local())
    splits = {}
    for name in dict.fromkeys(file.split for file in found):
        mine = [file for file in found if file.split == name]
        total = sum((file.statistics for file in mine), Statistics())
        splits[name] = {
            "records": sum(file.records for file in mine),
            "bytes": sum(file.bytes for file in mine),
            "labels": total.labels,
            "classes": [
                {"value": value, "name": None, **receipts.value_counts(total, value)}
                for value in sorted(total.images)
            ],
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
    unfinished = storage.is_folder(storage.join(path, manifest.STATE))
    return {
        "path": path,
        "title": None,
        "complete": False if unfinished else None,
        "splits": splits,
        "features": _features(found),
    }


def _inspect_known(path: str, known: Mapping[str, Any]) -> dict[str, Any]:
    splits, found = {}, []
    for name, entry in known["splits"].items():
        classes = [{"value": i, **row} for i, row in enumerate(entry.get("classes", ()))]
        if entry.get("ignore"):
            classes.append({"value": known["ignore"], "name": tables.IGNORE, **entry["ignore"]})
        shards = [{**shard, "problem": _changed(path, shard)} for shard in entry["shards"]]
        whole = [s["name"] for s in shards if s["records"] and not s["problem"]]
        found += [scan.scan(storage.join(path, shard), limit=1) for shard in whole[:1]]
        splits[name] = {**entry, "classes": classes, "shards": shards}
    return {
        "path": path,
        "title": known["title"],
        "complete": True,
        "recipe": known["recipe"],
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


def _features(found: Sequence[scan.FileScan]) -> list[dict[str, Any]]:
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


def record(path: str, number: int | str) -> dict[str, Any]:
    """Return one record in full, as a JSON document.

    `number` counts over all files of path; a text is the record's key.
    """
    folder = scan.home(path)
    known = manifest.load(path) or {}
    if isinstance(number, str):
        name, found = _find_key(path, number)
    else:
        name, found = _find(path, known, number)
    with tfrecord.located(name, found):
        values = example.parse(found.data)
    return {
        "file": name,
        "record": found.number,
        "byte": found.offset,
        "bytes": len(found.data),
        "features": {
            key: {"kind": scan.kind(value), "value": scan.describe(value)}
            for key, value in sorted(values.items())
        },
        "classes": _record_classes(scan.count(scan.label(values, scan.labels_of(folder))), known),
    }


def _find(path: str, known: Mapping[str, Any], number: int) -> tuple[str, tfrecord.Record]:
    """Return the file and the record of a number; files that the manifest counts are skipped."""
    counts = {
        shard["name"]: shard["records"]
        for split in known.get("splits", {}).values()
        for shard in split["shards"]
    }
    left = number
    for name in scan.files(path):
        count = counts.get(os.path.basename(name))
        if count is None or left < count:
            count = 0
            for found in tfrecord.read(name):
                if found.number == left:
                    return name, found
                count += 1
        left -= count
    raise ShardError(f"{path}: found {number - left:,} records, so none of number {number:,}")


def _find_key(path: str, key: str) -> tuple[str, tfrecord.Record]:
    """Return the file and the record of a key, the first where several have it."""
    names, count = catalog.names_of(path), 0
    for name in scan.files(path):
        for found in tfrecord.read(name):
            with tfrecord.located(name, found):
                values = example.parse(found.data)
            if catalog.key(values, names) == key:
                return name, found
            count += 1
    raise ShardError(f"{path}: found {count:,} records, and none of key {key!r}")


def _record_classes(found: Statistics, known: Mapping[str, Any]) -> list[dict[str, Any]]:
    names = {**dict(enumerate(known.get("classes", ()))), known.get("ignore"): tables.IGNORE}
    return [
        {
            "value": value,
            "name": names.get(value),
            **({"pixels": found.pixels[value]} if found.pixels else {}),
        }
        for value in found.images
    ]


def problems(document: Mapping[str, Any]) -> list[str]:
    """Return the problems that an inspection met."""
    return [
        shard["problem"]
        for split in document["splits"].values()
        for shard in split["shards"]
        if shard.get("problem")
    ]


def plan_document(audit: Audit, root: str) -> dict[str, Any]:
    """Return what is going to be built and what was found, as a JSON document."""
    return {
        "root": root,
        "splits": {
            planned.split: {
                "samples": len(planned.samples),
                "listed": planned.listed,
                "published": planned.published,
                "labels": planned.labels,
                "bytes": planned.bytes,
                "shards": [
                    {"name": shard.name, "records": shard.records, "plan": shard.digest}
                    for shard in planned.shards
                ],
            }
            for planned in audit.splits
        },
        "findings": findings(audit),
    }


def findings(audit: Audit) -> list[dict[str, Any]]:
    """Return what was found, as a JSON document."""
    return [vars(finding) for finding in audit.findings]


def remedies(audit: Audit) -> list[str]:
    """Return for each kind of mistake that does not stop a build what to do about the first."""
    first = {}
    for finding in audit.findings:
        if finding.key and not finding.fatal:
            first.setdefault(finding.kind, f"split {finding.split}: {finding.text}")
    return list(first.values())


def summary_document(summary: Summary, audit: Audit, out: str, seconds: float) -> dict[str, Any]:
    """Return what a build came to, as a JSON document."""
    return {
        "out": out,
        "findings": findings(audit),
        "written": summary.written,
        "kept": summary.kept,
        "rejects": [vars(reject) for reject in summary.rejects],
        "seconds": round(seconds, 3),
        "manifest": summary.manifest,
    }
