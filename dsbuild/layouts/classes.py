"""Classes: pictures that show one class each, in one folder per class.

    <class>/.../<name>.jpg               pictures at any depth below the folder of their class
    <split>/<class>/.../<name>.jpg       the same, in one folder per split

The folders of SOURCE are classes if they hold pictures themselves; they are splits if they have
names of splits and hold folders of classes. If neither is certain, nothing is guessed.
torchvision's ImageFolder and Keras' image_dataset_from_directory read the same folders.
"""

import dataclasses
import posixpath
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from dsbuild import storage
from dsbuild.errors import LayoutError
from dsbuild.fields import field
from dsbuild.format.split_names import role
from dsbuild.layouts import written
from dsbuild.layouts.base import Layout, Sample
from dsbuild.layouts.class_files import read_names
from dsbuild.layouts.divided import Divided
from dsbuild.layouts.finding import Finding
from dsbuild.layouts.folders import (
    check_link,
    composed,
    folders,
    grouped,
    has_picture,
    is_picture,
    stem,
    twice,
    walk,
)


@dataclass(frozen=True, kw_only=True)
class Classes(Divided, Layout):
    """Pictures in one folder per class; a label is the index of the folder's name in `names`."""

    name: ClassVar[str] = "classes"
    title: ClassVar[str] = "folders of images by class"
    source: ClassVar[str] = (
        "the folder that holds one folder per class, or splits with such folders"
    )
    default: ClassVar[str] = "it is ./data"
    schema: ClassVar[str] = "classification"
    ignore: ClassVar[int | None] = None
    reads_all: ClassVar[bool] = True

    names: tuple[str, ...] = field(
        (),
        "File with the names of class folders, one per line, by index. Default: all, sorted.",
        option="labels",
        read=read_names,
    )

    @property
    def classes(self) -> tuple[str, ...]:
        """Names by class index; without --labels there are none before `bind`."""
        return self.names

    def bind(self, root: str) -> "Classes":
        """Return the layout with the names of all folders, sorted, unless the user gave names."""
        names = _names(_tree(root, self.names))
        strange = [name for name in names if self.names and name not in self.names]
        if strange:
            raise LayoutError(
                f"{root}: found a folder {strange[0]!r}, expected only the {len(self.names)} "
                "classes that --labels lists; add it to the file, or move it out of SOURCE"
            )
        return dataclasses.replace(self, names=self.names or tuple(names))

    def find(self, source: str | None) -> str:
        """Return SOURCE, or ./data, if it has the folders."""
        root = storage.normal(source or "data")
        _tree(root, self.names)
        return root

    def splits(self, root: str) -> tuple[str, ...]:
        """Return the splits that are folders; else train, and val if a fraction is set."""
        tree = _tree(root, self.names)
        if "" not in tree:
            return tuple(tree)
        keys = [key for folder in tree[""] for key in grouped(root, folder, _key)]
        _check_lists(root, keys, tree[""])
        return self.division(keys)

    def samples(self, root: str, split: str) -> Iterator[Sample]:
        """Yield the samples of a split by folder and name, except pictures that share a name."""
        tree, names = _tree(root, self.names), self.bind(root).names
        for folder in tree.get(split) or tree[""]:
            label = names.index(_name(folder))
            for key, paths in grouped(root, folder, _key).items():
                if len(paths) == 1 and (split in tree or self.divide(key) == split):
                    yield Sample(key, paths[0], label)

    def findings(self, root: str, split: str, samples: Iterable[Sample]) -> list[Finding]:
        """Find classes missing from a split, pictures that share a name, and stray files.

        What concerns no split or several splits is reported with the first one.
        """
        tree, there = _tree(root, self.names), {sample.label for sample in samples}
        missing = [name for i, name in enumerate(self.bind(root).names) if i not in there]
        folders_of_classes = _names(tree)
        found = [
            Finding(
                "classes",
                split,
                f"class {name!r}: {split} has no picture of it"
                if name in folders_of_classes
                else f"{root}: there is no folder {name!r}, which --labels lists",
            )
            for name in missing
        ]
        first = split == self.splits(root)[0]
        # Beside the folders of classes, a picture or a broken link has lost its class; other files
        # may be there.
        stray = [
            name
            for name, is_folder in (storage.entries(root) if first else ())
            if is_picture(name) or not (is_folder or storage.stamp(storage.join(root, name)))
        ]
        for folder in tree.get(split) or (tree[""] if first else []):
            keys: dict[str, tuple[str, ...]] = {}
            for path in walk(root, folder):
                if is_picture(path):
                    key = _key(path, folder)
                    keys[key] = (*keys.get(key, ()), path)
                else:
                    stray.append(path)
            for key, paths in keys.items():
                if len(paths) > 1:
                    text = f"sample {key}: {twice(root, paths)}"
                    found.append(Finding("same-name", split, text, fatal=True, key=key))
        return [*found, *(Finding("stray", split, storage.join(root, path)) for path in stray)]


def _tree(root: str, names: Collection[str] = ()) -> dict[str, list[str]]:
    """Return the folders of classes by split, relative to root; without splits by "".

    `names` are those of the classes, if the user gave them.
    """
    top = _folders(root)
    if not top:
        raise LayoutError(
            f"{root}: found no folders, expected {Classes.source}: dsbuild classes SOURCE"
        )
    there = {name: storage.entries(storage.join(root, name)) for name in top}
    own = [name for name in top if any(is_picture(file) for file, _ in there[name])]
    tree = {"": top} if own else {name: _folders(root, name) for name in top}
    if own:
        inner = {name: [file for file, is_folder in there[name] if is_folder] for name in top}
        _check_classes(root, inner, own)
    elif names and {*map(composed, top)} <= {*names}:
        tree = {"": top}
    elif not names or not {*_names(tree)} <= {*names}:
        _check_splits(root, tree)
    full = {
        split: [folder for folder in below if has_picture(root, folder)]
        for split, below in tree.items()
    }
    empty = [split for split in full if not full[split]]
    filled = {*_names(full)}
    empty += [f for below in tree.values() for f in below if _name(f) not in filled]
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
            "classes in a file, one per line: --labels FILE"
        )
    if others:
        raise LayoutError(
            f"{root}: found folders like {others[0]} without pictures of their own but with "
            f"folders like {tree[others[0]][0]}: are they classes or splits? Expected names of "
            "splits like train; list the folders of the classes in a file, one per line: "
            "--labels FILE"
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
        name = _name(folder)
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


def _check_lists(root: str, keys: Iterable[str], classes: Collection[str]) -> None:
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


def _name(folder: str) -> str:
    return composed(posixpath.basename(folder))


def _names(tree: dict[str, list[str]]) -> list[str]:
    return sorted({_name(folder) for below in tree.values() for folder in below})


def _key(path: str, folder: str) -> str:
    return f"{_name(folder)}/{stem(path, folder)}"
