"""What is to be predicted: images and videos by files, folders and patterns."""

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from dsbuild import storage
from dsbuild.errors import TrainError
from dsbuild.storage import safe_text

IMAGES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
VIDEOS = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm")


@dataclass(frozen=True)
class Source:
    """An image or a video.

    Attributes:
      path: where it is.
      name: of what is made of it: with its sub-folders, without its ending.
      video: whether it is a video.
      pictures: how many it has, of which the first is predicted.
    """

    path: str
    name: str
    video: bool = False
    pictures: int = 1


def find(asked: Sequence[str], out: str | None = None) -> tuple[Source, ...]:
    """Return the images and videos that are meant, each once, in order.

    Args:
      asked: files, folders, or patterns such as `photos/**/*.jpg`. Of folders all images and
        videos are meant, at any depth, and names keep their sub-folders; so do patterns.
      out: what lies in this folder is left out where it is inside of one that is asked for, but
        for files that are named themselves.

    Raises TrainError where there is no such file, or none in a folder or for a pattern.
    """
    found: dict[str, Source] = {}
    for path in map(storage.normal, asked):
        for source in _meant(path, out):
            found.setdefault(source.path, source)
    return tuple(found.values())


def _meant(path: str, out: str | None) -> Iterable[Source]:
    if storage.is_folder(path):
        inside = list(_below(path, path, out))
        if not inside:
            raise TrainError(
                f"{path}: found no image or video in this folder, expected some whose names end in "
                f"{', '.join(IMAGES + VIDEOS)}"
            )
        return inside
    if storage.stamp(path) is not None:
        return [_source(path, storage.name(path))]
    if not glob.has_magic(path):
        raise TrainError(f"{path}: found no such file or folder")
    matched = list(_matched(path, out))
    if not matched:
        raise TrainError(f"{path}: found no image or video of this pattern")
    return matched


def _matched(pattern: str, out: str | None) -> Iterator[Source]:
    """Yield what a pattern matches; names are below its last folder without a wildcard."""
    root = os.path.dirname(pattern)
    while glob.has_magic(root):
        root = os.path.dirname(root)
    for path in sorted(glob.glob(pattern, recursive=True)):
        if os.path.isdir(path) or not path.lower().endswith(IMAGES + VIDEOS):
            continue
        if _lies(path, out, root or "."):
            continue
        yield _source(storage.normal(path), os.path.relpath(path, root or "."))


def _below(folder: str, root: str, out: str | None) -> Iterator[Source]:
    for name, is_folder in storage.entries(folder):
        path = storage.join(folder, name)
        if name.startswith(".") or _lies(path, out, root):
            continue
        if is_folder:
            yield from _below(path, root, out)
        elif name.lower().endswith(IMAGES + VIDEOS):
            yield _source(path, storage.relative(folder, root) or ".", name)


def _lies(path: str, out: str | None, root: str) -> bool:
    """Tell whether a path lies in `out`, and that below `root`."""
    return out is not None and storage.inside(path, out) and not storage.inside(root, out)


def _source(path: str, *names: str) -> Source:
    """Return the source of a path; the names are those of what is made of it, with the ending."""
    name, ending = os.path.splitext(os.path.normpath(os.path.join(*names)))
    if storage.is_remote(path):  # names of objects are no paths, and may lead anywhere
        name = safe_text.path(name)
    return Source(path, name, ending.lower() in VIDEOS)
