"""Classes: pictures that show one class each, in a folder a class.

    <class>/.../<name>.jpg               pictures at any depth below the folder of their class
    <split>/<class>/.../<name>.jpg       the same in a folder a split

The folders of SOURCE are splits where none of them holds a picture itself, else classes.
torchvision's ImageFolder and Keras' image_dataset_from_directory read the same folders.
"""

import dataclasses
import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import ClassVar

from dsbuild import storage
from dsbuild.errors import LayoutError
from dsbuild.findings import Finding
from dsbuild.layouts.base import Layout, Sample
from dsbuild.layouts.trees import (
    SPLITS,
    Divided,
    by_key,
    check_link,
    is_picture,
    read_names,
    stem,
    walk,
)


@dataclass(frozen=True, kw_only=True)
class Classes(Divided, Layout):
    """Pictures in a folder a class; a label is the place of the folder's name in `names`."""

    name: ClassVar[str] = "classes"
    title: ClassVar[str] = "folders of images by class"
    source: ClassVar[str] = "the folder that holds a folder a class, or splits of such folders"
    default: ClassVar[str] = "it is ./data"
    schema: ClassVar[str] = "classification"
    ignore: ClassVar[int | None] = None
    reads_all: ClassVar[bool] = True

    names: tuple[str, ...] = field(
        default=(),
        metadata={
            "option": "--labels",
            "read": read_names,
            "help": "File of the classes' folders, one a line, by index. Default: all, sorted.",
        },
    )

    @property
    def classes(self) -> tuple[str, ...]:
        """Names by class index; none before `bind` where the user gave none."""
        return self.names

    def bind(self, root: str) -> "Classes":
        """Return the layout with the names of all folders, sorted, where the user gave none."""
        found = _names(_tree(root))
        strange = [name for name in found if self.names and name not in self.names]
        if strange:
            raise LayoutError(
                f"{root}: found a folder {strange[0]!r}, expected the {len(self.names)} classes "
                "that --labels lists; add it to the file, or move it out of SOURCE"
            )
        return dataclasses.replace(self, names=self.names or tuple(found))

    def find(self, source: str | None) -> str:
        """Return SOURCE itself, or ./data, where it has the folders."""
        root = storage.normal(source or "data")
        _tree(root)
        return root

    def splits(self, root: str) -> tuple[str, ...]:
        """Return the splits of folders, else train, and val for a fraction."""
        tree = _tree(root)
        if "" not in tree:
            return tuple(tree)
        return self.division(key for folder in tree[""] for key in by_key(root, folder, _key))

    def samples(self, root: str, split: str) -> Iterator[Sample]:
        """Yield the samples of a split by folder and name."""
        tree, names = _tree(root), self.bind(root).names
        for folder in tree.get(split) or tree[""]:
            label = names.index(posixpath.basename(folder))
            for key, path in by_key(root, folder, _key).items():
                if split in tree or self.divide(key) == split:
                    yield Sample(key, path, label)

    def findings(self, root: str, split: str, samples: Iterable[Sample]) -> list[Finding]:
        """Find classes that a split lacks, and stray files, with the first split they concern."""
        tree, there = _tree(root), {sample.label for sample in samples}
        missing = [name for i, name in enumerate(self.bind(root).names) if i not in there]
        known = _names(tree)
        found = [
            Finding(
                "classes",
                split,
                f"class {name!r}: {split} has no picture of it"
                if name in known
                else f"{root}: there is no folder {name!r}, which --labels lists",
            )
            for name in missing
        ]
        first = split == self.splits(root)[0]
        # Beside folders of classes a picture is one that lost its class; other files may be.
        # So is a link to a folder that is gone.
        stray = [
            name
            for name, is_folder in (storage.entries(root) if first else ())
            if is_picture(name) or not (is_folder or storage.stamp(storage.join(root, name)))
        ]
        for folder in tree.get(split) or (tree[""] if first else []):
            stray += [path for path in walk(root, folder) if not is_picture(path)]
        return [*found, *(Finding("stray", split, storage.join(root, path)) for path in stray)]


def _tree(root: str) -> dict[str, list[str]]:
    """Return the folders of classes by split, relative to root; all as of "" without splits."""
    top = _folders(root)
    if not top:
        raise LayoutError(
            f"{root}: found no folders, expected {Classes.source}: dsbuild classes SOURCE"
        )
    classes = [name for name in top if any(map(is_picture, storage.names(f"{root}/{name}")))]
    for name in top:
        if classes and name in SPLITS - {*classes}:
            raise LayoutError(
                f"{root}: found {name} without pictures of its own beside {classes[0]}, which has "
                "some, expected either splits or classes; move pictures into folders of classes"
            )
    if classes and {*classes} <= SPLITS:
        raise LayoutError(
            f"{root}: found pictures in {classes[0]} itself, which is the name of a split, "
            "expected them in folders of classes; move them there, or out of SOURCE"
        )
    tree = {"": top} if classes else {name: _folders(root, name) for name in top}
    full = {
        split: [folder for folder in folders if any(map(is_picture, walk(root, folder)))]
        for split, folders in tree.items()
    }
    empty = [split for split in full if not full[split]]
    names = {*_names(full)}
    empty += [f for fs in tree.values() for f in fs if posixpath.basename(f) not in names]
    if empty:
        raise LayoutError(
            f"{storage.join(root, empty[0])}: found no picture below this folder, expected .jpg or "
            ".png; remove it, or have its name begin with a dot"
        )
    return full


def _folders(root: str, above: str = "") -> list[str]:
    """Return the folders in a folder but for hidden ones, relative to root."""
    folder = storage.join(root, above) if above else root
    names = [name for name, is_folder in storage.entries(folder) if is_folder and name[0] != "."]
    for name in names:
        check_link(folder, name)
    return [posixpath.join(above, name) for name in names]


def _names(tree: dict[str, list[str]]) -> list[str]:
    return sorted({posixpath.basename(folder) for folders in tree.values() for folder in folders})


def _key(path: str, folder: str) -> str:
    return f"{posixpath.basename(folder)}/{stem(path, folder)}"
