"""Convert finished TFRecords to the formats of other loaders, from the records alone.

    OUT/<shard>.tar|parquet|array_record      one file per shard, under the shard's name
    OUT/.dsbuild/exported/<name>.json         what it was made from

Works for folders of other tools, too. A file that was made from the same bytes is kept. Files are
the same whether all splits are exported at once or one after another.
"""

import collections
import functools
import hashlib
import importlib.util
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from dsbuild import storage
from dsbuild.engines import Advance, Engine, Job, Local
from dsbuild.errors import PlanError, missing
from dsbuild.format import manifest, tfrecord
from dsbuild.format.folder import Folder
from dsbuild.format.manifest import Manifest
from dsbuild.format.names import ANNOTATED, unpacked
from dsbuild.interop.export import array_record, earlier, parquet, webdataset
from dsbuild.interop.export import splits as of_splits
from dsbuild.interop.export.sample import Keys, Sample, sample

TARGETS = ("webdataset", "parquet", "array_record")
_MODULES = {"webdataset": webdataset, "parquet": parquet, "array_record": array_record}
_NEEDS = {"parquet": "pyarrow", "array_record": "array_record"}
FORMAT = 2  # of the files; raised when the same records give different files


@dataclass(frozen=True)
class Shard:
    """A file to write, and what its bytes depend on besides its records.

    `image` is the extension of all images, if their names have one.
    """

    source: str
    name: str
    target: str
    keys: Keys
    rest: tuple[tuple[str, tuple[str, bool]], ...]
    label: str | None
    classes: tuple[str, ...]
    image: str | None = None

    @property
    def digest(self) -> str:
        """The digest of everything besides the records that decides the bytes."""
        said = {**asdict(self), "source": os.path.basename(self.source), "format": FORMAT}
        return hashlib.sha256(manifest.dump(said).encode()).hexdigest()


@dataclass(frozen=True)
class Exported:
    """The result for a shard: its records and bytes, and whether an existing file was kept."""

    name: str
    records: int
    bytes: int
    kept: bool


def export(
    path: str,
    out: str,
    target: str,
    engine: Engine | None = None,
    note: Callable[[str], None] = lambda _: None,
    *,
    splits: Sequence[str] = (),
    classes: Sequence[str] = (),
) -> list[Exported]:
    """Write the shards of a folder, or one file, in another format; return the results.

    Files whose source and settings are unchanged are kept; files of an earlier export that are
    not part of this one are removed, but those of other splits stay if `splits` are given. Raises
    PlanError if OUT has other files that readers would take for its shards. `note` is called if
    another export has locked OUT. `classes` are the names for a folder without a manifest.
    """
    engine, folder = engine or Local(), Folder.of(path)
    _check(path, out, target)
    sources = {*of_splits.files(folder, splits)}
    every = plan(folder, target, engine, classes)
    shards = [shard for shard in every if shard.source in sources]
    rest = [shard for shard in every if shard.source not in sources]
    names = [shard.name for shard in shards]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise PlanError(f"{path}: several files would become {twice[0]}; rename them")
    with storage.lock(storage.join(out, manifest.STATE, "lock"), note):
        for place in (out, earlier.notes(out)):
            storage.sweep(place)
        _clear(out, shards, rest, bool(splits))
        work = storage.carried(functools.partial(write_shard, out=out))
        return engine.map(Job(shards, work, len(shards), f"exporting to {target}", "files"))


def _check(path: str, out: str, target: str) -> None:
    if target not in TARGETS:
        raise PlanError(f"--to {target}: expected one of {', '.join(TARGETS)}")
    need = _NEEDS.get(target)
    if need and importlib.util.find_spec(need) is None:
        raise PlanError(missing(need, f"--to {target}"))
    there, state = storage.names(out), storage.join(out, manifest.STATE)
    if storage.is_folder(storage.join(state, ANNOTATED)):
        raise PlanError(
            f"{out}: holds an export as annotations, whose files would mix with others; choose "
            "another OUT"
        )
    begun = storage.stamp(storage.join(state, "recipe.json"))  # of a build that is not finished
    if manifest.NAME in there or begun or (storage.is_folder(path) and storage.inside(out, path)):
        raise PlanError(
            f"{out}: contains TFRecords, and their readers would take other files for shards; "
            "choose another OUT"
        )


def plan(folder: Folder, target: str, engine: Engine, classes: Sequence[str] = ()) -> list[Shard]:
    """Return the files to write for a folder, or one file.

    If names need the images' extension and no manifest has their formats, records are read.
    """
    own, known, sources = folder.schema, folder.surrounding.manifest, folder.files
    names = Keys(own["image"].name, own["key"].name, folder.labels)
    label = None if target == "array_record" else _label(sources, names)
    # A panoptic map is no picture, so it is exported as the bytes that it is.
    used = {names.image, names.key, *(() if own.is_panoptic else names.labels)}
    told = folder.schema_bytes is not None
    rest = [one for one in own.features if one.name not in used and (told or one.required)]
    columns = parquet.columns(rest, _shared(names)) if target == "parquet" else {}
    image = None
    if target == "webdataset":
        image = usual_ending(folder, names, engine)
    return [
        Shard(
            source=source,
            name=f"{stem(source)}.{_MODULES[target].ENDING}",
            target=target,
            keys=names,
            rest=tuple(columns.items()),
            label=label,
            classes=(known.classes if known else tuple(classes)) if label == "class" else (),
            image=image,
        )
        for source in sources
    ]


