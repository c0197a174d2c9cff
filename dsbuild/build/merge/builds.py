"""The builds that are merged: opened, checked, and looked through once before anything is written.

A build is a finished output folder, or a folder of TFRecords that others wrote.
"""

import collections
import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dsbuild import storage
from dsbuild.build import listing
from dsbuild.build.merge.spaces import count
from dsbuild.engines import Advance, Engine, Job
from dsbuild.errors import NoFileError, PlanError, ShardError
from dsbuild.format import example, features, label_values, names, tfrecord
from dsbuild.format.folder import Folder, remedy, split_of

_NAMED = re.compile(r"([\w.-]+)=(.+)", re.DOTALL)


class Source(NamedTuple):
    """A file of TFRecords of a build.

    Attributes:
      path: of the file.
      split: that its records are in.
      records: how many the manifest says it has; None without a manifest.
      values: sha256 of its list of label values; None if there is none.
      roles: role -> names of the features that may play it.
      labels: the features that may hold a label.
    """

    path: str
    split: str
    records: int | None
    values: str | None
    roles: Mapping[str, tuple[str, ...]]
    labels: tuple[str, ...]

    @property
    def name(self) -> str:
        """The name of the file."""
        return os.path.basename(self.path)


class Seen(NamedTuple):
    """What a file of a build holds.

    Attributes:
      keys: of its records, in order.
      values: label value -> how many records have it.
      features: the names of all features.
      kinds: `pixels` or `class`, of its labels.
      stamp: size and time of the file when it was looked through.
    """

    keys: tuple[str, ...]
    values: Mapping[int, int]
    features: frozenset[str]
    kinds: frozenset[str]
    stamp: storage.Stamp


@dataclass(frozen=True)
class Build:
    """A build to merge: what it is called, its folder, its files in order."""

    name: str
    folder: Folder
    sources: tuple[Source, ...]

    @property
    def title(self) -> str:
        """What people call its data set."""
        known = self.folder.manifest
        return known.title if known else self.name


def opened(given: Sequence[str]) -> tuple[Build, ...]:
    """Return the builds at `PATH` or `NAME=PATH`; raise a DsbuildError if one cannot be merged."""
    named = [_named(text) for text in given]
    for name, path in named:
        twin = next((other for mine, other in named if mine == name and other != path), None)
        if twin:
            raise PlanError(
                f"{path} and {twin} are both called {name}; name them, as in a={path} b={twin}"
            )
    if len(set(named)) < 2 or len(set(named)) < len(named):
        raise PlanError("expected two builds or more, each once, and then OUT")
    return tuple(_build(name, path) for name, path in named)


def _named(text: str) -> tuple[str, str]:
    """Return the name and path of a build; a path that exists is never taken for `NAME=PATH`."""
    match = _NAMED.fullmatch(text)
    if match and not storage.is_folder(text):
        return match[1], match[2]
    path = storage.normal(text)
    return storage.name(path), text


def _build(name: str, path: str) -> Build:
    if not storage.is_folder(path):
        raise PlanError(storage.missing(path, "folder of TFRecords"))
    folder = Folder(path)
    if folder.unfinished:
        raise PlanError(f"{path}: {folder.unfinished}, then merge it")
    if folder.schema.is_panoptic:
        raise PlanError(
            f"{path}: found panoptic labels, whose instances a merge does not carry over; merge a "
            "build without --target panoptic"
        )
    known, roles, labels = folder.manifest, folder.names, folder.labels
    shards = {shard.name: shard for shard in known.shards} if known else {}
    files = {os.path.basename(file): file for file in folder.files}
    wanted, have = set(shards), set(files)
    if not shards:  # numbers in names say what is missing, whether files are compressed or not
        have = set(map(names.unpacked, files))
        wanted = {names.unpacked(one) for name in files for one in (name, *names.siblings(name))}
    missing, extra = sorted(wanted - have), sorted(have - wanted)
    if missing:
        gone = storage.join(path, missing[0])
        what = remedy(gone, "restore it with dsbuild repair, or fetch it again")
        raise PlanError(f"{gone}: this shard is missing, so the build is not whole; {what}")
    if extra:
        raise PlanError(
            f"{storage.join(path, extra[0])}: the manifest does not list this file; move it away"
        )
    sources = []
    for file, place in sorted(files.items()):
        shard, split = shards.get(file), split_of(file)
        if split == "-":
            raise PlanError(
                f"{place}: its name says no split; rename it, such as train-{file}, or "
                f"{names.shard_name('train', 0, 1)}"
            )
        stamp = storage.stamp(place)
        if shard and (stamp is None or stamp.size != shard.bytes):
            raise PlanError(
                f"{place}: its size is not the {shard.bytes:,} bytes in the manifest; restore it "
                "with dsbuild repair"
            )
        records, values = (shard.records, shard.values) if shard else (None, None)
        sources.append(Source(place, split, records, values, roles, labels))
    return Build(name, folder, tuple(sources))


