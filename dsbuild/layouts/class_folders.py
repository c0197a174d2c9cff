"""Find the folders of classes below a folder: directly in it, or in one folder per split.

Whatever may be read in two ways is refused: a split taken for a class would be lost in silence.
"""

import itertools
import posixpath
from collections.abc import Collection, Iterable

from dsbuild import storage
from dsbuild.errors import LayoutError
from dsbuild.format.split_names import role
from dsbuild.layouts import written
from dsbuild.layouts.folder_names import kind
from dsbuild.layouts.folders import (
    check_link,
    composed,
    folders,
    has_picture,
    is_picture,
    require,
    stem,
)
from dsbuild.layouts.recognition import Glance, listed, suffix

_TRIED = 20  # folders that must have pictures before classes are recognised
_FEW = 2  # so few folders may be images and labels
SOURCE = "the folder that holds one folder per class, or splits with such folders"


def tree_of(root: str, names: Collection[str] = ()) -> dict[str, list[str]]:
    """Return the folders of classes by split, relative to root; without splits by "".

    `names` are those of the classes, if the user gave them.
    """
    top = _folders(root)
    if not top:
        require(root)
        raise LayoutError(f"{root}: found no folders, expected {SOURCE}: dsbuild classes SOURCE")
    there = {name: storage.entries(storage.join(root, name)) for name in top}
    own = [name for name in top if any(is_picture(file) for file, _ in there[name])]
    tree = {"": top} if own else {name: _folders(root, name) for name in top}
    if own:
        inner = {name: [file for file, is_folder in there[name] if is_folder] for name in top}
        _check_classes(root, inner, own)
    elif names and {*map(composed, top)} <= {*names}:
        tree = {"": top}
    elif not names or not {*names_in(tree)} <= {*names}:
        _check_splits(root, tree)
    full = {
        split: [folder for folder in below if has_picture(root, folder)]
        for split, below in tree.items()
    }
    empty = [split for split in full if not full[split]]
    filled = {*names_in(full)}
    empty += [f for below in tree.values() for f in below if name_of(f) not in filled]
    if empty:
        raise LayoutError(
            f"{storage.join(root, empty[0])}: found no picture below this folder, expected .jpg or "
            ".png; remove it, or start its name with a dot"
        )
    for below in full.values():
        _check_names(root, below)
    if len(filled) == 1:
        _check_one(root, next(iter(full.values()))[0])
    return full


def _check_classes(root: str, top: dict[str, list[str]], own: list[str]) -> None:
    """Raise LayoutError if some folders may be splits; those in `own` hold pictures themselves.

    `top` maps each folder to the names of the folders in it.
    """
    for name in top:
        if role(name) and name not in own:
            raise LayoutError(
                f"{root}: found {name} without pictures of its own beside {own[0]}, which has "
                "some; expected either splits or classes; move the pictures into folders of "
                "classes"
            )
    called = [name for name in own if role(name)]
    if called and (called == own or len({*map(role, called)}) > 1):
        raise LayoutError(
            f"{root}: found pictures directly in {called[0]}, which is the name of a split; "
            "expected them in folders of classes; move them there, or out of SOURCE"
        )
    for name, below in top.items():
        inner = [folder for folder in below if role(folder)]
        if len({*map(role, inner)}) > 1 or any(role(folder) != "train" for folder in inner):
            raise _inverted(root, name, inner)


def _check_splits(root: str, tree: dict[str, list[str]]) -> None:
    """Raise LayoutError if folders without pictures of their own may not be splits."""
    for name, below in tree.items():
        inner = [folder for folder in map(posixpath.basename, below) if role(folder)]
        if inner and len(inner) == len(below):
            raise _inverted(root, name, inner)
    others = [name for name in tree if not role(name) and has_picture(root, name)]
    if others and len(others) < len(tree):
        split = next(name for name in tree if name not in others)
        raise LayoutError(
            f"{root}: found {others[0]} beside {split}, a folder of classes without the name of a "
            "split; expected only splits; move it away, rename it, or list the folders of the "
            "classes in a file, one per line: --classes FILE"
        )
    if others:
        raise LayoutError(
            f"{root}: found folders like {others[0]} without pictures of their own but with "
            f"folders like {tree[others[0]][0]}: are they classes or splits? Expected names of "
            "splits like train; list the folders of the classes in a file, one per line: "
            "--classes FILE"
        )


