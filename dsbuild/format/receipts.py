"""Receipts of shards: what was made of each plan, and the manifest's entry of a split from them.

    .dsbuild/receipts/<shard>.json

A receipt holds two digests. `digest` covers all but the times of the sources and the builder's
number; the manifest repeats it, and it does not depend on where sources and folder lie. `seal`
covers the whole file.
"""

import dataclasses
import hashlib
import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from dsbuild import storage
from dsbuild.errors import ShardError
from dsbuild.format.class_weights import weights
from dsbuild.format.documents import fits, fits_values, is_count, is_digest, is_name, normal
from dsbuild.format.manifest import Reject, Statistics, dump, parse, receipt_path

Row = tuple[int | None, ...]
Bytes = bytes  # which is also a field's name
Write = Callable[[str, bytes], None]


@dataclass(frozen=True)
class ShardReceipt:
    """What was made of a shard's plan.

    Attributes:
      name: the shard's file name.
      plan: digest of the plan that it was written from.
      records, bytes, sha256: of the file; index: the sha256 of its index.
      rejects: samples that were left out.
      statistics: of its records.
      sources: one row per sample, in the plan's order: size, mtime in ns and crc32c of image
        and label; None if there was no file.
      versions: of the libraries that decide bytes.
      values: the sha256 of its list of label values, None if it has none.
      colours: what the colours of its labels mean, rows as in `palettes`.
      tenure: the number of the builder that wrote it on a store, None elsewhere; later builders
        have higher numbers.
      digest: of all this except tenure and the times of the sources; empty until it is saved.
    """

    name: str
    plan: str
    records: int
    bytes: int
    sha256: str
    index: str
    rejects: tuple[Reject, ...]
    statistics: Statistics
    sources: tuple[Row, ...]
    versions: Mapping[str, str]
    values: str | None = None
    colours: tuple[tuple[str | int, ...], ...] = ()
    tenure: int | None = None
    digest: str = ""

    def save(self, out: str, write: Write = storage.write) -> "ShardReceipt":
        """Write the receipt into an output folder; return it with its digest and number."""
        made = dataclasses.replace(self, tenure=storage.tenure(out))
        said = made.said()
        write(receipt_path(out, self.name), _sealed(said))
        return dataclasses.replace(made, digest=said["digest"])

    def text(self) -> Bytes:
        """Return the receipt's file."""
        return _sealed(self.said())

    def said(self) -> dict[str, Any]:
        """Return the receipt as a JSON document, with its digest."""
        parts = {"rejects": [vars(r) for r in self.rejects], "statistics": vars(self.statistics)}
        document: dict[str, Any] = normal(vars(self) | parts)
        if not self.statistics.segments:
            del document["statistics"]["segments"]  # as in receipts of labels without instances
        if not self.colours:
            del document["colours"]  # as in receipts of versions without them
        if self.tenure is None:
            del document["tenure"]
        return document | {"digest": digest_of(document)}


def _sealed(said: Mapping[str, Any]) -> Bytes:
    """Return the file of a receipt's document: the document's own text, with its seal at the end.

    The text is made once, since most of a receipt is a row per sample.
    """
    text = dump(said).encode()
    return text[:-1] + _seal(text)


def _seal(text: Bytes) -> Bytes:
    """Return what follows the document's text, without its last bracket, in a receipt's file."""
    return f',"seal":"{hashlib.sha256(text).hexdigest()}"}}'.encode()


def _is_sealed(data: Bytes) -> bool:
    """Tell whether the bytes of a receipt's file are those that were written: its seal fits."""
    text = data[:-_SEAL] + b"}"
    return data[-_SEAL:] == _seal(text)


def digest_of(document: Mapping[str, Any]) -> str:
    """Return the digest of a receipt's document without the times of its sources and its tenure.

    These differ among copies of a tree, but the manifest is the same for all of them.
    """
    rest = {key: value for key, value in document.items() if key not in _ASIDE}
    rows = [[item for i, item in enumerate(row) if i % 3 != 1] for row in document["sources"]]
    return _sha256(rest | {"sources": rows})


def _sha256(document: Any) -> str:
    return hashlib.sha256(dump(document).encode()).hexdigest()


def _is_rows(value: Any) -> bool:
    """Tell whether a value is rows of integers or None, one per sample.

    A row is size, mtime and crc32c of an image, and of each part of its label.
    """
    if not isinstance(value, list) or not set(map(type, value)) <= {list}:
        return False
    kinds = set(map(type, itertools.chain.from_iterable(value)))
    return kinds <= {int, type(None)} and all(
        size >= 6 and size % 3 == 0 for size in set(map(len, value))
    )


def _is_counts(value: Any) -> bool:
    return fits_values(value, is_count)


def _is_values(value: Any) -> bool:
    return _is_counts(value) and all(key.isascii() and key.isdecimal() for key in value)


def _is_size(value: Any) -> bool:
    return value == [] or fits(value, (is_count, is_count))