def look(builds: Sequence[Build], engine: Engine) -> dict[str, Seen]:
    """Return path -> what it holds, for all files of all builds, each read once.

    Raises ShardError for a damaged file, and PlanError for a key that occurs twice in a split.
    """
    sources = [source for build in builds for source in build.sources]
    size = storage.size([source.path for source in sources])
    lanes = 3 if any(storage.is_remote(source.path) for source in sources) else 1
    job = Job(sources, _look, size, "looking", unit="bytes", lanes=lanes)
    return dict(zip((source.path for source in sources), engine.map(job), strict=True))


def _look(source: Source, advance: Advance) -> Seen:
    stamp = storage.stamp(source.path)
    if stamp is None:
        raise ShardError(storage.missing(source.path))
    keys, found, kinds = [], set[str](), set[str]()
    values: collections.Counter[int] = collections.Counter()
    listed = _listed(source)
    for record in tfrecord.read(source.path):
        with tfrecord.located(source.path, record):
            parsed = example.parse(record.data)
            keys.append(key(parsed, source, record.number))
            found |= parsed.keys()
            if any(features.is_panoptic(parsed, name) for name in source.labels):
                raise ShardError(
                    "found a panoptic label; expected classes: build it without --target panoptic"
                )
            kinds |= kind(parsed, source)
            if listed is None:
                values.update(features.label_values(parsed, source.labels))
        advance(len(record.data) + tfrecord.FRAMING, 0)
    if source.records not in (None, len(keys)):
        raise ShardError(
            f"{source.path}: found {len(keys):,} records, but its manifest lists "
            f"{source.records:,}; restore it with dsbuild repair"
        )
    return Seen(tuple(keys), dict(listed or values), frozenset(found), frozenset(kinds), stamp)


def kind(values: features.Values, source: Source) -> set[str]:
    """Return `pixels` or `class` for the labels that a record has; nothing if it has none."""
    found = {
        "pixels": features.value(values, source.roles, "label"),
        "class": features.value(values, source.roles, "class"),
    }
    return {name for name, value in found.items() if value is not None}


def key(values: features.Values, source: Source, number: int) -> str:
    """Return the key of a record; without one, the file's name and the record's number."""
    stem = os.path.splitext(source.name)[0]
    found = features.key(values, source.roles) or f"{stem}-{number:06d}"
    if reason := listing.refusal(found):
        raise ShardError(f"key {found!a}: {reason}")
    return found


def _listed(source: Source) -> collections.Counter[int] | None:
    """Return the values by the list beside a shard; None if there is none that fits."""
    if source.values is None:
        return None
    folder = os.path.dirname(source.path)
    try:
        data = storage.read(names.values_path(folder, source.name))[0]
        if hashlib.sha256(data).hexdigest() != source.values:
            return None
        found = label_values.parse(data)
    except (NoFileError, ShardError):
        return None
    return collections.Counter(map(int, found.values))


def prefixes(
    builds: Sequence[Build], seen: Mapping[str, Seen]
) -> tuple[tuple[str, ...], list[str]]:
    """Return what the keys of each build begin with, and notes on it.

    Keys stay as they are unless two builds share some; then the keys of both get the name of
    their build. Raises PlanError if keys are not unique even then.
    """
    marked: set[str] = set()
    notes = []
    owned = [_keys(build, seen) for build in builds]
    for at, build in enumerate(builds):
        for other in range(at):
            shared = owned[at].keys() & owned[other].keys()
            if shared:
                marked |= {build.name, builds[other].name}
                both = f"{builds[other].name} and {build.name}"
                first = owned[at][min(shared)]
                notes.append(
                    f"{both} share {count(len(shared), 'key')}, such as {first}; in the merge the "
                    f"keys begin with {builds[other].name}/ and {build.name}/"
                )
    found = tuple(f"{build.name}/" if build.name in marked else "" for build in builds)
    taken: dict[str, str] = {}
    for build, prefix in zip(builds, found, strict=True):
        for folded, name in _keys(build, seen).items() if marked else ():
            twin = taken.setdefault(f"{prefix}{folded}".casefold(), build.name)
            if twin != build.name:
                raise PlanError(
                    f"{build.name} and {twin} would share the key {prefix}{name} even with their "
                    f"names before it; give {build.name} another name: NAME={build.folder.path}"
                )
    return found, notes


def _keys(build: Build, seen: Mapping[str, Seen]) -> dict[str, str]:
    """Return folded key -> key of a build; raise PlanError if a split has a key twice."""
    found: set[tuple[str, str]] = set()
    for source in build.sources:
        for name in seen[source.path].keys:
            if (source.split, name) in found:
                raise PlanError(
                    f"{source.path}: key {name} occurs twice in split {source.split} of "
                    f"{build.name}, expected unique keys; build it again"
                )
            found.add((source.split, name))
    return {name.casefold(): name for _, name in found}
