"""Look into a folder without listing all of it, and find the name that a missing path may mean.

Recognising a data set takes a few names of each folder, while a folder may hold millions.
"""

from typing import NamedTuple

from dsbuild.errors import StorageError, nearest
from dsbuild.storage import files, forks, local, objects

MOST = 10_000  # names of a folder that are looked at


class Some(NamedTuple):
    """Names in a folder, sorted, each with whether it is a folder; and whether these are all."""

    entries: list[tuple[str, bool]]
    whole: bool


def some(folder: str, most: int = MOST) -> Some:
    """Return up to `most` names in a folder in the time that these take; a missing one has none."""
    if not files.is_remote(folder):
        return Some(*local.some(folder, most))
    if not forks.cut():
        return Some(*objects.some(folder, most))
    from dsbuild.storage import forked  # here, since few processes need it

    return Some(*forked.some(folder, most))


def missing(path: str, what: str = "folder") -> str:
    """Say that a path is missing, and which name it may have meant.

    `camvid/lable: no such folder; did you mean label?` Or `data/vco/VOC2012: no such folder: there
    is no data/vco; did you mean voc?`
    """
    said, lost = f"{path}: no such {what}", files.normal(path)
    try:
        while True:
            above = files.normal(files.join(lost, ".."))
            if above == lost:
                return said
            if files.is_folder(above):
                break
            if files.stamp(above):
                return f"{said}: {above} is a file"
            lost = above
        names = [name for name, is_folder in some(above).entries if is_folder or what != "folder"]
    except StorageError:  # whatever this names is missing too, or closed to us
        return said
    first = "" if lost == files.normal(path) else f": there is no {lost}"
    return f"{said}{first}{nearest(files.name(lost), names)}"
