"""Statistics over all records of a folder or file: computed, and kept beside the data."""

import functools
import hashlib
import itertools
import math
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from dsbuild import __version__, storage
from dsbuild.build import output
from dsbuild.engines import Engine, Job, Local, batch
from dsbuild.errors import DataError
from dsbuild.format import catalog, manifest, scan
from dsbuild.inspect import duplicates, tables
from dsbuild.inspect.chunks import divide, of_chunk
from dsbuild.inspect.counts import Accumulated, Counts, Place, Print, total

ALL = "all"  # the entry over all splits

_SECONDS = 0.005  # roughly what counting a record takes


def statistics(path: str, engine: Engine | None = None) -> dict[str, Any]:
    """Return the statistics of a folder or file as a JSON document.

    The engine is this process by default. Raises ShardError if there is no TFRecord at all.
    """
    engine = engine or Local()
    known = manifest.load(path)
    paths = scan.files(path)
    lost = {shard["name"] for shard in _shards(known)} - set(map(os.path.basename, paths))
    gone = "the manifest lists this shard, and it is missing"
    size, records = storage.size(paths), batch(engine, _SECONDS)
    tasks = [chunk for one in paths for chunk in divide(one, records)]
    work = functools.partial(of_chunk, names=catalog.names_of(path))
    found = total(engine.map(Job(tasks, work, size, "counting", unit="bytes")))
    return document(found + Accumulated(faults={(name, -1): gone for name in lost}), path, known)


def keep(made: Mapping[str, Any]) -> None:
    """Write statistics into the folder that they are of, where they are of all that it lists."""
    if made["of"] is not None:
        storage.refuse_links(output.state(made["path"]))
        storage.write(_place(made["path"]), manifest.dump(made).encode())


def load(path: str) -> dict[str, Any] | None:
    """Return the statistics that a folder keeps; None where they are of other shards."""
    known = manifest.load(path)
    if known is None or storage.stamp(_place(path)) is None:
        return None
    try:
        made = manifest.parse(storage.read(_place(path))[0], _place(path))
    except DataError:
        return None  # they are made again at will
    if not isinstance(made, dict) or made.get("of") != _digest(known):
        return None
    return {**made, "path": path}  # the folder may have been moved


def _place(path: str) -> str:
    return output.state(path, output.STATISTICS)


def _shards(known: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    splits = known["splits"].values() if known is not None else ()
    return [shard for split in splits for shard in split["shards"]]


def _digest(known: Mapping[str, Any]) -> str:
    """Return what statistics depend on: shards, names of classes, and what counts them."""
    shards = [[shard["name"], shard["sha256"]] for shard in _shards(known)]
    told = manifest.dump([__version__, known["classes"], known["ignore"], shards])
    return hashlib.sha256(told.encode()).hexdigest()


def document(found: Accumulated, path: str, known: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a sum over records as a JSON document; `known` is the folder's manifest.

    `of` is a digest of what the manifest lists, where the sum is of all that and no more.
    Colours are from 0 to 255. `together` holds two label values and how many records have
    both, `sizes` width, height and how many images have them.
    """
    splits = sorted(found.splits)
    if known is not None:
        splits = [*(name for name in known["splits"] if name in splits), *splits]
    splits = list(dict.fromkeys(splits))
    every = sum((found.splits[name] for name in splits), Counts())
    read = {name: found.splits[name].records for name in splits}
    listed = {name: split["records"] for name, split in (known or {}).get("splits", {}).items()}
    whole = known is not None and read == listed and not found.faults
    return {
        "path": path,
        "of": _digest(known) if whole else None,
        "splits": {name: _section(found.splits[name], known or {}) for name in splits},
        ALL: _section(every, known or {}),
        "duplicates": _duplicates(found.prints),
        "unreadable": [
            {"file": file, "record": None if number < 0 else number, "text": found.faults[place]}
            for place in sorted(found.faults)
            for file, number in [place]
        ],
    }


def _section(counts: Counts, known: Mapping[str, Any]) -> dict[str, Any]:
    names, ignore = known.get("classes", ()), known.get("ignore")
    pixels, holders = counts.pixels, counts.holders
    values = sorted({*range(len(names)), *holders} - {ignore})
    rows = [(value, names[value] if 0 <= value < len(names) else None) for value in values]
    if ignore is not None:
        rows.append((ignore, tables.IGNORE))
    return {
        "records": counts.records,
        "images": counts.images,
        "labels": counts.labels,
        "classes": [
            {
                "value": value,
                "name": name,
                **({"pixels": pixels[value]} if pixels else {}),
                "images": holders[value],
            }
            for value, name in rows
        ],
        "ignored": pixels[ignore] / pixels.total() if pixels and ignore is not None else None,
        "together": [[*pair, count] for pair, count in sorted(counts.pairs.items())],
        "sizes": [[*size, count] for size, count in sorted(counts.sizes.items())],
        "mean": _mean(counts),
        "deviation": _deviation(counts),
    }


def _mean(counts: Counts) -> list[float]:
    return [counts.sums[channel] / counts.area for channel in range(3)] if counts.area else []


def _deviation(counts: Counts) -> list[float]:
    """Return the channels' standard deviations over all pixels (the population's)."""
    area = counts.area
    if not area:
        return []
    # Whole numbers up to here: the difference of two large means would lose digits.
    spread = [area * counts.squares[channel] - counts.sums[channel] ** 2 for channel in range(3)]
    return [math.sqrt(value) / area for value in spread]


def _duplicates(prints: Mapping[Place, Print]) -> dict[str, Any]:
    """Return which images are equal in their pixels, and which look nearly alike.

    `shared` holds two splits and how many images stand in both, as where one split is part of
    another. A group of `exact` is of several samples, one of `near` of several images.
    """
    groups = duplicates.near({one.dhash for one in prints.values()})
    same = duplicates.equal({place: one.sha256 for place, one in prints.items()})
    alike = duplicates.equal({place: groups[one.dhash] for place, one in prints.items()})
    shared = Counter(
        pair for group in same for pair in itertools.combinations(sorted(_splits(group)), 2)
    )
    return {
        "shared": [[*pair, count] for pair, count in sorted(shared.items())],
        "exact": [_group(group, prints) for group in same if _samples(group, prints) > 1],
        "near": [
            _group(group, prints)
            for group in alike
            if len({prints[place].sha256 for place in group}) > 1
        ],
    }


def _splits(group: Iterable[Place]) -> set[str]:
    return {scan.split_of(file) for file, _ in group}


def _samples(group: Iterable[Place], prints: Mapping[Place, Print]) -> int:
    """Return of how many samples places are: in two splits, a key means the same one."""
    samples = Counter((prints[place].key or place, scan.split_of(place[0])) for place in group)
    return max(len({key for key, _ in samples}), *samples.values())


def _group(group: Iterable[Place], prints: Mapping[Place, Print]) -> dict[str, Any]:
    return {
        "splits": sorted(_splits(group)),
        "records": [
            {"file": file, "record": number, "key": prints[file, number].key}
            for file, number in group
        ],
    }