def _is_meanings(value: Any) -> bool:
    """Tell whether a value is a file, then red, green, blue and value of some colours."""
    return (
        isinstance(value, list)
        and fits(value[:1], (str,))
        and len(value) % 4 == 1
        and all(is_count(number) and number < 256 for number in value[1:])
    )


_SEAL = len(',"seal":""}') + 64
_ASIDE = ("digest", "seal", "tenure")  # not covered by the digest
_RECEIPT = {
    "name": is_name,
    "plan": is_digest,
    "records": is_count,
    "bytes": is_count,
    "sha256": is_digest,
    "index": is_digest,
    "rejects": [dict.fromkeys(("split", "key", "file", "kind", "reason"), str)],
    "statistics": {
        "pixels": _is_values,
        "images": _is_values,
        "around": _is_values,
        "heights": _is_size,
        "widths": _is_size,
        "formats": _is_counts,
        "rotated": is_count,
        "labels": is_count,
        "changes": _is_counts,
        "segments?": _is_values,
    },
    "sources": _is_rows,
    "versions": lambda value: fits_values(value, str),
    "values?": str | None,
    "colours?": [_is_meanings],
    "tenure?": is_count,
    "digest?": is_digest,
    "seal?": is_digest,
}


def load(out: str, name: str) -> ShardReceipt | None:
    """Return a shard's receipt, or None if it is missing or damaged.

    Its shard is then written again.
    """
    path = receipt_path(out, name)
    if (stamp := storage.stamp(path)) is None:
        return None
    try:
        data = storage.read(path)[0]
        storage.hold(path, len(data), stamp)
        document = parse(data, path)
        if not fits(document, _RECEIPT) or document["name"] != name:
            return None
        seal = document.pop("seal", None)
        digest = document.pop("digest", None)
        if (seal is not None or digest is not None) and not (digest and _is_sealed(data)):
            return None
        counted = dict(document["statistics"])
        for key in ("pixels", "images", "around", "segments"):
            if key not in counted:
                continue
            counted[key] = {int(value): count for value, count in counted[key].items()}
        for key in ("heights", "widths"):
            counted[key] = tuple(counted[key])
        return ShardReceipt(
            **document
            | {
                "statistics": Statistics(**counted),
                "rejects": tuple(Reject(**reject) for reject in document["rejects"]),
                "sources": tuple(map(tuple, document["sources"])),
                "colours": tuple(map(tuple, document.get("colours", ()))),
                "digest": digest or digest_of(document),
            }
        )
    except (ShardError, TypeError, ValueError):
        return None


def value_counts(total: Statistics, value: int) -> dict[str, int]:
    """Return pixels and images of a value; only images if labels are one class each."""
    pixels = {"pixels": total.pixels.get(value, 0)} if total.pixels else {}
    segments = {"segments": total.segments[value]} if value in total.segments else {}
    return {**pixels, "images": total.images.get(value, 0), **segments}


def counted(
    total: Statistics,
    records: int,
    classes: tuple[str, ...],
    ignore: int | None,
    beta: float | None = None,
) -> dict[str, Any]:
    """Return what the manifest says of a split, from what was counted over its records.

    `beta` is that of the class weights, None for no weights.
    """
    by_class: dict[str, Any] = {}
    if total.images:
        ignored = None if ignore is None else value_counts(total, ignore)
        if total.segments:
            total = total.without(ignore, len(classes))
        by_class = {
            "classes": [{"name": name, **value_counts(total, i)} for i, name in enumerate(classes)],
            "ignore": ignored,
        }
        if beta is not None:
            pixels, around = total.pixels, total.around
            if not total.pixels:  # labels are one class each: count records instead
                pixels, around = total.images, dict.fromkeys(total.images, records)
            pixels_of, around_of, images_of = (
                [count.get(i, 0) for i in range(len(classes))]
                for count in (pixels, around, total.images)
            )
            by_class["weights"] = weights(pixels_of, around_of, images_of, beta)
    return {
        "labels": total.labels,
        "heights": list(total.heights),
        "widths": list(total.widths),
        "formats": dict(sorted(total.formats.items())),
        "rotated": total.rotated,
        "changes": dict(sorted(total.changes.items())),
        **by_class,
    }


def split_entry(
    receipts: Iterable[ShardReceipt],
    classes: tuple[str, ...],
    ignore: int | None,
    digest: str,
    beta: float | None = None,
) -> dict[str, Any]:
    """Return what the manifest says of a split, from the receipts of its shards in order.

    `digest` is that of the split's plan; the other arguments are those of `counted`.
    """
    receipts = list(receipts)
    total = sum((receipt.statistics for receipt in receipts), Statistics())
    records = sum(receipt.records for receipt in receipts)
    return {
        "plan": digest,
        "records": records,
        "bytes": sum(receipt.bytes for receipt in receipts),
        "rejects": sum(len(receipt.rejects) for receipt in receipts),
        **counted(total, records, classes, ignore, beta),
        "shards": [
            {"name": r.name, "records": r.records, "bytes": r.bytes, "sha256": r.sha256}
            | ({} if r.values is None else {"values": r.values})
            | {"index": r.index, "plan": r.plan, "receipt": r.digest}
            for r in receipts
        ],
    }
