"""On a store: tell whether the manifest was written by the last builder that held the lock.

    .dsbuild/holder.json    number of the builder, digests of the manifests that it vouches for

A builder writes this note when it opens a folder, vouching for no manifest, and again before it
writes a manifest. A manifest written by a builder that had lost its lock is not in the note.
Folders without a note, local ones and those of earlier versions, are not checked.
"""

from collections.abc import Mapping
from typing import Any

from dsbuild import storage
from dsbuild.build.output.state import state
from dsbuild.errors import ShardError
from dsbuild.format import manifest
from dsbuild.format.documents import fits, is_count

HOLDER = "holder.json"


def claim(out: str, *documents: Mapping[str, Any]) -> None:
    """Note that the holder of the folder's lock vouches for these manifests, and for no other."""
    path, tenure = state(out, HOLDER), storage.tenure(out)
    if tenure is not None:
        digests = sorted({document["digest"] for document in documents if "digest" in document})
        note = {"tenure": tenure, "manifests": digests}
        storage.write(path, manifest.dump(note).encode())
    elif storage.stamp(path):
        storage.remove(path)  # the folder is a copy of one on a store


def tenure(out: str) -> int | None:
    """Return the number of the builder that vouches for the folder's manifest, None if unknown."""
    return _note(out).get("tenure")


def stranger(out: str, document: Mapping[str, Any]) -> str:
    """Say why a manifest is not the last holder's; "" if it is, or nothing is known."""
    note = _note(out)
    if not note or "digest" not in document or document["digest"] in note["manifests"]:
        return ""
    return (
        f"builder {note['tenure']} held this folder's lock last, and this manifest is not its: a "
        "builder that had lost the lock wrote it"
    )


def _note(out: str) -> Mapping[str, Any]:
    path = state(out, HOLDER)
    if storage.stamp(path) is None:
        return {}
    try:
        note = manifest.read(path)
    except ShardError:
        return {}
    return note if fits(note, {"tenure": is_count, "manifests": [str]}) else {}
