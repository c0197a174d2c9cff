"""Which manifest is the last holder's, on a store: what one wrote that lost its lock is not.

    .dsbuild/holder.json    number of the builder, digests of manifests that it stands by

A builder writes it when it has opened a folder, standing by none, and before it puts a manifest.
So one that is put by a builder which was taken over meanwhile has another digest than is noted.
Folders without the note, local ones and those of earlier versions, are not held against it.
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
    """Note that the holder of the folder's lock stands by these manifests, and by no other."""
    path, tenure = state(out, HOLDER), storage.tenure(out)
    if tenure is not None:
        digests = sorted({one["digest"] for one in documents if "digest" in one})
        said = {"tenure": tenure, "manifests": digests}
        storage.write(path, manifest.dump(said).encode())
    elif storage.stamp(path):
        storage.remove(path)  # of a copy of what lay on a store


def tenure(out: str) -> int | None:
    """Return the number of the builder that stands by the folder's manifest, None if unknown."""
    return _noted(out).get("tenure")


def stranger(out: str, document: Mapping[str, Any]) -> str:
    """Say how a manifest is another than the last holder stands by; nothing where it is not."""
    noted = _noted(out)
    if not noted or "digest" not in document or document["digest"] in noted["manifests"]:
        return ""
    return (
        f"builder {noted['tenure']} was the last that had this folder's lock, and this is not its "
        "manifest: it is of one that had lost the lock"
    )


def _noted(out: str) -> Mapping[str, Any]:
    path = state(out, HOLDER)
    if storage.stamp(path) is None:
        return {}
    try:
        noted = manifest.read(path)
    except ShardError:
        return {}
    return noted if fits(noted, {"tenure": is_count, "manifests": [str]}) else {}
