"""What only people know of a data set: its licence, how to cite it, what it is.

.dsbuild/terms.json     as `dsbuild interop` was told them; kept by later builds
"""

from dataclasses import dataclass

from dsbuild import manifest, storage
from dsbuild.documents import fits
from dsbuild.errors import ShardError

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
        """Return the file of the terms."""
        return manifest.dump(vars(self), 2).encode()


def path(out: str) -> str:
    """Return where the terms of an output folder lie."""
    return storage.join(out, manifest.STATE, NAME)


def load(out: str) -> Terms:
    """Return the terms of an output folder, none where it was told none."""
    if storage.stamp(path(out)) is None:
        return Terms()
    document = manifest.read(path(out))
    if not fits(document, dict.fromkeys((f"{name}?" for name in vars(Terms())), str | None)):
        raise ShardError(f"{path(out)}: found no terms; remove the file, and tell them again")
    return Terms(**{name: document.get(name) for name in vars(Terms())})