def usual_ending(folder: Folder, names: Keys, engine: Engine) -> str | None:
    """Return the extension of most images of a folder; None if it has no image.

    If no manifest has their formats, all records are read.
    """
    known = folder.surrounding.manifest
    found = formats(known) or _looked_up(folder.files, names, engine)
    return max(sorted(found), key=found.__getitem__, default=None)


def formats(known: Manifest | None) -> Mapping[str, int]:
    """Return extension -> number of images by a manifest; nothing if it does not say."""
    found: collections.Counter[str] = collections.Counter()
    for split in known.splits.values() if known else ():
        if split.formats is None or sum(split.formats.values()) != split.records:
            return {}
        found.update(split.formats)
    endings = {"jpeg": "jpg", "png": "png"}
    return {endings[name]: found[name] for name in found} if set(found) <= set(endings) else {}


def _looked_up(sources: Sequence[str], names: Keys, engine: Engine) -> Mapping[str, int]:
    """Return extension -> number of images in files, reading all their records."""
    work = functools.partial(_endings, names=names)
    job = Job(sources, work, len(sources), "looking", unit="files")
    return sum(engine.map(job), collections.Counter())


def _endings(source: str, advance: Advance, *, names: Keys) -> collections.Counter[str]:
    found: collections.Counter[str] = collections.Counter()
    for record in tfrecord.read(source):
        found[_sample(source, record, names).ending] += 1
        advance(0, 0)
    advance(1, 0)
    return found


def _shared(names: Keys) -> str:
    folder, slash, _ = names.image.rpartition("/")
    return folder + slash


@functools.lru_cache(maxsize=64)  # asked for each record
def stem(source: str) -> str:
    """Return the name of a file without its ending, that of a compressed one included."""
    name = unpacked(os.path.basename(source))
    match = manifest.SHARD.fullmatch(name)
    ending = match["ending"] if match else os.path.splitext(name)[1]
    return name.removesuffix(ending) if ending else name


def _label(sources: Sequence[str], names: Keys) -> str | None:
    """Return the kind of the labels, by the first file whose first record has one."""
    for source in sources:
        for record in tfrecord.read(source):
            found = _sample(source, record, names).label
            if found is not None:
                return "mask" if isinstance(found, bytes) else "class"
            break
    return None


def _sample(source: str, record: tfrecord.Record, names: Keys) -> Sample:
    with tfrecord.located(source, record):
        return sample(record.data, names, f"{stem(source)}-{record.number:06d}")


def _clear(out: str, shards: Sequence[Shard], rest: Sequence[Shard], adds: bool) -> None:
    """Remove what an earlier export wrote and this one does not; `rest` may stay if it `adds`."""
    known = {shard.name: shard for shard in rest}

    def same(name: str) -> bool:
        before = earlier.noted(earlier.note(out, name)).items()
        return name in known and before >= _made_of(known[name]).items()

    splits = {manifest.split_of(os.path.basename(shard.source)) for shard in shards} - {None}
    names = {shard.name for shard in shards}
    earlier.clear(out, names, {split for split in splits if split}, same if adds else None)


def _made_of(shard: Shard) -> dict[str, str]:
    return {"source": storage.sha256(shard.source)[0], "settings": shard.digest}


def write_shard(shard: Shard, advance: Advance, *, out: str) -> Exported:
    """Write one file, or keep a valid one; the note of what it was made from comes last."""
    path, note = storage.join(out, shard.name), earlier.note(out, shard.name)
    made_of, before = _made_of(shard), earlier.noted(note)
    kept = {key: before.get(key) for key in made_of} == made_of
    if kept and storage.stamp(path):
        digest, size = storage.sha256(path)
        if before.get("sha256") == digest:
            advance(1, 0)
            return Exported(shard.name, before["records"], size, True)
    # An empty note marks the file as ours even if we stop before the final note.
    storage.write(note, manifest.dump({}).encode())
    count = _write(shard, path, advance)
    digest, size = storage.sha256(path)
    made = {**made_of, "sha256": digest, "records": count}
    storage.write(note, manifest.dump(made, 2).encode())
    advance(1, size)
    return Exported(shard.name, count, size, False)


def _write(shard: Shard, path: str, advance: Advance) -> int:
    if shard.target == "array_record":
        with storage.placing(path) as temporary:
            return array_record.write(_records(shard, advance), temporary)
    samples = (_sample(shard.source, record, shard.keys) for record in _read(shard, advance))
    with storage.writing(path) as file:
        if shard.target == "webdataset":
            return webdataset.write(samples, file, shard.image)
        return parquet.write(samples, file, dict(shard.rest), shard.label, shard.classes)


def _records(shard: Shard, advance: Advance) -> Iterator[bytes]:
    return (record.data for record in _read(shard, advance))


def _read(shard: Shard, advance: Advance) -> Iterator[tfrecord.Record]:
    for record in tfrecord.read(shard.source):
        advance(0, 0)  # a point where the export can be stopped
        yield record
