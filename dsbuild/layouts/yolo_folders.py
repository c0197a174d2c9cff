"""Find the folders of a YOLO data set: images, and the text files or masks beside them.

images/<split>    labels/<split>    masks/<split>      the folder of masks may have another name
<split>/images    <split>/labels    <split>/masks
"""

from collections.abc import Iterator
from typing import NamedTuple

from dsbuild import storage
from dsbuild.layouts import yolo_yaml
from dsbuild.layouts.folders import of_splits, walk


class Pair(NamedTuple):
    """The folders of a split's images and labels, relative to root."""

    images: str
    labels: str


def pairs(root: str, labels: str) -> dict[str, Pair]:
    """Return split -> folders of images and labels, the latter with their files' ending.

    The split is empty if nothing divides the images. Masks are in the folder that masks_dir in
    the YAML file names, or in `masks`.
    """
    for sort, kind, ending in (
        ("masks", yolo_yaml.masks(root), ".png"),
        ("polygons", "labels", ".txt"),
    ):
        if labels not in ("auto", sort):
            continue
        if storage.is_folder(storage.join(root, "images", "")) and _there(root, kind, ending):
            inner = {
                split: Pair(f"images/{name}", f"{kind}/{name}{ending}")
                for split, name in of_splits(root, "images").items()
            }
            return inner or {"": Pair("images", f"{kind}{ending}")}
        within = {
            split: name
            for split, name in of_splits(root).items()
            if storage.is_folder(storage.join(root, name, "images"))
        }
        if any(_there(root, f"{name}/{kind}", ending) for name in within.values()):
            return {
                split: Pair(f"{name}/images", f"{name}/{kind}{ending}")
                for split, name in within.items()
            }
    return {}


def _there(root: str, folder: str, ending: str) -> bool:
    """Tell whether a folder has a file with an ending, at any depth."""
    there = storage.is_folder(storage.join(root, folder))
    return there and any(True for _ in ending_in(root, folder, ending))


def ending_in(root: str, folder: str, ending: str) -> Iterator[str]:
    """Yield the files below a folder with an ending, in small or capital letters."""
    return (path for path in walk(root, folder) if path.lower().endswith(ending))
