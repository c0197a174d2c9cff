"""What only people know about a dataset: its licence, its citation, its description.

.dsbuild/terms.json     set by `dsbuild interop`; kept by later builds
"""

from dataclasses import dataclass

from dsbuild import storage
from dsbuild.errors import ShardError
from dsbuild.format import manifest, names
from dsbuild.format.documents import fits

NAME = "terms.json"


@dataclass(frozen=True)
class Terms:
    """Licence (a name or a URL), citation (BibTeX or text), description; None if not set."""

    license: str | None = None
    citation: str | None = None
    description: str | None = None

    def __or__(self, other: "Terms") -> "Terms":
        """Return these terms, replaced by those that the other sets."""
        return Terms(**vars(self) | {k: v for k, v in vars(other).items() if v is not None})

    def save(self, out: str) -> None:
        """Write the terms into an output folder's state; remove the file if there are none."""
        if self == Terms():
            storage.remove(path(out))
        else:
            storage.write(path(out), self.text())

    def text(self) -> bytes:
        """Return the content of the file, including its own digest."""
        import hashlib  # here, because OpenSSL is slow to load and often not needed

        digest = hashlib.sha256(manifest.dump(vars(self)).encode()).hexdigest()
        return manifest.dump({**vars(self), "digest": digest}, 2).encode()


def path(out: str) -> str:
    """Return the path of the terms of an output folder."""
    return names.state(out, NAME)


def load(out: str) -> Terms:
    """Return the terms of an output folder; empty ones if none are set."""
    if (stamp := storage.stamp(path(out))) is None:
        return Terms()
    data = storage.read(path(out))[0]
    storage.hold(path(out), len(data), stamp)
    document = manifest.parse(data, path(out))
    names = list(vars(Terms()))
    # Unknown keys are refused; otherwise any JSON would pass as empty terms.
    if fits(document, dict.fromkeys(names, str | None)) and {*document} <= {*names, "digest"}:
        found = Terms(**{name: document[name] for name in names})
        if "digest" not in document or found.text() == data:
            return found
    raise ShardError(
        f"{path(out)}: its content is not what dsbuild interop wrote; dsbuild repair restores it "
        "if it can, or remove the file and run dsbuild interop again"
    )
