"""Read lists of samples as people and their tools write them.

    <split>.txt              lines `<stem>`, `<path>.jpg`, or `<image> <label>`

A path is relative to SOURCE or to the folder of images, with any slashes. Blanks, commas,
semicolons or tabs separate image and label; names may be quoted. Lists are in SOURCE, in ImageSets
as in VOC, or in any folder beside that of the images.
"""

import posixpath
import re
from collections.abc import Callable, Collection, Iterator, Mapping

from dsbuild import storage
from dsbuild.errors import DeniedError, LayoutError, NoFileError
from dsbuild.format.names import RECEIPT
from dsbuild.format.split_names import role
from dsbuild.layouts.folders import composed, folders, is_picture
from dsbuild.layouts.texts import numbered

_SETS = ("ImageSets/Segmentation", "ImageSets/Main", "ImageSets")  # the first that has a list
OTHERS = "or name the other splits with --split"
# Tables that may hold a division; they are not read but refused.
_TABLES = frozenset(
    ".csv .tsv .lst .list .json .jsonl .yaml .yml .xml .npy .xlsx .xls .mat .pkl .parquet .ini "
    ".names .data .text .dat".split()
)
_HEAD = 1 << 22  # bytes of a table that are examined
_SPACE = re.compile(r"[\s,;|@]+")
_WORD = re.compile(r"[\s,;:|@=()\[\]{}<>]+")
_ROLES = {"train", "training", "val", "valid", "validation", "test", "testing", "dev"}
_QUOTES = "\"'`"

Index = Callable[[str], Mapping[str, str]]


def cleaned(name: str) -> str:
    """Return a path without quotes, with forward slashes between names only."""
    return composed(name.strip().strip(_QUOTES).replace("\\", "/").removeprefix("./").strip("/"))


def named(text: str, names: Mapping[str, str], images: str) -> str | None:
    """Return the key that a text names: a stem, or a path with or without extension."""
    path = cleaned(text)
    # The path above the folder of images may be that of another machine.
    for below in (path, f"/{path}".rpartition(f"/{images}/")[2]):
        for name in (below, posixpath.splitext(below)[0] if is_picture(below) else below):
            if name in names:
                return names[name]
    return None


def divided(line: str, names: Mapping[str, str], images: str) -> tuple[str, str] | None:
    """Return the key that a line names, and the label after it or ""; None if it names no key."""
    key = named(line, names, images)
    if key is not None:
        return key, ""
    for match in _SPACE.finditer(line):
        key = named(line[: match.start()], names, images)
        if key is not None:
            return key, line[match.end() :].strip(" \t,;|")
    return None


def lists(
    root: str, images: str, index: Index, skip: Collection[str] = ()
) -> tuple[dict[str, str], dict[str, str]]:
    """Return split -> path of the lists that name images, and split -> why others are refused.

    Lists are searched in all folders of root except `images` and those in `skip`. Raises
    LayoutError if two lists have the same name.
    """
    names: Mapping[str, str] | None = None
    found: dict[str, str] = {}
    refused: dict[str, str] = {}
    for path, split, ending in _candidates(root, (images, *skip)):
        names = index(images) if names is None else names
        if ending == ".txt":
            rows = numbered(path, escaped=True)
            if any(divided(line, names, images) for _, line in rows):
                if split in found:
                    raise LayoutError(
                        f"{path}: found {found[split]}, a list with the same name, expected only "
                        "one; remove one of them"
                    )
                found[split] = path
                continue
            if role(split):
                what = f"line {rows[0][0]}: found {rows[0][1]!r}" if rows else "the list is empty"
                refused[split] = (
                    f"{path}{', ' if rows else ': '}{what}; expected images in {images or 'SOURCE'}"
                    f", one per line, like a/7 or a/7.jpg; correct it, move it away, {OTHERS}"
                )
                continue
        reason = _division(path, split, names)
        if reason:
            refused[split] = (
                f"{path}: found {reason}; expected a list like train.txt with one image per line; "
                f"write such lists, or move it out of {root}"
            )
    if not found:
        refused |= {k: v for k, v in _above(root, images, index).items() if k not in refused}
    return found, {split: reason for split, reason in refused.items() if split not in found}


