"""Names and places of the files in an output folder."""

import re

from dsbuild import storage

# The first release that writes the files of a folder exactly as this one does. Every manifest and
# dataset card has it, so a release that changes none of their bytes must not raise it. The card's
# text may change without it: people may edit it, so no manifest has its digest.
WRITTEN_AS = "0.1.0"
NAME = "manifest.json"
SCHEMA = "schema.json"
REJECTS = "rejects.jsonl"
RECEIPT = "receipt.json"  # of an export
STATE = ".dsbuild"
EXPORTED, ANNOTATED = "exported", "annotations"  # in STATE, what an export keeps
STATISTICS = "statistics.json"  # in STATE, of all records, written by `dsbuild statistics`
QUALITY = "quality.json"  # in STATE, the verdict on all records, written by `dsbuild check`
INDEX = "index"
# DeepLab's and TFDS's names of shards.
SHARD = re.compile(r"(?P<split>.+)-\d{5}-of-(?P<count>\d{5})(?P<ending>\..+)?", re.DOTALL)

PACKED = (".gz", ".gzip", ".zlib")  # what compressed files end in


def shard_name(split: str, index: int, count: int) -> str:
    """Return a shard's file name.

    >>> shard_name("train", 0, 4)
    'train-00000-of-00004.tfrecord'
    """
    return f"{split}-{index:05d}-of-{count:05d}.tfrecord"


def split_of(name: str) -> str | None:
    """Return the split in a shard's file name, or None if it is not such a name.

    >>> split_of("train_aug-00000-of-00004.tfrecord")
    'train_aug'
    """
    match = SHARD.fullmatch(name)
    return match["split"] if match else None


def unpacked(name: str) -> str:
    """Return a file's name without the ending of a compressed one.

    >>> unpacked("train-00000-of-00004.tfrecord.gz")
    'train-00000-of-00004.tfrecord'
    """
    return name.removesuffix(next((one for one in PACKED if name.endswith(one)), ""))


def siblings(name: str) -> list[str]:
    """Return the names of all shards of the set that a shard belongs to; none for other names.

    >>> siblings("val-00001-of-00002.tfrecord")
    ['val-00000-of-00002.tfrecord', 'val-00001-of-00002.tfrecord']
    """
    match = SHARD.fullmatch(name)
    if match is None:
        return []
    count, ending = int(match["count"]), match["ending"] or ""
    return [f"{match['split']}-{i:05d}-of-{count:05d}{ending}" for i in range(count)]


def state(out: str, *names: str) -> str:
    """Return the path of a file in the state of an output folder."""
    return storage.join(out, STATE, *names)


def receipt_path(out: str, name: str) -> str:
    """Return the path of a shard's receipt."""
    return state(out, "receipts", f"{name}.json")


def parts_path(out: str) -> str:
    """Return the folder with the parts of shards that are being written."""
    return state(out, "parts")


def index_path(out: str, name: str) -> str:
    """Return the path of a shard's index."""
    return storage.join(out, INDEX, f"{name}.idx")


def values_path(out: str, name: str) -> str:
    """Return the path of the list of the label values in a shard's records."""
    return storage.join(out, INDEX, f"{name}.values")
