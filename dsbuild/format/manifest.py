"""The manifest of an output folder: what it holds, written last, so present means complete.

    manifest.json             splits, shards, classes, recipe; sha256 of every control file
    schema.json               the features of its records
    index/<shard>.idx         offset and size of every record
    index/<shard>.values      the label values that occur in every record
    rejects.jsonl             samples that were left out: key, file, reason
    .dsbuild/                 lock, recipe, plans, receipts

The manifest names its own digest, too. Except for the stamps of the sources in the receipts,
nothing in these files depends on when, where or by how many workers they were written. Paths are
relative to the layout's root.

Builds work on the document, whose text is kept to the byte; everything else reads a `Manifest`.
The module also hands on the names and places of these files.
"""

import functools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dsbuild import storage
from dsbuild.errors import ShardError
from dsbuild.format.counts import Reject, Statistics
from dsbuild.format.documents import dump, read, read_bytes
from dsbuild.format.documents import parse_file as parse
from dsbuild.format.index import offsets
from dsbuild.format.manifest_form import is_manifest
from dsbuild.format.names import (
    INDEX,
    NAME,
    REJECTS,
    SCHEMA,
    SHARD,
    STATE,
    index_path,
    parts_path,
    receipt_path,
    shard_name,
    siblings,
    split_of,
    values_path,
)

__all__ = [
    "IGNORE",
    "INDEX",
    "NAME",
    "REJECTS",
    "SCHEMA",
    "SHARD",
    "STATE",
    "WEIGHTS",
    "Counted",
    "Manifest",
    "Reject",
    "Shard",
    "Split",
    "Statistics",
    "checked",
    "dump",
    "index_path",
    "load",
    "offsets",
    "parse",
    "parts_path",
    "read",
    "receipt_path",
    "sealed",
    "shard_name",
    "siblings",
    "split_of",
    "text",
    "values_path",
]

IGNORE = "(ignore)"  # the name of the label value that is not a class
WEIGHTS = ("frequency", "median_frequency", "effective_number")
Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Shard:
    """A shard; digests are sha256, None in manifests of versions that did not have them.

    Attributes:
      name: of its file.
      records, bytes, sha256: of the file.
      values, index, plan, receipt: digests of its list of label values, index, plan and receipt;
        `values` is also None if its labels were not decoded.
    """

    name: str
    records: int
    bytes: int
    sha256: str
    values: str | None = None
    index: str | None = None
    plan: str | None = None
    receipt: str | None = None

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> "Shard":
        """Return the shard of an entry in the document."""
        return cls(
            entry["name"],
            entry["records"],
            entry["bytes"],
            entry["sha256"],
            *map(entry.get, ("values", "index", "plan", "receipt")),
        )


@dataclass(frozen=True)
class Counted:
    """How many images have a label value, and how many pixels; None if labels are one class."""

    images: int
    pixels: int | None = None


@dataclass(frozen=True)
class Split:
    """A split and what was counted over its records.

    Attributes:
      plan: digest of its plan.
      records, bytes: of all its shards.
      rejects: how many samples were left out.
      labels: how many records have a label.
      heights, widths: smallest and largest in pixels; empty if not known.
      formats: image format -> records; None in manifests of versions that did not count them.
      classes: counts by class index; None if labels were not counted.
      ignore: counts of the ignore value; None if there is none, or labels were not counted.
      weights: name -> class weights by class index.
      beta: of the weights, None if there are none.
      shards: in order.
    """

    plan: str
    records: int
    bytes: int
    rejects: int
    labels: int
    heights: tuple[int, ...]
    widths: tuple[int, ...]
    formats: Mapping[str, int] | None
    classes: tuple[Counted, ...] | None
    ignore: Counted | None
    weights: Mapping[str, tuple[float, ...]]
    beta: float | None
    shards: tuple[Shard, ...]

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> "Split":
        """Return the split of an entry in the document."""
        weights, classes, ignore = entry.get("weights", {}), *map(entry.get, ("classes", "ignore"))
        return cls(
            entry["plan"],
            entry["records"],
            entry["bytes"],
            entry["rejects"],
            entry["labels"],
            tuple(entry["heights"]),
            tuple(entry["widths"]),
            entry.get("formats"),
            None if classes is None else tuple(map(_counted, classes)),
            _counted(ignore) if ignore else None,
            {name: tuple(weights[name]) for name in WEIGHTS if name in weights},
            weights.get("beta"),
            tuple(map(Shard.of, entry["shards"])),
        )


