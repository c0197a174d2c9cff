"""Write the files of one shard's records, or keep them if they are as they would be written."""

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from dsbuild import storage
from dsbuild.engines import Advance
from dsbuild.errors import ShardError
from dsbuild.format import manifest
from dsbuild.interop.annotations import parts
from dsbuild.interop.annotations.base import Drawn, Row, Target
from dsbuild.interop.annotations.picture import Picture, pictures
from dsbuild.interop.export.sample import Keys
from dsbuild.storage import spool

FORMAT = 2  # of the files; raised when the same records give different files
_BATCH = 32  # records whose files appear together


@dataclass(frozen=True)
class Shard:
    """A file of records, its split, its name without extension, and the names of its features."""

    source: str
    split: str
    name: str
    keys: Keys


@dataclass(frozen=True)
class Made:
    """What came of a shard: its records, and whether its files were kept."""

    records: int
    kept: bool


def settings(target: Target) -> str:
    """Return the digest of everything besides the records that decides their files."""
    about = target.about
    said = {
        "target": target.name,
        "classes": about.classes,
        "ignore": about.ignore,
        "palette": sorted(about.palette.items()),
        "counted": about.counted,
        **{key: value for key, value in asdict(target).items() if key != "about"},
        "format": FORMAT,
    }
    return hashlib.sha256(manifest.dump(said).encode()).hexdigest()


def outdated(shard: Shard, out: str, target: Target) -> bool:
    """Tell whether what was written of a shard is of other records or settings."""
    before = parts.header(out, shard.name)
    return bool(before) and not before.items() >= _made_of(shard, target).items()


def _made_of(shard: Shard, target: Target) -> dict[str, str]:
    return {"source": storage.sha256(shard.source)[0], "settings": settings(target)}


def write(shard: Shard, advance: Advance, *, out: str, target: Target) -> Made:
    """Write the files of a shard's records, or keep valid ones; its rows come last."""
    made_of, before = _made_of(shard, target), parts.header(out, shard.name)
    if before.items() >= made_of.items() and parts.intact(out, shard.name):
        advance(before["records"], 0)
        return Made(before["records"], True)
    parts.remove(out, shard.name)
    lines = spool.Spool(_lines(shard, advance, out, target))
    count = len(lines)
    with storage.writing(parts.path(out, shard.name)) as file:
        file.write(manifest.dump({**made_of, "records": count}).encode() + b"\n")
        for line in lines:
            file.write(line)
    parts.complete(out, shard.name, -(-count // _BATCH))
    return Made(count, False)


def _lines(shard: Shard, advance: Advance, out: str, target: Target) -> Iterator[bytes]:
    """Write the files of the records, some at a time, and yield a line for each record."""
    every = pictures(shard.source, shard.split, shard.keys, target.about, shard.name)
    for number, batch in enumerate(spool.batches(every, _BATCH)):
        with storage.together(out) as group:
            made = [_written(one, target) for one in batch]
            names = [path for _, files in made for path in files]
            parts.announce_batch(out, shard.name, number, names)
            for line, files in made:
                group.write_all({storage.join(out, path): data for path, data in files.items()})
                yield line
                advance(1, sum(map(len, files.values())))


def _written(one: Picture, target: Target) -> tuple[bytes, dict[str, bytes]]:
    """Return the line of a record, and path -> bytes of its files."""
    image = target.image(one)
    if one.mask is not None and one.head.orientation in target.oriented:
        raise ShardError(
            f"{one.key!r}: the image has EXIF orientation {one.head.orientation}, and readers of "
            f"{target.name} turn it, but not its label; build again with --exif apply"
        )
    drawn = target.draw(one) if one.mask is not None else Drawn({})
    files = {image: one.image, **drawn.files}
    row = Row(one.split, one.key, image, one.size, one.mask is not None, drawn.piece)
    odd = target.one_ending and one.ending != target.ending
    facts = {**drawn.facts, "extension": 1} if odd else drawn.facts
    return parts.line(row, files, facts), files
