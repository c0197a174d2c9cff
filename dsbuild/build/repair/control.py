"""Restore lost or damaged control files if digests prove their content, or name them."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from dsbuild import interop, storage
from dsbuild.build import output, plan_files
from dsbuild.build.repair.known import Known
from dsbuild.errors import DataError, PlanError
from dsbuild.format import manifest
from dsbuild.format.documents import fits
from dsbuild.format.manifest import Reject


def open_for_work(known: Known) -> None:
    """Remove what marks the folder as complete, before shards with other content are put there."""
    if known.document is not None:
        output.open_for_work(known.out)


def write_plans(known: Known, note: Callable[[str], None]) -> None:
    """Write the plans that are lost or damaged again, and note each."""
    for split, names in known.splits.items():
        plans = [known.plan(name, "") for name in names]
        if not plan_files.holds(known.out, split, iter(plans)):
            plan_files.save(known.out, split, plans)
            note(_restored(plan_files.path(known.out, split)))


def _restored(path: str) -> str:
    return f"{path} was lost or damaged and is restored"


def restore(
    known: Known,
    document: Mapping[str, Any],
    rejects: Sequence[Reject],
    note: Callable[[str], None],
) -> Mapping[str, Any]:
    """Restore the files that differ from the manifest `document`; return it.

    `note` is called for each of them. Raises PlanError for files that cannot be restored.
    """
    out = known.out
    body = {key: value for key, value in document.items() if key not in ("files", "digest")}
    files = output.described(out, known.recipe, body, rejects)
    failed = []
    for name, digest in document.get("files", {}).items():
        if _is(out, name, digest):
            continue
        data = files.get(name)
        if data is not None and hashlib.sha256(data).hexdigest() == digest:
            storage.write(storage.join(out, name), data)
            note(_restored(storage.join(out, name)))
        else:
            failed.append(name)
    if storage.read(storage.join(out, manifest.NAME))[0] != manifest.text(document):
        storage.write(storage.join(out, manifest.NAME), manifest.text(document))
    card = interop.card.NAME
    if not storage.stamp(storage.join(out, card)):
        storage.write(storage.join(out, card), files[card])
    if failed:
        more = f" (and {len(failed) - 1} more files)" if len(failed) > 1 else ""
        raise PlanError(
            f"{storage.join(out, failed[0])}{more}: changed since it was written, and this version "
            "of dsbuild cannot restore it; all else is whole; restore the file, or build again "
            f"with dsbuild {document['dsbuild']} and --overwrite"
        )
    return document


def _is(out: str, name: str, digest: str) -> bool:
    path = storage.join(out, name)
    return storage.stamp(path) is not None and storage.sha256(path)[0] == digest


def lost_terms(known: Known) -> bytes | None:
    """Return a user's terms of use, restored from TFDS's file, if their own file is lost.

    None if the file exists, or no terms were given. Raises ShardError if it is damaged and cannot
    be restored.
    """
    out, name = known.out, f"{manifest.STATE}/{interop.TERMS}"
    digest: str | None = (known.document or {}).get("files", {}).get(name)
    if _is(out, name, digest) if digest else storage.stamp(interop.terms.path(out)):
        interop.load(out)
        return None
    if digest is None and known.document is not None:
        return None  # no terms were given
    for terms in _repeated(known):
        data = terms.text()
        if digest in (None, hashlib.sha256(data).hexdigest()):
            return data
    interop.load(out)
    return None


def _repeated(known: Known) -> Iterator[interop.Terms]:
    """Yield the terms that TFDS's file repeats, if there are any."""
    path = storage.join(known.out, interop.tfds.INFO)
    try:
        info = manifest.read(path) if storage.stamp(path) else None
    except DataError:
        return
    form = {"description?": str, "citation?": str, "redistributionInfo?": {"license": str}}
    if info is None or not fits(info, form):
        return
    rest = info.get("redistributionInfo", {}).get("license"), info.get("citation")
    given = info.get("description")
    if given == f"{known.recipe.layout.title}, built by dsbuild":
        given = None
    if (*rest, given) != (None, None, None):
        yield interop.Terms(*rest, given)
    if known.document is not None:  # its digest decides whether a user gave the default words
        yield interop.Terms(*rest, info.get("description"))


def remove_strays(known: Known) -> None:
    """Remove what a finished folder does not have.

    These are receipts, indexes, value lists and plans of other shards, and the plan of an array
    job, which no share may continue.
    """
    for path in output.strays(known.out, known.splits):
        storage.remove(path)
    storage.remove(*(output.state(known.out, name) for name in (output.ARRAY, output.SHARES)))
