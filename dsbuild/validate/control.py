"""Control files checked against the digests in the manifest; its numbers, against the records.

Not checked are the card's text, which anyone may edit; statistics, which can be computed again at
any time and name the shards that they cover; the lock; and the count of its holders.
"""

import contextlib
import hashlib
from collections.abc import Iterator, Mapping, Sequence

from dsbuild import interop, storage
from dsbuild.build import output
from dsbuild.errors import DataError
from dsbuild.format import names, receipts
from dsbuild.format.documents import dump, normal
from dsbuild.format.folder import Folder
from dsbuild.format.manifest import Manifest, Statistics, text
from dsbuild.format.receipts import ShardReceipt
from dsbuild.validate.problem import Problem
from dsbuild.validate.rules import Checked

_REMEDY = "dsbuild repair restores it"


def problems(folder: Folder, manifest: Manifest, notes: list[str]) -> Iterator[Problem]:
    """Yield what is wrong with a folder's control files, according to its manifest."""
    path = folder.path
    place = storage.join(path, names.NAME)
    if manifest.files is None:
        notes.append(
            "the manifest has no digests of control files because an earlier version of dsbuild "
            "wrote it; run its command again to add them"
        )
    elif folder.manifest_bytes != text(manifest.document):
        yield Problem("changed", place, f"the file differs from what was written; {_REMEDY}")
    if fault := output.stranger(path, manifest.document):
        yield Problem("holder", place, f"{fault}; {_REMEDY}")
    yield from _files(folder, manifest)
    for split in manifest.splits:
        yield from _receipts(path, manifest, split)
    shards = {
        name: [shard.name for shard in split.shards] for name, split in manifest.splits.items()
    }
    for place in output.strays(path, shards):
        yield Problem("extra", place, "no shard in the manifest has it; dsbuild repair removes it")


def _receipts(path: str, manifest: Manifest, split: str) -> Iterator[Problem]:
    """Yield what is wrong with a split's receipts, or with its numbers if all receipts are good."""
    good: list[ShardReceipt] = []
    shards = manifest.splits[split].shards
    for shard in shards:
        receipt = receipts.load(path, shard.name)
        place = names.receipt_path(path, shard.name)
        if receipt is None:
            yield Problem("changed", place, f"the receipt is missing or damaged; {_REMEDY}")
        elif shard.receipt not in (None, receipt.digest):
            fault = f"the receipt is not the one that the manifest names{_whose(path, receipt)}"
            yield Problem("changed", place, f"{fault}; {_REMEDY}")
        else:
            good.append(receipt)
    if len(good) == len(shards):
        total = sum((receipt.statistics for receipt in good), Statistics())
        yield from _numbers(path, manifest, split, total, "receipts", ())


def _whose(path: str, receipt: ShardReceipt) -> str:
    """Say who wrote a receipt that is not the manifest's, if the builders' numbers show it."""
    last = output.tenure(path)
    if None in (last, receipt.tenure) or last == receipt.tenure:
        return ""
    return f": builder {receipt.tenure} wrote it, but builder {last} finished the folder"


def _files(folder: Folder, manifest: Manifest) -> Iterator[Problem]:
    path, listed = folder.path, manifest.files or {}
    for name, digest in listed.items():
        place = storage.join(path, name)
        if storage.stamp(place) is None:
            fault = f"the manifest names this file, but it is missing; {_REMEDY}"
            yield Problem("changed", place, fault)
        elif _sha256(folder, name) != digest:
            yield Problem("changed", place, f"the file differs from what was written; {_REMEDY}")
    card = storage.join(path, interop.card.NAME)
    if manifest.files is not None and storage.stamp(card) is None:
        yield Problem("changed", card, f"the file is missing; {_REMEDY}")
    for name in (names.REJECTS, interop.pbtxt.NAME):
        place = storage.join(path, name)
        if manifest.files is not None and name not in listed and storage.stamp(place):
            yield Problem("extra", place, "the manifest does not name this file; move it away")


def _sha256(folder: Folder, name: str) -> str:
    """Return the digest of a control file; schema.json is taken as this validation has read it."""
    if name == names.SCHEMA:
        with contextlib.suppress(DataError):  # one too large for a schema still has a digest
            return hashlib.sha256(folder.schema_bytes or b"").hexdigest()
    return storage.sha256(storage.join(folder.path, name))[0]


def counted(path: str, manifest: Manifest, checked: Mapping[str, Checked]) -> Iterator[Problem]:
    """Yield numbers in the manifest that differ from the records; `checked` is by file name.

    Skips a split with an unreadable record, which is a problem already.
    """
    for split, entry in manifest.splits.items():
        files = [checked.get(shard.name) for shard in entry.shards]
        if all(file is not None and not file.problems and not file.more for file in files):
            total = sum((file.statistics for file in files if file), Statistics())
            # What was done to images before they were stored cannot be seen in them.
            yield from _numbers(path, manifest, split, total, "records", ("changes",))


def _numbers(
    path: str,
    manifest: Manifest,
    split: str,
    total: Statistics,
    source: str,
    skipped: Sequence[str],
) -> Iterator[Problem]:
    """Yield numbers of a split that differ from a total over its `source`."""
    entry, beta = manifest.document["splits"][split], manifest.splits[split].beta
    if manifest.recipe.get("verify") == "header" and total.pixels:
        total = Statistics(
            **vars(total) | {"pixels": {}, "images": {}, "around": {}, "segments": {}}
        )
    computed = normal(
        receipts.counted(total, entry["records"], manifest.classes, manifest.ignore, beta)
    )
    others = {"plan", "records", "bytes", "rejects", "shards", *skipped}
    for key in sorted({*computed, *entry} - others):
        if key in entry and computed.get(key) != entry[key]:
            yield Problem(
                "manifest",
                storage.join(path, names.NAME),
                f"split {split}: found {key} {_short(entry[key])}, but its {source} have "
                f"{_short(computed.get(key))}; {_REMEDY}",
            )


def _short(value: object) -> str:
    line = dump(value)
    return line if len(line) <= 200 else f"{line[:200]}..."
