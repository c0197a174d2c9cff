"""What only people know of a data set: its licence, how to cite it, what it is.

.dsbuild/terms.json     as `dsbuild interop` was told them; kept by later builds
"""

from dataclasses import dataclass

from dsbuild import storage
from dsbuild.errors import ShardError
from dsbuild.format import manifest
from dsbuild.format.documents import fits

NAME = "terms.json"


@dataclass(frozen=True)
class Terms:
    """Licence (a name or a URL), citation (BibTeX or text), description; None where not told."""

    license: str | None = None
    citation: str | None = None
    description: str | None = None

    def __or__(self, other: "Terms") -> "Terms":
        """Return these terms with those that the other tells in their place."""
        return Terms(**vars(self) | {k: v for k, v in vars(other).items() if v is not None})

    def save(self, out: str) -> None:
        """Write the terms into an output folder's state; none leave no file."""
        if self == Terms():
            storage.remove(path(out))
        else:
            storage.write(path(out), self.text())

    def text(self) -> bytes:
        """Return the file of the terms, their own digest within."""
        import hashlib  # here, since OpenSSL is slow to load and much does without

        digest = hashlib.sha256(manifest.dump(vars(self)).encode()).hexdigest()
        return manifest.dump({**vars(self), "digest": digest}, 2).encode()


def path(out: str) -> str:
    """Return where the terms of an output folder lie."""
    return storage.join(out, manifest.STATE, NAME)


def load(out: str) -> Terms:
    """Return the terms of an output folder, none where it was told none."""
    if (stamp := storage.stamp(path(out))) is None:
        return Terms()
    data = storage.read(path(out))[0]
    storage.hold(path(out), len(data), stamp)
    document = manifest.parse(data, path(out))
    names = list(vars(Terms()))
    # No key may be another's: any JSON would do for terms of nothing.
    if fits(document, dict.fromkeys(names, str | None)) and {*document} <= {*names, "digest"}:
        found = Terms(**{name: document[name] for name in names})
        if "digest" not in document or found.text() == data:
            return found
    raise ShardError(
        f"{path(out)}: found another content than was told; dsbuild repair restores it where it "
        "can, or remove the file and tell dsbuild interop again"
    )