def _candidates(root: str, skip: Collection[str]) -> Iterator[tuple[str, str, str]]:
    """Yield path, name without extension, and extension of files that may be lists.

    In folders other than root and ImageSets only files with the name of a split may be.
    """
    sets = [name for name in _SETS if any(map(_is_text, storage.names(storage.join(root, name))))]
    others = [name for name in folders(root) if name not in skip and name != "ImageSets"]
    for place in ("", *sets[:1], *others):
        folder = storage.join(root, place) if place else root
        for name, is_folder in storage.entries(folder):
            split, ending = posixpath.splitext(name)
            ending = ending.lower()
            listed = ending == ".txt" or (not place and ending in _TABLES and name != RECEIPT)
            if listed and not is_folder and name[0] != "." and (place not in others or role(split)):
                yield storage.join(folder, name), split, ending


def _is_text(name: str) -> bool:
    return name.endswith(".txt")


def _division(path: str, split: str, names: Mapping[str, str]) -> str | None:
    """Return what shows that a table divides the images into splits, or None.

    Such a table names images, and has the name of a split or names two splits.
    """
    text = storage.read_part(path, 0, _HEAD).replace(b"\0", b"").decode("utf-8", "replace")
    words = {cleaned(word) for word in _WORD.split(text)}
    stems = {posixpath.splitext(word)[0] if is_picture(word) else word for word in words if word}
    named = {posixpath.basename(stem) for stem in stems} & {posixpath.basename(n) for n in names}
    if len(named) < min(2, len(names)):  # a single one may be a number by chance
        return None
    if role(split):
        return "a table of images with the name of a split"
    roles = {role(word.lower()) for word in words if word.lower() in _ROLES}
    return "a division of images into splits" if len(roles) > 1 else None


def _above(root: str, images: str, index: Index) -> dict[str, str]:
    """Return split -> why it is refused, for lists beside root that name its images."""
    folder = storage.normal(storage.join(root, ".."))
    try:
        there = storage.names(folder)
    except DeniedError:
        return {}  # the folder above may be closed to us
    refused = {}
    for name in there:
        split, ending = posixpath.splitext(name)
        if ending != ".txt" or not role(split):
            continue
        path, names = storage.join(folder, name), index(images)
        above = posixpath.join(storage.name(root), images)
        below = {posixpath.join(above, name): key for name, key in names.items()}
        try:
            rows = numbered(path, escaped=True)
        except (LayoutError, NoFileError, DeniedError):
            continue
        if any(divided(line, {**names, **below}, images) for _, line in rows[:100]):
            refused[split] = f"{path}: found a list of images in {root}; move it there, {OTHERS}"
    return refused


def agrees(root: str, split: str, folder: str, index: Index) -> bool:
    """Tell whether the list of a split names exactly the images in its folder."""
    names = index(folder)
    for path, name, ending in _candidates(root, ()):
        if name == split and ending == ".txt":
            rows = [divided(line, names, folder) for _, line in numbered(path, escaped=True)]
            listed = [row[0] for row in rows if row is not None]
            return len(listed) == len(rows) and {*listed} == {*names.values()}
    return False


def entries(
    path: str, names: Mapping[str, str], images: str, root: str, labels: str
) -> Iterator[tuple[str, str | None]]:
    """Yield key and label, or None, for each line of a list.

    A line that names no image is its own key: its image is missing. Raises LayoutError, with the
    line, if something other than a label follows an image.
    """
    for number, line in numbered(path, escaped=True):
        key, label = divided(line, names, images) or (cleaned(line), "")
        yield key, _label(root, labels, label, f"{path}, line {number}") if label else None


def _label(root: str, labels: str, label: str, where: str) -> str:
    """Return the path of the label that a line names; it may be missing."""
    name = cleaned(label)
    if ".." in name.split("/") or not is_picture(name):
        raise LayoutError(
            f"{where}: found {label!r} after an image, expected nothing, or the path of its label "
            f"below {root}; correct the line"
        )
    places = (name, posixpath.join(labels, name))
    return next((place for place in places if storage.stamp(storage.join(root, place))), name)
