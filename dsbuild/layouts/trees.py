"""Folders of pictures: walk them, match them by stem, divide them into splits."""

import hashlib
import posixpath
from collections.abc import Callable, Iterator

from dsbuild import storage
from dsbuild.errors import LayoutError


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


def in_val(unit: str, fraction: float, seed: int) -> bool:
    """Tell whether a unit goes into val: by a hash, so never by what else there is."""
    digest = hashlib.sha256(f"{seed}\0{unit}".encode(errors="surrogateescape")).digest()
    return int.from_bytes(digest[:8]) < fraction * 2**64


def leftovers(root: str, images: str, labels: str, key: Callable[[str, str], str]) -> list[str]:
    """Say which files below two folders are strays, and which labels have no image.

    `key(path, folder)` is what an image and its label have in common.
    """
    files = [*walk(root, images), *walk(root, labels)]
    strays = [path for path in files if not is_picture(path)]
    have = {key(path, images) for path in pictures(root, images)}
    alone = [path for path in pictures(root, labels) if key(path, labels) not in have]
    found = []
    if strays:
        found.append(f"left out {len(strays):,} stray files, such as {strays[0]}")
    if alone:
        found.append(f"found {len(alone):,} labels without an image, such as {alone[0]}")
    return found
