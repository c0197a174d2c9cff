"""Folders of pictures: walk them, match them by stem, divide them into splits."""

import posixpath
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from dsbuild import storage
from dsbuild.errors import LayoutError, PlanError
from dsbuild.findings import Finding


def walk(root: str, folder: str) -> Iterator[str]:
    """Yield all files below a folder, by name, as paths relative to root.

    Hidden folders are left out: what editors keep there are copies.
    """
    for name, is_folder in storage.entries(storage.join(root, folder)):
        path = f"{folder}/{name}"
        if not is_folder:
            yield path
        elif name[0] != ".":
            check_link(storage.join(root, folder), name)
            yield from walk(root, path)


def check_link(folder: str, name: str) -> None:
    """Raise LayoutError where a folder in a folder is a link to one above: it has no end."""
    path = storage.join(folder, name)
    if storage.inside(folder, path):
        raise LayoutError(f"{path}: found a link to a folder above it, which has no end; remove it")


# The last ones can be converted; as they are they are refused by name, not overlooked.
_ENDINGS = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".bmp", ".gif")


def is_picture(path: str) -> bool:
    """Tell by its name whether a file is a picture: not AppleDouble, not .DS_Store."""
    name = posixpath.basename(path)
    return name[0] != "." and name.lower().endswith(_ENDINGS)


def pictures(root: str, folder: str) -> list[str]:
    """Return the pictures below a folder, by name, as paths relative to root."""
    return [path for path in walk(root, folder) if is_picture(path)]


def stem(path: str, folder: str) -> str:
    """Return a path without its folder and its extension.

    >>> stem("src/a/b.png", "src")
    'a/b'
    """
    return posixpath.splitext(path.removeprefix(folder + "/"))[0]


def by_key(root: str, folder: str, key: Callable[[str, str], str] = stem) -> dict[str, str]:
    """Return key -> path of the pictures below a folder, by name.

    Raises LayoutError where two have one key: which of them is meant is not known.
    """
    found: dict[str, str] = {}
    for path in pictures(root, folder):
        name = key(path, folder)
        if name in found:
            raise LayoutError(
                f"{storage.join(root, path)}: found {found[name]} of the same name, expected one "
                "picture a name; remove one of them"
            )
        found[name] = path
    return found


def lists(folder: str) -> list[str]:
    """Return the names of the lists in a folder, `.txt` taken off."""
    names = storage.names(folder)
    return [name[:-4] for name in names if name.endswith(".txt") and name[0] != "."]


def lines(path: str) -> list[str]:
    """Return a text file's lines without blanks around them, empty ones left out."""
    text = storage.read(path)[0].decode("utf-8-sig", "replace")
    return [line.strip() for line in text.splitlines() if line.strip()]


def read_names(path: str) -> tuple[str, ...]:
    """Return the class names of a file, one a line, in the order of their indices."""
    names = tuple(lines(path))
    if not 0 < len(set(names)) == len(names):
        raise PlanError(
            f"{path}: found {len(names)} names, {len(set(names))} of them different, expected one "
            "or more, one a line, all different"
        )
    return names


SPLITS = {"train", "val", "valid", "validation", "test"}  # names that folders of splits have
VAL_HELP = {"help": "Share of val, where neither folders nor lists decide; 0 puts all into train."}


@dataclass(frozen=True, kw_only=True)
class Divided:
    """The options of layouts that may have to divide samples into train and val themselves."""

    val_fraction: float = field(default=0.0, metadata=VAL_HELP)
    split_seed: int = field(default=0, metadata={"help": "Of the division into train and val."})

    def __post_init__(self):
        if not 0 <= self.val_fraction < 1:
            raise PlanError(f"--val-fraction {self.val_fraction}: expected 0 or more, below 1")

    def divide(self, unit: str) -> str:
        """Return the split of a unit: by a hash, so never by what else there is."""
        import hashlib

        seeded = f"{self.split_seed}\0{unit}".encode(errors="surrogateescape")
        place = int.from_bytes(hashlib.sha256(seeded).digest()[:8])
        return "val" if place < self.val_fraction * 2**64 else "train"

    def division(self, units: Iterable[str]) -> tuple[str, ...]:
        """Return train and val, as far as some of the units are in them."""
        there = {self.divide(unit) for unit in units}
        return tuple(split for split in ("train", "val") if split in there)


def leftovers(
    root: str, split: str, images: str, labels: str, key: Callable[[str, str], str]
) -> list[Finding]:
    """Find files below two folders that are strays, and labels that have no image.

    `key(path, folder)` is what an image and its label have in common.
    """
    files = {folder: list(walk(root, folder)) for folder in (images, labels)}
    have = {key(path, images) for path in files[images] if is_picture(path)}
    found = []
    for folder, paths in files.items():
        for path in paths:
            if not is_picture(path):
                found.append(Finding("stray", split, storage.join(root, path)))
            elif folder == labels and key(path, labels) not in have:
                found.append(Finding("label-alone", split, storage.join(root, path)))
    return found