def _counted(entry: Mapping[str, Any]) -> Counted:
    return Counted(entry["images"], entry.get("pixels"))


@dataclass(frozen=True)
class Manifest:
    """What a finished folder says of itself.

    Attributes:
      version: the first release that writes exactly these files; see `names.WRITTEN_AS`.
      title: of the data set.
      classes: names by index.
      ignore: the label value that is not a class, or None.
      palette: RGB by label value.
      recipe: the document of the recipe.
      splits: by name, in order.
      files: path in the folder -> sha256 of each control file; None in manifests of versions that
        did not have them.
      document: the whole manifest as JSON.
      divisor: what divides a value of a panoptic label into class and instance; None if labels
        are not panoptic.
      things: the classes of panoptic labels whose instances are counted.
    """

    version: str
    title: str
    classes: tuple[str, ...]
    ignore: int | None
    palette: Mapping[int, Colour]
    recipe: Mapping[str, Any]
    splits: Mapping[str, Split]
    files: Mapping[str, str] | None
    document: Mapping[str, Any]
    divisor: int | None = None
    things: tuple[int, ...] = ()

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Manifest":
        """Return the manifest of a document that has its form."""
        return cls(
            document["dsbuild"],
            document["title"],
            tuple(document["classes"]),
            document["ignore"],
            {int(value): (r, g, b) for value, (r, g, b) in document["palette"].items()},
            document["recipe"],
            {name: Split.of(entry) for name, entry in document["splits"].items()},
            document.get("files"),
            document,
            document.get("divisor"),
            tuple(document.get("things", ())),
        )

    def class_name(self, value: int) -> str | None:
        """Return what a label value is called: a class, `IGNORE`, or None if it is neither."""
        if value == self.ignore:
            return IGNORE
        return self.classes[value] if 0 <= value < len(self.classes) else None

    @property
    def shards(self) -> Iterator[Shard]:
        """The shards of all splits, in order."""
        return (shard for split in self.splits.values() for shard in split.shards)


def sealed(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a manifest with its own digest, taken over the rest of it."""
    import hashlib  # here, since OpenSSL is slow to load and much does without

    rest = {key: value for key, value in document.items() if key != "digest"}
    return {**rest, "digest": hashlib.sha256(dump(rest).encode()).hexdigest()}


def text(document: Mapping[str, Any]) -> bytes:
    """Return the file of a manifest."""
    return (dump(document, 2) + "\n").encode()


def checked(data: bytes, path: str) -> dict[str, Any]:
    """Return the manifest that a file holds, as its document.

    Raises ShardError if it is damaged, or contradicts itself or its digest; manifests of earlier
    versions have no digest.
    """
    _check(data, path)
    found: dict[str, Any] = json.loads(data)
    return found


@functools.lru_cache(1)
def _check(data: bytes, path: str) -> None:
    """Check the bytes of a manifest as `checked` does, once: a build reads it again and again."""
    document = parse(data, path)
    if not is_manifest(document):
        raise ShardError(
            f"{path}: found no manifest of dsbuild, or one that contradicts itself; dsbuild repair "
            "restores it from the receipts"
        )
    if "digest" in document and sealed(document) != document:
        raise ShardError(
            f"{path}: found another content than was written: it does not have the digest that it "
            "names; dsbuild repair restores it from the receipts"
        )


def load(out: str, path: str | None = None) -> dict[str, Any] | None:
    """Return the manifest of a folder as its document, or None if it has none.

    `path` is another file that holds a manifest. Raises ShardError as `checked` does.
    """
    path = path or storage.join(out, NAME)
    data = read_bytes(path)
    return None if data is None else checked(data, path)
