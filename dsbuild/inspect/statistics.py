"""Statistics over all records of a folder or file."""

import contextlib
import functools
import itertools
import math
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from dsbuild import storage
from dsbuild.engines import Engine, Job, Local, batch
from dsbuild.errors import StorageError
from dsbuild.format.folder import Folder, PathLike, split_of
from dsbuild.format.manifest import IGNORE, Manifest
from dsbuild.inspect import duplicates, frame, kept, leaks
from dsbuild.inspect.chunks import divide, of_chunk
from dsbuild.inspect.counts import Accumulated, Counts, Place, Print, total
from dsbuild.inspect.forms import (
    ClassCount,
    Duplicates,
    Group,
    SplitStatistics,
    StatisticsDocument,
)

ALL: Final = "all"  # the entry over all splits

_SECONDS = 0.005  # of work per record, roughly


def statistics(path: PathLike, engine: Engine | None = None) -> StatisticsDocument:
    """Return the statistics of a folder or file as a JSON document.

    The engine is this process by default. Raises ShardError if there is no TFRecord at all.
    """
    engine, folder = engine or Local(), Folder.of(path)
    listed = {shard.name for shard in folder.manifest.shards} if folder.manifest else set()
    missing = listed - set(map(os.path.basename, folder.files))
    fault = "the manifest lists this shard, but it is missing"
    size, records = storage.size(folder.files), batch(engine, _SECONDS)
    tasks = [chunk for file in folder.files for chunk in divide(file, records)]
    work = functools.partial(of_chunk, names=folder.names)
    counted = total(engine.map(Job(tasks, work, size, "counting", unit="bytes")))
    counted += Accumulated(faults={(name, -1): fault for name in missing})
    return document(counted, folder.path, folder.manifest)


def known(folder: Folder, engine: Engine, *, sealed: bool = False) -> StatisticsDocument:
    """Return the statistics that `kept.load` finds in a folder; otherwise count and keep them."""
    made = kept.load(folder, sealed=sealed)
    if made is None:
        made = statistics(folder, engine)
        with contextlib.suppress(StorageError):  # a folder to read only: they are counted again
            kept.keep(made)
    return made


def document(counted: Accumulated, path: str, manifest: Manifest | None) -> StatisticsDocument:
    """Return a sum over a folder's records as a JSON document.

    `of` is a digest of what the manifest lists; None unless the sum covers exactly that. Colours
    are from 0 to 255. `together` holds two label values and how many records have both; `sizes`
    holds width, height and how many images have them; `frame` is over all splits.
    """
    splits = sorted(counted.splits)
    if manifest is not None:
        splits = [*(name for name in manifest.splits if name in splits), *splits]
    splits = list(dict.fromkeys(splits))
    every = sum((counted.splits[name] for name in splits), Counts())
    read = {name: counted.splits[name].records for name in splits}
    listed = {name: split.records for name, split in manifest.splits.items()} if manifest else {}
    of = kept.digest(manifest) if manifest and read == listed and not counted.faults else None
    return {
        "path": path,
        "of": of,
        "splits": {name: _section(counted.splits[name], manifest) for name in splits},
        ALL: _section(every, manifest),
        "duplicates": _duplicates(counted.prints),
        "unreadable": [
            {"file": file, "record": None if number < 0 else number, "text": counted.faults[place]}
            for place in sorted(counted.faults)
            for file, number in [place]
        ],
        "frame": frame.document(every.frame),
    }


def _section(counts: Counts, manifest: Manifest | None) -> SplitStatistics:
    classes, ignore = (manifest.classes, manifest.ignore) if manifest else ((), None)
    pixels = counts.pixels
    values = sorted(value for value in {*range(len(classes)), *counts.holders} if value != ignore)
    rows = [(value, manifest.class_name(value) if manifest else None) for value in values]
    if ignore is not None:
        rows.append((ignore, IGNORE))
    return {
        "records": counts.records,
        "images": counts.images,
        "labels": counts.labels,
        "classes": [_class_count(counts, value, name) for value, name in rows],
        "ignored": pixels[ignore] / pixels.total() if pixels and ignore is not None else None,
        "together": [[*pair, count] for pair, count in sorted(counts.pairs.items())],
        "sizes": [[*size, count] for size, count in sorted(counts.sizes.items())],
        "mean": _mean(counts),
        "deviation": _deviation(counts),
    }


def _class_count(counts: Counts, value: int, name: str | None) -> ClassCount:
    images = counts.holders[value]
    if not counts.pixels:
        return {"value": value, "name": name, "images": images}
    return {"value": value, "name": name, "pixels": counts.pixels[value], "images": images}


def _mean(counts: Counts) -> list[float]:
    return [counts.sums[channel] / counts.area for channel in range(3)] if counts.area else []


def _deviation(counts: Counts) -> list[float]:
    """Return the channels' standard deviations over all pixels (the population's)."""
    area = counts.area
    if not area:
        return []
    # In integers up to here, since subtracting two large means would lose digits.
    spread = [area * counts.squares[channel] - counts.sums[channel] ** 2 for channel in range(3)]
    return [math.sqrt(value) / area for value in spread]


def _duplicates(prints: Mapping[Place, Print]) -> Duplicates:
    """Return which images have equal pixels, and which look nearly alike.

    `shared` holds two splits and how many images are in both, `parts` a split and another that
    contains it on purpose. A group in `exact` has several samples, one in `near` several images,
    and one in `leaked` an image that is in two splits which should share none.
    """
    groups = duplicates.near({image.dhash for image in prints.values()})
    same = duplicates.equal({place: image.sha256 for place, image in prints.items()})
    alike = duplicates.equal({place: groups[image.dhash] for place, image in prints.items()})
    held = _held(prints, same)
    shared: Counter[tuple[str, str]] = Counter()
    for splits, number in held.items():
        shared.update(dict.fromkeys(itertools.combinations(sorted(splits), 2), number))
    parts = leaks.parts(held)
    return {
        "shared": [[*pair, count] for pair, count in sorted(shared.items())],
        "parts": sorted(map(list, parts)),
        "leaked": [_group(one, prints) for one in same if leaks.crosses(_splits(one), parts)],
        "exact": [_group(group, prints) for group in same if _samples(group, prints) > 1],
        "near": [
            _group(group, prints)
            for group in alike
            if len({prints[place].sha256 for place in group}) > 1
        ],
    }


def _held(places: Iterable[Place], same: Iterable[list[Place]]) -> Counter[frozenset[str]]:
    """Return how many images are in exactly which splits; `same` has the places of equal ones."""
    single = Counter(split_of(file) for file, _ in places)
    single -= Counter(split_of(file) for group in same for file, _ in group)  # keeps no zeros
    held = Counter(_splits(group) for group in same)
    held.update({frozenset([split]): number for split, number in single.items()})
    return held


def _splits(group: Iterable[Place]) -> frozenset[str]:
    return frozenset(split_of(file) for file, _ in group)


def _samples(group: Iterable[Place], prints: Mapping[Place, Print]) -> int:
    """Return how many samples the places are of; equal keys in two splits mean the same sample."""
    samples = Counter((prints[place].key or place, split_of(place[0])) for place in group)
    return max(len({key for key, _ in samples}), *samples.values())


def _group(group: Iterable[Place], prints: Mapping[Place, Print]) -> Group:
    return {
        "splits": sorted(_splits(group)),
        "records": [
            {"file": file, "record": number, "key": prints[file, number].key}
            for file, number in group
        ],
    }
