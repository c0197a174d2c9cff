"""Recognise trees in the form of VOC that have classes of their own.

labelmap.txt         exports of CVAT and Datumaro
class_names.txt      labelme2voc of LabelMe
classes.txt ...      files that people add
"""

import posixpath
import re
from collections.abc import Sequence
from typing import NamedTuple

from dsbuild import storage
from dsbuild.errors import LayoutError, PlanError
from dsbuild.layouts.base import RGB
from dsbuild.layouts.class_files import read_colours, read_names
from dsbuild.layouts.texts import lines

_FILE = re.compile(
    r".*(label|class|names|categor).*\.(txt|csv|json|ya?ml)|.*\.names", re.IGNORECASE
)
_VOID = {"void", "ignore", "ignored", "border", "boundary", "unlabeled", "unlabelled", "ambigious"}


class Other(NamedTuple):
    """A file with classes that are not VOC's, the option that reads it, and the first of them."""

    path: str
    option: str
    name: str


def check(root: str, classes: Sequence[str], palette: Sequence[RGB]) -> None:
    """Raise LayoutError if a tree has a file with other classes than `classes`."""
    found = other(root, classes, palette)
    if found:
        raise LayoutError(
            f"{found.path}: found the class {found.name!r}, expected VOC's {len(classes)} in their "
            "order; this tree has its own: dsbuild pairs SOURCE --images JPEGImages --labels "
            f"SegmentationClass {found.option} {posixpath.basename(found.path)}, or move the file "
            "away if it does not belong to these labels"
        )


def other(root: str, classes: Sequence[str], palette: Sequence[RGB]) -> Other | None:
    """Return the first file in a tree that has other classes than `classes`; None without one."""
    for name, is_folder in storage.entries(root):
        if is_folder or name[0] == "." or not _FILE.fullmatch(name):
            continue
        path = storage.join(root, name)
        option, first = _first(path, classes, palette)
        if first:
            return Other(path, option, first)
    return None


def _first(path: str, classes: Sequence[str], palette: Sequence[RGB]) -> tuple[str, str | None]:
    """Return the option for a file of classes, and its first class unknown to the layout."""
    plain = [_plain(name) for name in classes]
    try:
        colours = read_colours(path)
    except (LayoutError, PlanError):
        colours = ()
    for name, *rgb in colours:
        same = _plain(name) in plain and palette[plain.index(_plain(name))] == tuple(rgb)
        if not same and _plain(name) not in _VOID:
            return "--colormap", name
    if colours:
        return "--colormap", None
    try:
        names = read_names(path)
    except (LayoutError, PlanError):
        words = [re.split(r"[,;:\t{\[\]}\"'|]", line.strip(" -\"'{["))[0] for line in lines(path)]
        other = [name for name in words if _plain(name) and _plain(name) not in {*plain, *_VOID}]
        return "--classes", other[0] if other else None
    own = [name for name in names if _plain(name) not in _VOID]
    pairs = zip(own, [*plain, *own], strict=False)
    other = [name for name, expected in pairs if _plain(name) != expected]
    if not other and len(own) < len(plain):
        return "--classes", own[-1] if own else names[0]
    return "--classes", other[0] if other else None


def _plain(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.casefold())
