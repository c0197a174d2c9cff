"""Classes: pictures that show one class each, in one folder per class.

    <class>/.../<name>.jpg               pictures at any depth below the folder of their class
    <split>/<class>/.../<name>.jpg       the same, in one folder per split

The folders of SOURCE are classes if they hold pictures themselves; they are splits if they have
names of splits and hold folders of classes. If neither is certain, nothing is guessed.
torchvision's ImageFolder and Keras' image_dataset_from_directory read the same folders.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from dsbuild import storage
from dsbuild.errors import LayoutError
from dsbuild.fields import field
from dsbuild.layouts.base import Layout, Sample
from dsbuild.layouts.class_files import read_names
from dsbuild.layouts.class_folders import (
    SOURCE,
    check_lists,
    folders_of_classes,
    key_of,
    name_of,
    names_in,
    tree_of,
)
from dsbuild.layouts.division import Divided, in_order, leaks
from dsbuild.layouts.finding import Finding
from dsbuild.layouts.folders import grouped, is_picture, twice, walk
from dsbuild.layouts.recognition import FORMED, Glance, Recognised, listed


@dataclass(frozen=True, kw_only=True)
class Classes(Divided, Layout):
    """Pictures in one folder per class; a label is the index of the folder's name in `names`."""

    name: ClassVar[str] = "classes"
    title: ClassVar[str] = "folders of images by class"
    source: ClassVar[str] = SOURCE
    default: ClassVar[str] = "it is ./data"
    schema: ClassVar[str] = "classification"
    ignore: ClassVar[int | None] = None
    reads_all: ClassVar[bool] = True

    names: tuple[str, ...] = field(
        (),
        "File with the names of class folders, one per line, by index. Default: all, sorted.",
        option="classes",
        old=("labels",),
        read=read_names,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_division()

    @property
    def classes(self) -> tuple[str, ...]:
        """Names by class index; without --classes there are none before `bind`."""
        return self.names

    def bind(self, root: str) -> "Classes":
        """Return the layout with the names of all folders, sorted, unless the user gave names."""
        names = names_in(tree_of(root, self.names))
        strange = [name for name in names if self.names and name not in self.names]
        if strange:
            raise LayoutError(
                f"{root}: found a folder {strange[0]!r}, expected only the {len(self.names)} "
                "classes that --classes lists; add it to the file, or move it out of SOURCE"
            )
        return dataclasses.replace(self, names=self.names or tuple(names))

    def find(self, source: str | None) -> str:
        """Return SOURCE, or ./data, if it has the folders."""
        root = storage.normal(source or "data")
        tree_of(root, self.names)
        return root

    @classmethod
    def recognise(cls, path: str, _given: Mapping[str, str], /) -> Recognised:
        """Recognise folders of pictures without names that say what else they hold."""
        names, text = folders_of_classes(path, Glance())
        if not names:
            return cls.seen(0, text)
        number = f"{len(names):,} class{'' if len(names) == 1 else 'es'}"
        return cls.seen(FORMED, f"{cls.title}: {number} ({listed(names)}){text}")

    def splits(self, root: str) -> tuple[str, ...]:
        """Return the splits that are folders; else train, and val if a fraction is set."""
        tree = tree_of(root, self.names)
        if "" not in tree:
            return tuple(tree)
        keys = [key for folder in tree[""] for key in grouped(root, folder, key_of)]
        check_lists(root, keys, tree[""])
        return in_order(self._assigned(root, tree[""]).values())

    def _assigned(self, root: str, folders: list[str]) -> dict[str, str]:
        """Return key -> split for the pictures in folders of classes without splits."""
        names = self.bind(root).names
        places = {
            key: p[0] for folder in folders for key, p in grouped(root, folder, key_of).items()
        }
        labels = ((key, names.index(key.partition("/")[0])) for key in places)
        return self.assigned(root, places, labels, top=1)

    def samples(self, root: str, split: str) -> Iterator[Sample]:
        """Yield the samples of a split by folder and name, except pictures that share a name."""
        tree, names = tree_of(root, self.names), self.bind(root).names
        places = self._assigned(root, tree[""]) if split not in tree else {}
        for folder in tree.get(split) or tree[""]:
            label = names.index(name_of(folder))
            for key, paths in grouped(root, folder, key_of).items():
                if len(paths) == 1 and (split in tree or places[key] == split):
                    yield Sample(key, paths[0], label)

    def findings(self, root: str, split: str, samples: Iterable[Sample]) -> list[Finding]:
        """Find classes missing from a split, pictures that share a name, and stray files.

        What concerns no split or several splits is reported with the first one.
        """
        tree, there = tree_of(root, self.names), {sample.label for sample in samples}
        missing = [name for i, name in enumerate(self.bind(root).names) if i not in there]
        with_pictures = names_in(tree)
        found = [
            Finding(
                "classes",
                split,
                f"class {name!r}: {split} has no picture of it"
                if name in with_pictures
                else f"{root}: there is no folder {name!r}, which --classes lists",
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
                    key = key_of(path, folder)
                    keys[key] = (*keys.get(key, ()), path)
                else:
                    stray.append(path)
            for key, paths in keys.items():
                if len(paths) > 1:
                    text = f"sample {key}: {twice(root, paths)}"
                    found.append(Finding("same-name", split, text, fatal=True, key=key))
        splits = [one for one in tree if one]
        found += leaks(self, root, split, (s.key for s in samples), splits, self.group)
        return [*found, *(Finding("stray", split, storage.join(root, path)) for path in stray)]
