"""The manifest as a document: its text, its own digest, and how it is read back."""

from collections.abc import Mapping
from typing import Any

from dsbuild import storage
from dsbuild.errors import ShardError
from dsbuild.format.manifest_form import is_manifest
from dsbuild.format.names import NAME, dump, read


def sealed(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a manifest with its own digest, over all else that it says."""
    import hashlib  # here, since OpenSSL is slow to load and much does without

    rest = {key: value for key, value in document.items() if key != "digest"}
    return {**rest, "digest": hashlib.sha256(dump(rest).encode()).hexdigest()}


def text(document: Mapping[str, Any]) -> bytes:
    """Return the file of a manifest."""
    return (dump(document, 2) + "\n").encode()


def load(out: str, path: str | None = None) -> dict | None:
    """Return the manifest of a folder, or None where it has none.

    Raises ShardError where it is damaged, contradicts itself or its digest; those of earlier
    versions have none. `path` is another file that holds a manifest.
    """
    path = path or storage.join(out, NAME)
    if storage.stamp(path) is None:
        return None
    document = read(path)
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
    return document
