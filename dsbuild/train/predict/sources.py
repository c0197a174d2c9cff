"""Find the images and videos to predict, by files, folders and patterns."""

import glob
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsbuild import storage
from dsbuild.errors import TrainError
from dsbuild.format import manifest
from dsbuild.reader import Reader
from dsbuild.storage import safe_text

IMAGES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
VIDEOS = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm")


class Piece(NamedTuple):
    """What a tile contributes to an image.

    Attributes:
      number: of the tile's sample.
      whole: the rows and columns of the image that are taken from the tile.
      inner: the same ones in the tile.
    """

    number: int
    whole: tuple[slice, slice]
    inner: tuple[slice, slice]


@dataclass(frozen=True)
class Source:
    """An image, which may be in pieces, or a video.

    Attributes:
      path: its path or URL.
      name: of the files that are written for it: with its sub-folders, without its ending.
      video: whether it is a video.
      pictures: number of pictures in the file, of which the first is predicted.
      pixels: returns the image, uint8 (h, w, 3) or uint16 (h, w, c), if it is not in a file of
        its own.
      pieces: what the tiles of an image contribute to it, if it is cut into tiles.
      samples: the tiles.
    """

    path: str
    name: str
    video: bool = False
    pictures: int = 1
    pixels: Callable[[], NDArray[np.uint8 | np.uint16]] | None = None
    pieces: tuple[Piece, ...] = ()
    samples: Reader | None = None


def find(paths: Sequence[str], out: str | None = None) -> tuple[Source, ...]:
    """Return the images and videos at some paths, each once, in order.

    Args:
      paths: files, folders, or patterns such as `photos/**/*.jpg`. A folder stands for all images
        and videos in it, at any depth; names keep the sub-folders, with patterns too.
      out: files in this folder are skipped if it is inside of another folder in `paths`, unless
        they are named themselves.

    Raises TrainError if a file does not exist, or a folder or pattern has no image or video.
    """
    sources: dict[str, Source] = {}
    for path in map(storage.normal, paths):
        for source in _at(path, out):
            sources.setdefault(source.path, source)
    return tuple(sources.values())


def _at(path: str, out: str | None) -> Iterable[Source]:
    if storage.is_folder(path):
        inside = list(_below(path, path, out))
        if not inside and storage.stamp(storage.join(path, manifest.NAME)) is not None:
            raise TrainError(
                f"{path}: found TFRecords, expected images; --split val predicts those of a split"
            )
        if not inside:
            raise TrainError(
                f"{path}: found no image or video in this folder, expected some whose names end in "
                f"{', '.join(IMAGES + VIDEOS)}"
            )
        return inside
    if storage.stamp(path) is not None:
        return [_source(path, storage.name(path))]
    if not glob.has_magic(path):
        raise TrainError(storage.missing(path, "file or folder"))
    matched = list(_matched(path, out))
    if not matched:
        raise TrainError(f"{path}: found no image or video that matches this pattern")
    return matched


def _matched(pattern: str, out: str | None) -> Iterator[Source]:
    """Yield the matches of a pattern; names begin below its last folder without a wildcard."""
    root = os.path.dirname(pattern)
    while glob.has_magic(root):
        root = os.path.dirname(root)
    for path in sorted(glob.glob(pattern, recursive=True)):
        if os.path.isdir(path) or not path.lower().endswith(IMAGES + VIDEOS):
            continue
        if _written(path, out, root or "."):
            continue
        yield _source(storage.normal(path), os.path.relpath(path, root or "."))


def _below(folder: str, root: str, out: str | None) -> Iterator[Source]:
    for name, is_folder in storage.entries(folder):
        path = storage.join(folder, name)
        if name.startswith(".") or _written(path, out, root):
            continue
        if is_folder:
            yield from _below(path, root, out)
        elif name.lower().endswith(IMAGES + VIDEOS):
            yield _source(path, storage.relative(folder, root) or ".", name)


def _written(path: str, out: str | None, root: str) -> bool:
    """Tell whether a path is inside of `out`, and `out` below `root`."""
    return out is not None and storage.inside(path, out) and not storage.inside(root, out)


def _source(path: str, *names: str) -> Source:
    """Return the source at a path; `names`, joined, name its results, still with the ending."""
    name, ending = os.path.splitext(os.path.normpath(os.path.join(*names)))
    if storage.is_remote(path):  # names of objects are not paths, and may lead anywhere
        name = safe_text.path(name)
    return Source(path, name, ending.lower() in VIDEOS)
