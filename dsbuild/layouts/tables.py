"""Read tables of samples: CSV or TSV with a column of images and one of labels.

    image,mask,split             a heading names the columns; a split is optional
    a/1.jpg,b/1.png,train        paths below SOURCE, or those of another machine that end so

Without a heading, a table has two columns of pictures.
"""

import csv
import posixpath
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from dsbuild import storage
from dsbuild.errors import LayoutError
from dsbuild.format.split_names import role
from dsbuild.layouts import texts
from dsbuild.layouts.divided import Part, Tree
from dsbuild.layouts.finding import Finding
from dsbuild.layouts.folders import composed, is_picture, stem, walk
from dsbuild.layouts.recognition import Glance
from dsbuild.layouts.written import cleaned

ENDINGS = (".csv", ".tsv")
_IMAGE = {"image", "images", "img", "imgs", "photo", "picture", "file", "filename", "input"}
_LABEL = {"mask", "masks", "label", "labels", "annotation", "annotations", "segmentation", "gt"}
_LABEL |= {"seg", "target", "groundtruth"}
_SPLIT = {"split", "subset", "set", "partition", "phase"}
_BESIDE = {"path", "name", "file", "paths", "names", "files", "id"}
_HEAD = 1 << 16  # bytes in which a heading and a first row are looked for


class Row(NamedTuple):
    """A line of a table: its number, and the texts in its columns; no split is empty."""

    number: int
    image: str
    label: str
    split: str


def place(root: str, given: str) -> str:
    """Return where a file or folder is that users name by SOURCE or by their own folder."""
    below = storage.join(root, given)
    return below if storage.stamp(below) or storage.is_folder(below) else given


def is_table(path: str) -> bool:
    """Tell by its name whether a file is a table."""
    return path.lower().endswith(ENDINGS)


def candidates(root: str) -> list[str]:
    """Return the tables in root that have columns of images and labels, by their headings."""
    found = []
    for name in filter(is_table, Glance().files(root)):
        head = storage.read_part(storage.join(root, name), 0, _HEAD).decode("utf-8-sig", "replace")
        first, _, rest = head.replace("\r", "\n").partition("\n")
        if rest.strip() and {"image", "label"} <= _columns(_split(first)).keys():
            found.append(name)
    return found


def _split(line: str) -> list[str]:
    return next(csv.reader([line], delimiter=_between(line)), [])


def _between(line: str) -> str:
    return max(",\t;", key=line.count)


def _columns(cells: Sequence[str]) -> dict[str, int]:
    """Return what columns hold -> their places, for a heading; a kind may occur only once."""
    found: dict[str, list[int]] = {}
    for at, cell in enumerate(cells):
        words = cell.strip().strip("\"'").casefold().replace("-", "_").replace(" ", "_").split("_")
        plain = [word for word in words if word not in _BESIDE] or words
        for what, names in (("image", _IMAGE), ("label", _LABEL), ("split", _SPLIT)):
            if len(plain) == 1 and plain[0] in names:
                found.setdefault(what, []).append(at)
    return {what: places[0] for what, places in found.items() if len(places) == 1}


def rows(path: str) -> Iterator[Row]:
    """Yield the rows of a table; raise LayoutError, with the line, for one that is cut."""
    lines = texts.numbered(path, escaped=True)
    if not lines:
        raise LayoutError(f"{path}: found an empty table, expected columns image and label")
    between = _between(lines[0][1])
    first = _split(lines[0][1])
    columns = _columns(first)
    if {"image", "label"} <= columns.keys():
        lines = lines[1:]
    elif len(first) == 2 and all(is_picture(cell.strip()) for cell in first):
        columns = {"image": 0, "label": 1}
    else:
        raise LayoutError(
            f"{path}: found the columns {', '.join(first)}, expected a heading with image and "
            "label (and split, if there are several), or two columns of pictures"
        )
    for number, line in lines:
        cells = next(csv.reader([line], delimiter=between))
        if len(cells) != len(first):
            raise LayoutError(
                f"{path}, line {number}: found {len(cells)} columns, expected {len(first)}"
            )
        texts_of = {what: cells[at].strip() for what, at in columns.items()}
        if not texts_of["image"] or not texts_of["label"]:
            raise LayoutError(
                f"{path}, line {number}: found an empty path, expected image and label"
            )
        yield Row(number, texts_of["image"], texts_of["label"], texts_of.get("split", ""))


