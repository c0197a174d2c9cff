"""Find the JSON files of COCO's form below a folder, and the images that each of them names.

    annotations/instances_<split>.json      <split>/ or images/<split>/     as published, or CVAT's
    <split>/_annotations.coco.json          the same folder                 Roboflow's
    <name>.json                             images/, data/ or beside it     one file for all

A split is called by its usual name: train for train2017, val for valid.
"""

import posixpath
import re
from collections.abc import Container, Iterator, Sequence
from typing import NamedTuple

from dsbuild import storage
from dsbuild.errors import LayoutError
from dsbuild.format.split_names import role
from dsbuild.layouts.coco_file import looks
from dsbuild.layouts.finding import Finding
from dsbuild.layouts.folders import folders, pictures

_ROBOFLOW = "_annotations.coco.json"
_LOOKED = 8  # JSON files of a folder that are looked at
_PLACES = ("", "images", "data", "imgs", "JPEGImages")


class Source(NamedTuple):
    """A file of annotations.

    Attributes:
      path: of the file, relative to root.
      split: that it is of; empty if it may be divided.
      folder: the name that the folder of its images may have.
    """

    path: str
    split: str
    folder: str


def sources(root: str, kind: str) -> tuple[Source, ...]:
    """Return the files of a kind, such as `instances`, below root: by split, or one for all."""
    found = published(root, kind) or ([] if kind == "panoptic" else _by_folder(root, kind))
    return _distinct(found or _single(root, kind))


def published(root: str, kind: str) -> list[Source]:
    """Return the files annotations/<kind>_*.json."""
    found = []
    for name in _files(root, "annotations"):
        match = re.fullmatch(rf"{kind}_(.+)\.json", name)
        if match:
            found.append(Source(f"annotations/{name}", _split(match[1]), match[1]))
    return found


def _by_folder(root: str, kind: str) -> list[Source]:
    """Return the files of folders named after splits."""
    found = list[Source]()
    for folder in folders(root):
        if role(folder):
            names = [name for name in _files(root, folder) if name.endswith(".json")]
            names = [name for name in names if name == _ROBOFLOW] or names[:_LOOKED]
            there = [name for name in names if looks(storage.join(root, folder, name))]
            there = [name for name in there if there[1:] and kind in name] or there
            if there[1:]:
                raise LayoutError(
                    f"{storage.join(root, folder)}: found {', '.join(there[:3])}; expected one "
                    "file of annotations; move the others away, or name one with --annotations"
                )
            found += (Source(f"{folder}/{name}", _split(folder), folder) for name in there)
    return found


def _single(root: str, kind: str) -> list[Source]:
    """Return files beside the images: one per split, or one for all."""
    names = [
        f"{folder}/{name}".lstrip("/")
        for folder in ("", "annotations")
        for name in _files(root, folder)
        if name.endswith(".json") and (kind == "panoptic") == name.startswith("panoptic")
    ]
    there = [name for name in names if looks(storage.join(root, name))]
    stems = {name: posixpath.basename(name).removesuffix(".json") for name in there}
    bare = {name: stem.removeprefix(f"{kind}_") for name, stem in stems.items()}
    of_splits = [Source(name, _split(stem), stem) for name, stem in bare.items() if role(stem)]
    if of_splits or not there:
        return of_splits
    if len(there) > 1:
        named = [name for name in there if kind in stems[name]]
        if len(named) != 1:
            raise LayoutError(
                f"{root}: found {', '.join(there[:3])}; expected one file of annotations, or one "
                "per split; name one with --annotations"
            )
        there = named
    return [Source(there[0], "", stems[there[0]])]


def _files(root: str, folder: str) -> list[str]:
    where = storage.join(root, folder) if folder else root
    if not storage.is_folder(where):
        return []
    return [name for name, is_folder in storage.entries(where) if not is_folder and name[0] != "."]


def _split(name: str) -> str:
    """Return the name of a split: `train` for train2017, `val` for valid.

    >>> _split("train2017"), _split("valid"), _split("default"), _split("minival2014")
    ('train', 'val', 'train', 'minival')
    """
    if name == "default":
        return "train"  # as CVAT calls a task without splits
    return role(name) or re.sub(r"[^\w-]", "_", name, flags=re.ASCII)


def _distinct(found: list[Source]) -> tuple[Source, ...]:
    """Return sources whose splits differ, by their own names if two are for the same."""
    splits = [one.split for one in found]
    twice = {split for split in splits if splits.count(split) > 1}
    return tuple(
        one._replace(split=re.sub(r"[^\w-]", "_", one.folder, flags=re.ASCII))
        if one.split in twice
        else one
        for one in found
    )


def recognised(path: str, kinds: Sequence[str]) -> tuple[str, tuple[Source, ...]]:
    """Return the first of some kinds that a folder has JSON files of, and these; there may be none.

    Files with the published names come first.
    """
    for place in (path, storage.join(path, "coco")):
        if not storage.is_folder(place):
            continue
        named = [kind for kind in kinds if published(place, kind)]
        for kind in named or kinds:
            found = sources(place, kind)
            if found and looks(storage.join(place, found[0].path)):
                return kind, found
    return "", ()


def folder_of(
    root: str, source: Source, names: list[str], given: str, above: Sequence[str] = ()
) -> str:
    """Return the folder, relative to root, that has the images with some of these names.

    `given` is the only one to look in, if it is not empty. Names may also lie there in the last
    of the folders `above` that were cut off them. Raises LayoutError if none has them, or only
    several such folders have.
    """
    places = [given] if given else list(dict.fromkeys(_candidates(source)))
    for place in places:
        if _has(root, place, names):
            return place
    tails = [posixpath.join(*above[i:]) for i in reversed(range(len(above))) if above[i]]
    inner = dict.fromkeys(posixpath.join(place, tail) for tail in tails for place in places)
    found = [place for place in inner if _has(root, place, names)]
    if len(found) == 1:
        return found[0]
    path = storage.join(root, source.path)
    if found:
        raise LayoutError(
            f"{path}: found images called {names[0]} in {' and in '.join(found[:3])} below {root}; "
            "name the folder of the images with --images"
        )
    listed = ", ".join(place or "." for place in [*places, *list(inner)[: len(places)]])
    raise LayoutError(
        f"{path}: found no image {names[0]} in {listed} below {root}; "
        "name the folder of the images with --images"
    )


def _has(root: str, place: str, names: Sequence[str]) -> bool:
    """Tell whether a folder, relative to root, has files with some of these names."""
    paths = [storage.join(root, place, name) for name in names]
    return any(stamp is not None for stamp in storage.stamps(paths))


def unlisted(
    root: str, split: str, source: Source, folder: str, names: Container[str]
) -> Iterator[Finding]:
    """Find pictures in the folder of a file that it does not list, if the folder is its own."""
    if source.split and posixpath.basename(folder) not in (source.folder, source.split):
        return
    for path in pictures(root, folder):
        if path.removeprefix(f"{folder}/") not in names:
            yield Finding("stray", split, f"{storage.join(root, path)}: no list has it")


def _candidates(source: Source) -> Iterator[str]:
    """Yield the folders in which the images of a file may be."""
    home = posixpath.dirname(source.path)
    above = posixpath.dirname(home)
    for base in dict.fromkeys((home, above, "")):
        for inner in (source.folder, source.split, ""):
            for place in _PLACES:
                yield posixpath.normpath(posixpath.join(base, place, inner)).removeprefix(".")
