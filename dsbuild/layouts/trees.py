"""Folders of pictures: walk them, match them by stem, divide them into splits."""

import hashlib
import posixpath
from collections.abc import Callable, Iterable, Iterator

from dsbuild import storage
from dsbuild.errors import LayoutError, PlanError
from dsbuild.findings import Finding


def walk(root: str, folder: str) -> Iterator[str]:
    """Yield all files below a folder, by name, as paths relative to root."""
    for name in storage.names(storage.join(root, folder)):
        path = f"{folder}/{name}"
        if storage.is_folder(storage.join(root, path)):
            yield from walk(root, path)
        else:
            yield path


def is_picture(path: str) -> bool:
    """Tell by its name whether a file is a picture: not AppleDouble, not .DS_Store."""
    name = posixpath.basename(path)
    return name[0] != "." and name.lower().endswith((".jpg", ".jpeg", ".png"))


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


def check_fraction(fraction: float) -> None:
    """Raise PlanError where a share of val is none."""
    if not 0 <= fraction < 1:
        raise PlanError(f"--val-fraction {fraction}: expected 0 or more, below 1")


def divide(unit: str, fraction: float, seed: int) -> str:
    """Return the split of a unit, train or val: by a hash, so never by what else there is."""
    digest = hashlib.sha256(f"{seed}\0{unit}".encode(errors="surrogateescape")).digest()
    return "val" if int.from_bytes(digest[:8]) < fraction * 2**64 else "train"


def divided(splits: Iterable[str]) -> tuple[str, ...]:
    """Return train and val, as far as they occur."""
    there = set(splits)
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
