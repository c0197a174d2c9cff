"""What an output folder says of itself: receipts of its shards, and the manifest.

    manifest.json             written last: present means complete
    schema.json               the features that its records have
    index/<shard>.idx         offset and size of every record
    index/<shard>.values      the label values that occur in every record
    rejects.jsonl             samples that were left out: key, file, reason
    .dsbuild/                 lock, recipe, plans, receipts

Nothing in them depends on when, where or by how many workers they were written, but
for the stamps of the sources in the receipts. Paths are relative to the layout's root.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dsbuild import storage
from dsbuild.documents import is_manifest
from dsbuild.errors import ShardError, StorageError
from dsbuild.weights import weights

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
        return json.loads(text)
    except ValueError as error:
        raise ShardError(
            f"{path}: found damaged JSON ({error}); remove the file and build again"
        ) from error


@dataclass(frozen=True)
class Statistics:
    """What was counted over records; statistics of two parts add up.

    Attributes:
      pixels: label value -> pixels; empty where labels were not decoded, or are one class.
      images: label value -> records in which it occurs; empty where nothing was counted.
      around: label value -> labelled pixels (those of any class) of the records with it.
      heights, widths: smallest and largest in pixels.
      formats: records an image format.
      rotated: records whose image has an EXIF orientation other than 1.
      labels: records with a label.
      changes: images that were converted, turned or shrunk, by what was done; and labels that
        were `mapped` by the colours of their palettes.
    """

    pixels: Mapping[int, int] = field(default_factory=dict)
    images: Mapping[int, int] = field(default_factory=dict)
    around: Mapping[int, int] = field(default_factory=dict)
    heights: tuple[int, ...] = ()
    widths: tuple[int, ...] = ()
    formats: Mapping[str, int] = field(default_factory=dict)
    rotated: int = 0
    labels: int = 0
    changes: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: "Statistics") -> "Statistics":
        return Statistics(
            pixels=_sum(self.pixels, other.pixels),
            images=_sum(self.images, other.images),
            around=_sum(self.around, other.around),
            heights=_range(self.heights + other.heights),
            widths=_range(self.widths + other.widths),
            formats=_sum(self.formats, other.formats),
            rotated=self.rotated + other.rotated,
            labels=self.labels + other.labels,
            changes=_sum(self.changes, other.changes),
        )


def _sum(one: Mapping, other: Mapping) -> dict:
    total = dict(one)
    for key, count in other.items():
        total[key] = total.get(key, 0) + count
    return total


def _range(values: tuple[int, ...]) -> tuple[int, ...]:
    return (min(values), max(values)) if values else ()


@dataclass(frozen=True)
class Reject:
    """A sample that was left out: its key and split, the file at fault, and why.

    `kind` is the name of the fault, as the audit has it.
    """

    split: str
    key: str
    file: str
    kind: str
    reason: str


@dataclass(frozen=True)
class ShardReceipt:
    """What came of a shard's plan.

    Attributes:
      name: the shard's file name.
      plan: digest of the plan that it was written from.
      records, bytes, sha256: of the file; index: the sha256 of its index.
      rejects: samples that were left out.
      statistics: of its records.
      sources: a sample a row, in the plan's order: size, mtime in ns and crc32c of image
        and label; nulls where there was no file.
      versions: libraries that decide bytes, as they were.
      values: the sha256 of its list of label values, None where it has none.
      colours: what the colours of its labels stand for, rows as in `palettes`; older receipts
        have none.
    """

    name: str
    plan: str
    records: int
    bytes: int
    sha256: str
    index: str
    rejects: tuple[Reject, ...]
    statistics: Statistics
    sources: tuple[tuple[int | None, ...], ...]
    versions: Mapping[str, str]
    values: str | None = None
    colours: tuple[tuple[str | int, ...], ...] = ()

    def save(self, out: str) -> None:
        """Write the receipt into an output folder."""
        parts = {"rejects": [vars(r) for r in self.rejects], "statistics": vars(self.statistics)}
        storage.write(receipt_path(out, self.name), dump(vars(self) | parts).encode())


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
    except (ValueError, StorageError):
        return ()


def load_receipt(out: str, name: str) -> ShardReceipt | None:
    """Return a shard's receipt, or None where there is none that can be read."""
    path = receipt_path(out, name)
    if storage.stamp(path) is None:
        return None
    try:
        document = parse(storage.read(path)[0], path)
        counted = document.pop("statistics")
        for name in ("pixels", "images", "around"):
            counted[name] = {int(value): count for value, count in counted[name].items()}
        for name in ("heights", "widths"):
            counted[name] = tuple(counted[name])
        return ShardReceipt(
            statistics=Statistics(**counted),
            rejects=tuple(Reject(**reject) for reject in document.pop("rejects")),
            sources=tuple(map(tuple, document.pop("sources"))),
            colours=tuple(map(tuple, document.pop("colours", ()))),
            **document,
        )
    except (ShardError, TypeError, KeyError, AttributeError, ValueError):
        return None  # its shard is written again, which is what a lost receipt means


def value_counts(total: Statistics, value: int) -> dict:
    """Return pixels and images of a value; images alone where a label is one class."""
    pixels = {"pixels": total.pixels.get(value, 0)} if total.pixels else {}
    return {**pixels, "images": total.images.get(value, 0)}


def split_entry(
    receipts: Iterable[ShardReceipt],
    classes: tuple[str, ...],
    ignore: int | None,
    digest: str,
    beta: float | None = None,
) -> dict:
    """Return what the manifest says of one split, from the receipts of its shards in order.

    `digest` is that of the split's plan, `beta` that of the weights of classes, None for
    no weights.
    """
    receipts = list(receipts)
    total = sum((receipt.statistics for receipt in receipts), Statistics())
    counted = {}
    if total.images:
        counted = {
            "classes": [{"name": name, **value_counts(total, i)} for i, name in enumerate(classes)],
            "ignore": None if ignore is None else value_counts(total, ignore),
        }
        if beta is not None:
            records = sum(receipt.records for receipt in receipts)
            counts = (total.pixels, total.around, total.images)
            if not total.pixels:  # where a label is one class, records are counted
                counts = (total.images, dict.fromkeys(total.images, records), total.images)
            by_class = [[count.get(i, 0) for i in range(len(classes))] for count in counts]
            counted["weights"] = weights(*by_class, beta)
    return {
        "plan": digest,
        "records": sum(receipt.records for receipt in receipts),
        "bytes": sum(receipt.bytes for receipt in receipts),
        "rejects": sum(len(receipt.rejects) for receipt in receipts),
        "labels": total.labels,
        "heights": list(total.heights),
        "widths": list(total.widths),
        "formats": dict(sorted(total.formats.items())),
        "rotated": total.rotated,
        "changes": dict(sorted(total.changes.items())),
        **counted,
        "shards": [
            {"name": r.name, "records": r.records, "bytes": r.bytes, "sha256": r.sha256}
            | ({} if r.values is None else {"values": r.values})
            for r in receipts
        ],
    }


def load(out: str) -> dict | None:
    """Return the manifest of a folder, or None where it has none."""
    path = storage.join(out, NAME)
    if storage.stamp(path) is None:
        return None
    document = parse(storage.read(path)[0], path)
    if not is_manifest(document):
        raise ShardError(f"{path}: found no manifest of dsbuild; remove the file and build again")
    return document
