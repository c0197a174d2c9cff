"""Control files, held against the digests that the manifest names; its numbers, against others.

Exempt are the card's text, which is anybody's to edit, statistics, which are made again at will
and name the shards that they are of, the lock, and how many had it.
"""

import contextlib
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dsbuild import interop, storage
from dsbuild.build import output
from dsbuild.errors import DataError
from dsbuild.format import manifest, receipts
from dsbuild.format.documents import normal
from dsbuild.format.folder import Folder
from dsbuild.format.manifest import Manifest, Statistics
from dsbuild.format.receipts import ShardReceipt
from dsbuild.validate.problem import Problem
from dsbuild.validate.rules import Checked

_REMEDY = "dsbuild repair restores it"


def problems(folder: Folder, known: Manifest, notes: list[str]) -> Iterator[Problem]:
    """Yield what is wrong with a folder's control files, by its manifest."""
    path = folder.path
    if known.files is None:
        notes.append(
            "the manifest names no digests of control files, since an earlier version of dsbuild "
            "wrote it; run its command again, which adds them"
        )
    elif folder.manifest_bytes != manifest.text(known.document):
        text = f"found another text than was written; {_REMEDY}"
        yield Problem("changed", storage.join(path, manifest.NAME), text)
    if text := output.stranger(path, known.document):
        yield Problem("holder", storage.join(path, manifest.NAME), f"{text}; {_REMEDY}")
    yield from _files(folder, known)
    made: dict[str, list[ShardReceipt]] = {}
    names = {name: [shard.name for shard in split.shards] for name, split in known.splits.items()}
    for split, entry in known.splits.items():
        for shard in entry.shards:
            receipt = receipts.load(path, shard.name)
            place = manifest.receipt_path(path, shard.name)
            if receipt is None:
                text = f"found no receipt that is whole; {_REMEDY}"
                yield Problem("changed", place, text)
            elif shard.receipt not in (None, receipt.digest):
                whose = _whose(path, receipt)
                text = f"found another receipt than the manifest names{whose}; {_REMEDY}"
                yield Problem("changed", place, text)
            else:
                made.setdefault(split, []).append(receipt)
        if len(made.get(split, ())) == len(entry.shards):
            total = sum((receipt.statistics for receipt in made[split]), Statistics())
            yield from _numbers(path, known, split, total, "receipts", ())
    for place in output.strays(path, names):
        yield Problem("extra", place, "no shard of the manifest has it; dsbuild repair removes it")


def _whose(path: str, receipt: ShardReceipt) -> str:
    """Say whose a receipt is that is not the manifest's, where their numbers tell."""
    last = output.tenure(path)
    if None in (last, receipt.tenure) or last == receipt.tenure:
        return ""
    return f", of builder {receipt.tenure}, while builder {last} finished the folder"


def _files(folder: Folder, known: Manifest) -> Iterator[Problem]:
    path, listed = folder.path, known.files or {}
    for name, digest in listed.items():
        place = storage.join(path, name)
        if storage.stamp(place) is None:
            text = f"there is no such file, and the manifest names it; {_REMEDY}"
            yield Problem("changed", place, text)
        elif _sha256(folder, name) != digest:
            yield Problem("changed", place, f"found another content than was written; {_REMEDY}")
    card = storage.join(path, interop.card.NAME)
    if known.files is not None and storage.stamp(card) is None:
        yield Problem("changed", card, f"there is no such file; {_REMEDY}")
    for name in (manifest.REJECTS, interop.pbtxt.NAME):
        place = storage.join(path, name)
        if known.files is not None and name not in listed and storage.stamp(place):
            yield Problem("extra", place, "the manifest does not name it; move it away")


def _sha256(folder: Folder, name: str) -> str:
    """Return the digest of a control file, of schema.json as this validation has read it."""
    if name == manifest.SCHEMA:
        with contextlib.suppress(DataError):  # one too large for a schema still has a digest
            return hashlib.sha256(folder.schema_bytes or b"").hexdigest()
    return storage.sha256(storage.join(folder.path, name))[0]


def counted(path: str, known: Manifest, checked: Mapping[str, Checked]) -> Iterator[Problem]:
    """Yield numbers of the manifest that are not those of the records; `checked` is by name.

    A split of which a record could not be read has problems of its own, and is passed over.
    """
    for split, entry in known.splits.items():
        mine = [checked.get(shard.name) for shard in entry.shards]
        if all(one is not None and not one.problems and not one.more for one in mine):
            total = sum((one.statistics for one in mine if one), Statistics())
            # What was done to images before they were stored does not show in them.
            yield from _numbers(path, known, split, total, "records", ("changes",))


def _numbers(
    path: str,
    known: Manifest,
    split: str,
    total: Statistics,
    by: str,
    but: Sequence[str],
) -> Iterator[Problem]:
    entry, beta = known.document["splits"][split], known.splits[split].beta
    if known.recipe.get("verify") == "header" and total.pixels:
        total = Statistics(**vars(total) | {"pixels": {}, "images": {}, "around": {}})
    found = normal(receipts.counted(total, entry["records"], known.classes, known.ignore, beta))
    for key in sorted({*found, *entry} - {"plan", "records", "bytes", "rejects", "shards", *but}):
        if key in entry and found.get(key) != entry[key]:
            yield Problem(
                "manifest",
                storage.join(path, manifest.NAME),
                f"split {split}: found {key} {_short(entry[key])}, and its {by} have "
                f"{_short(found.get(key))}; {_REMEDY}",
            )


def _short(value: Any) -> str:
    text = manifest.dump(value)
    return text if len(text) <= 200 else f"{text[:200]}..."
