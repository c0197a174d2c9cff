"""Names and places of all that an output folder holds, and its JSON text."""

import json
import re
from typing import Any

from dsbuild import storage
from dsbuild.errors import NoFileError, ShardError
from dsbuild.format import documents

NAME = "manifest.json"
SCHEMA = "schema.json"
REJECTS = "rejects.jsonl"
STATE = ".dsbuild"
INDEX = "index"
# DeepLab's and TFDS's names of shards.
SHARD = re.compile(r"(?P<split>.+)-\d{5}-of-(?P<count>\d{5})(?P<ending>\..+)?", re.DOTALL)


def shard_name(split: str, index: int, count: int) -> str:
    """Return a shard's file name.

    >>> shard_name("train", 0, 4)
    'train-00000-of-00004.tfrecord'
    """
    return f"{split}-{index:05d}-of-{count:05d}.tfrecord"


def split_of(name: str) -> str | None:
    """Return the split that a shard's file name tells, or None.

    >>> split_of("train_aug-00000-of-00004.tfrecord")
    'train_aug'
    """
    match = SHARD.fullmatch(name)
    return match["split"] if match else None


def siblings(name: str) -> list[str]:
    """Return the names of all shards of the set that a shard's name tells; none where it is none.

    >>> siblings("val-00001-of-00002.tfrecord")
    ['val-00000-of-00002.tfrecord', 'val-00001-of-00002.tfrecord']
    """
    match = SHARD.fullmatch(name)
    if match is None:
        return []
    count, ending = int(match["count"]), match["ending"] or ""
    return [f"{match['split']}-{i:05d}-of-{count:05d}{ending}" for i in range(count)]


def dump(document: Any, indent: int | None = None) -> str:
    """Return the one JSON text of a document: keys as they stand, no stray spaces."""
    separators = (",", ":") if indent is None else (",", ": ")
    return json.dumps(document, indent=indent, separators=separators, ensure_ascii=True)


def parse(text: bytes, path: str) -> Any:
    """Return a file's parsed JSON; raise ShardError naming the file where it is damaged."""
    try:
        return documents.parse(text)
    except ValueError as error:
        raise ShardError(
            f"{path}: found damaged JSON ({error}); dsbuild repair restores what dsbuild wrote"
        ) from error


def read(path: str) -> Any:
    """Return the parsed JSON of a file; raise ShardError as `parse`, and for one too large."""
    stamp = storage.stamp(path)
    if stamp is not None and stamp.size > documents.LARGEST:
        raise ShardError(f"{path}: found {stamp.size:,} bytes, expected a JSON document")
    data = storage.read(path)[0]
    storage.hold(path, len(data), stamp)
    return parse(data, path)


def receipt_path(out: str, name: str) -> str:
    """Return where the receipt of a shard lies."""
    return storage.join(out, STATE, "receipts", f"{name}.json")


def parts_path(out: str) -> str:
    """Return the folder of the parts of shards that are being written."""
    return storage.join(out, STATE, "parts")


def index_path(out: str, name: str) -> str:
    """Return where the index of a shard lies."""
    return storage.join(out, INDEX, f"{name}.idx")


def values_path(out: str, name: str) -> str:
    """Return where the list of the label values of a shard's records lies."""
    return storage.join(out, INDEX, f"{name}.values")


def offsets(out: str, name: str) -> tuple[int, ...]:
    """Return where a shard's records begin, by its index; none where there is no good one."""
    path = index_path(out, name)
    if storage.stamp(path) is None:
        return ()
    try:
        lines = storage.read(path)[0].decode("ascii").splitlines()
        return tuple(int(offset) for offset, _ in map(str.split, lines))
    except (ValueError, NoFileError):
        return ()