def _inverted(root: str, name: str, inner: list[str]) -> LayoutError:
    return LayoutError(
        f"{storage.join(root, name)}: found {' and '.join(inner)} in it: splits below a class or a "
        "split; expected <split>/<class>/<name>.jpg; name this folder as SOURCE if it holds "
        "the splits, or else move the splits above the classes"
    )


def _check_names(root: str, below: list[str]) -> None:
    """Raise LayoutError if the name of a class cannot be stored, or two folders share it."""
    seen: dict[str, str] = {}
    for folder in below:
        name = name_of(folder)
        if not name.isprintable():
            raise LayoutError(
                f"{storage.join(root, folder)}: found a class whose name is not UTF-8 or has "
                "control characters; rename the folder"
            )
        if name in seen:
            raise LayoutError(
                f"{storage.join(root, folder)}: found {seen[name]} with the same name in another "
                "Unicode form, expected one folder per class; move the pictures into one of them"
            )
        seen[name] = folder


def _check_one(root: str, folder: str) -> None:
    """Raise LayoutError if the only class holds just folders, which may be the classes."""
    inner = folders(root, folder)
    if len(inner) > 1 and not any(map(is_picture, storage.names(storage.join(root, folder)))):
        raise LayoutError(
            f"{storage.join(root, folder)}: found only one class, and in it no picture but folders "
            f"like {inner[0]}; expected one folder per class; if these are the classes, move them "
            "up"
        )


def check_lists(root: str, keys: Iterable[str], classes: Collection[str]) -> None:
    """Raise LayoutError if lists of splits lie beside classes: they would be overlooked."""
    names = {key: key for key in keys}
    found, refused = written.lists(root, "", lambda _: names, classes)
    for split in (*found, *refused):
        if role(split) or split in refused:
            raise LayoutError(
                f"{found.get(split) or refused[split].partition(': ')[0]}: found the list of a "
                "split beside folders of classes, expected <split>/<class>/<name>.jpg; move the "
                "pictures into folders of splits, or remove the list"
            )


def _folders(root: str, above: str = "") -> list[str]:
    """Return the folders in a folder, except hidden ones, relative to root."""
    names = folders(root, above)
    for name in names:
        check_link(storage.join(root, above) if above else root, name)
    return [posixpath.join(above, name) for name in names]


def name_of(folder: str) -> str:
    """Return the name of a class by its folder."""
    return composed(posixpath.basename(folder))


def names_in(tree: dict[str, list[str]]) -> list[str]:
    """Return the names of all classes in a tree, sorted."""
    return sorted({name_of(folder) for below in tree.values() for folder in below})


def key_of(path: str, folder: str) -> str:
    """Return the key of a picture in the folder of a class."""
    return f"{name_of(folder)}/{stem(path, folder)}"


def folders_of_classes(root: str, glance: Glance) -> tuple[list[str], str]:
    """Return the names of folders that look like classes, and in words where they are.

    If nothing looks like classes, return no names, and why.
    """
    top = glance.folders(root)
    splits = [name for name in top if role(name)]
    told = [name for name in top if kind(name)]
    if not top or told:
        return [], f"{listed(told)}, not classes by the name" if told else "no folders"
    if not splits:
        why = _doubt(root, top, glance)
        return ([], why) if why else (top, "")
    if len(splits) < len(top):
        other = next(name for name in top if name not in splits)
        return [], f"{splits[0]}, the name of a split, beside {other}, which is none"
    for split in splits:
        names = glance.folders(storage.join(root, split))
        told = [name for name in names if kind(name) or role(name)]
        why = f"{told[0]}, not a class by the name" if told else ""
        why = why or _doubt(storage.join(root, split), names, glance)
        if why:
            return [], f"in {split}: {why}"
    names = sorted({name for one in splits for name in glance.folders(storage.join(root, one))})
    return names, f", in {listed(splits)}"


def _doubt(root: str, names: list[str], glance: Glance) -> str:
    """Return why folders may be something other than classes, or ""."""
    if glance.pictures(root):
        return f"pictures such as {glance.pictures(root)[0]} in no folder of a class"
    if len(names) < 2:
        return f"only one folder, {names[0]}" if names else "no folders"
    first = names[:_TRIED]
    bare = [name for name in first if not glance.pictures(storage.join(root, name))]
    if bare:
        return f"no picture directly in the folder {bare[0]}"
    if len(names) <= _FEW:
        for one, other in itertools.permutations(names, 2):
            files = (glance.pictures(storage.join(root, name)) for name in (one, other))
            if suffix(*files) is not None:
                return (
                    f"pictures of {one} and {other} with the same names, as images and labels have"
                )
    return ""