class Entry(NamedTuple):
    """A sample of a table: its split, or "" if the table has none, its key and its files."""

    split: str
    key: str
    image: str
    label: str


def named(root: str, given: str, whole: Part) -> list[Entry]:
    """Return the samples of the table that users name; none if they name a folder of lists."""
    path = place(root, given)
    return [] if storage.is_folder(path) else entries(root, path, whole)


def entries(root: str, path: str, whole: Part) -> list[Entry]:
    """Return the samples of a table, with paths below root; files may be missing."""
    there = _there(root)
    folders = frozenset(above for path in there for above in _above(path))
    own = posixpath.splitext(storage.name(path))[0]
    found = []
    for number, *cells, split in rows(path):
        where = f"{path}, line {number}"
        image, label = (
            _path(where, cell, at, there, folders) for cell, at in zip(cells, whole, strict=True)
        )
        inside = image.startswith(f"{whole.images}/")
        key = stem(image, whole.images if inside else "")
        found.append(Entry(split or (own if role(own) else ""), key, image, label))
    return found


def _there(root: str) -> Mapping[str, str]:
    """Return all paths below root by their composed form, also without extensions."""
    paths = [*walk(root, "")]
    bare = {composed(posixpath.splitext(path)[0]): path for path in paths if is_picture(path)}
    return bare | {composed(path): path for path in paths}


def _above(path: str) -> list[str]:
    """Return all folders above a path."""
    parts = path.split("/")[:-1]
    return ["/".join(parts[: n + 1]) for n in range(len(parts))]


def _path(
    where: str, text: str, folder: str, there: Mapping[str, str], folders: frozenset[str]
) -> str:
    """Return the path below root that a cell names, by the longest end of it that is there.

    If its first folder is there, and not the file, the file is missing.
    """
    name = cleaned(text)
    if ".." in name.split("/"):
        raise LayoutError(f"{where}: found {text!r}, which leads out of SOURCE; correct the path")
    parts = name.split("/")
    below = len(parts) > 1 and not text.strip("\"' ").startswith("/")
    missing = below and {parts[0], f"{folder}/{parts[0]}"} & folders
    for at in range(1 if missing else len(parts)):
        end = "/".join(parts[at:])
        for path in (end, f"{folder}/{end}"):
            if path in there:
                return there[path]
    return name


def tree(path: str, found: Sequence[Entry]) -> Tree:
    """Return the splits of a table that has them; none if a hash is to divide its samples."""
    splits = {entry.split for entry in found}
    if len(splits) > 1 and "" in splits:
        raise LayoutError(f"{path}: found rows without a split beside {max(splits)}; fill them in")
    return Tree({}, dict.fromkeys(sorted(splits - {""}), path), {})


def folder_of_lists(path: str) -> Tree:
    """Return the lists in a folder that users name: every text file in it is one of a split."""
    names = [name for name in storage.names(path) if name.endswith(".txt") and name[0] != "."]
    if not names:
        raise LayoutError(f"{path}: found no list, expected files such as train.txt")
    return Tree({}, {name[:-4]: storage.join(path, name) for name in names}, {})


def unlisted(root: str, split: str, used: Collection[str]) -> Iterator[Finding]:
    """Find pictures beside those that a table names, in the same folders."""
    folders = {posixpath.dirname(path) for path in used}
    for path in walk(root, ""):
        if is_picture(path) and path not in used and posixpath.dirname(path) in folders:
            yield Finding("stray", split, f"{storage.join(root, path)}: no list has it")
