"""Decide which split a sample belongs to: by folders, by lists, or else by a hash.

    <images>/...          <labels>/...                 no division: a hash decides
    <images>/<split>/...  <labels>/<split>/...         one folder per split below both
    <split>/<images>/...  <split>/<labels>/...         both in one folder per split
    {split}/...           {split}_masks/...            folders by a pattern of their names
    <split>.txt                                        lists; they override folders below both

A folder or list that has the usual name of a split but cannot be used still counts as a split,
one that is refused. So the others can be built by name, and none is left out in silence.
"""

import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from dsbuild import storage
from dsbuild.errors import LayoutError, nearest
from dsbuild.format.split_names import role, same
from dsbuild.layouts import split_folders, written
from dsbuild.layouts.finding import Finding
from dsbuild.layouts.folders import elsewhere, folders, has_picture, is_picture, pictures, stem
from dsbuild.layouts.written import OTHERS


class Part(NamedTuple):
    """The folders of a split, relative to root."""

    images: str
    labels: str


@dataclass(frozen=True)
class Tree:
    """How the samples of two folders are divided.

    Attributes:
      parts: split -> its folders; empty if lists or a hash divide.
      lists: split -> path of its list.
      refused: split -> why its folder or list cannot be used.
    """

    parts: Mapping[str, Part]
    lists: Mapping[str, str]
    refused: Mapping[str, str]

    @property
    def splits(self) -> tuple[str, ...]:
        """All splits: parts or lists, and refused ones."""
        return tuple(sorted({*self.parts, *self.lists, *self.refused}))

    def first(self, division: Callable[[], tuple[str, ...]]) -> str:
        """Return the first split that can be built, from `division` without parts and lists."""
        splits = self.splits if self.parts or self.lists else division()
        return next(split for split in splits if split not in self.refused)

    def check(self, split: str) -> None:
        """Raise LayoutError if a split is refused."""
        if split in self.refused:
            raise LayoutError(self.refused[split])


Index = Callable[[str], Mapping[str, str]]
_NO_NAMES: Mapping[str, str] = {}


def survey(root: str, whole: Part, index: Index, called: Mapping[str, str] = _NO_NAMES) -> Tree:
    """Return how the samples below root are divided.

    `index` returns, for a folder of images, name -> key, with all names that lists may use.
    `called` maps further names of folders and lists to their splits.
    """
    return _called(root, _survey(root, whole, index, called), called)


def _called(root: str, tree: Tree, called: Mapping[str, str]) -> Tree:
    """Return a tree whose splits have the names that users gave; raise LayoutError for others."""
    lost = [name for name in called if name not in tree.splits]
    if lost:
        raise LayoutError(
            f"{root}: found no folder or list of a split {lost[0]}, which --split-folder names; "
            f"there are {', '.join(tree.splits) or 'none'}{nearest(lost[0], tree.splits)}"
        )
    names = [called.get(name, name) for name in tree.splits]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        both = [name for name in tree.splits if called.get(name, name) == twice]
        raise LayoutError(
            f"{root}: found {both[0]} and {both[1]} as split {twice}, expected one folder or list "
            "per split; move the pictures together, or name another split with --split-folder"
        )
    return Tree(
        {called.get(name, name): part for name, part in tree.parts.items()},
        {called.get(name, name): path for name, path in tree.lists.items()},
        {called.get(name, name): why for name, why in tree.refused.items()},
    )


def _survey(root: str, whole: Part, index: Index, called: Mapping[str, str]) -> Tree:
    if split_folders.MARK in whole.images:
        within, refused = _matching(root, whole, called)
        bad = written.lists(root, "", lambda _: {})[1]
    elif storage.is_folder(storage.join(root, whole.images)):
        lists, bad = written.lists(root, whole.images, index, [whole.labels])
        within, refused = ({}, {}) if lists else _below(root, whole, called)
        if not within:
            beside = {} if lists else _beside(root, whole)
            return Tree({}, lists, {**refused, **beside, **bad})
    else:
        within, refused = _above(root, whole)
        bad = written.lists(root, "", lambda _: {})[1]
    for split, part in within.items():
        if not storage.is_folder(storage.join(root, part.labels)):
            refused[split] = (
                f"{storage.join(root, part.labels)}: there is no such folder, expected the labels "
                f"of {part.images}; fetch them, {OTHERS}"
            )
    for split, reason in bad.items():
        if split not in within or not written.agrees(root, split, within[split].images, index):
            refused[split] = reason
    return Tree(within, {}, refused)


def _matching(
    root: str, whole: Part, called: Mapping[str, str]
) -> tuple[dict[str, Part], dict[str, str]]:
    """Return the splits whose folders fit a pattern, and refuse labels without images."""
    found, alone = split_folders.paired(root, whole.images, whole.labels, called)
    refused = {
        name: f"{storage.join(root, path)}: found the labels of a split, expected its images in "
        f"{whole.images.replace(split_folders.MARK, name)}; fetch them, {OTHERS}"
        for name, path in alone.items()
    }
    return {name: Part(*folders) for name, folders in found.items()}, refused


def _above(root: str, whole: Part) -> tuple[dict[str, Part], dict[str, str]]:
    """Return the splits that are folders with images, and refuse those without."""
    parts, refused = {}, {}
    for name in folders(root):
        if storage.is_folder(storage.join(root, name, whole.images)):
            parts[name] = Part(f"{name}/{whole.images}", f"{name}/{whole.labels}")
        elif role(name):
            refused[name] = (
                f"{storage.join(root, name)}: expected {whole.images} in it, as in other splits; "
                f"move it away, {OTHERS}"
            )
    return parts, refused if parts else {}


def _below(
    root: str, whole: Part, called: Mapping[str, str]
) -> tuple[dict[str, Part], dict[str, str]]:
    """Return the splits that are folders of images, and refuse those that have only labels.

    Raises LayoutError if there are other pictures beside folders of splits.
    """
    there = storage.join(root, whole.images)
    names = folders(root, whole.images)
    inner = [name for name in names if role(name) or name in called]
    if not inner:
        return {}, {}
    others = [name for name, _ in storage.entries(there) if is_picture(name)]
    paths = {name: posixpath.join(whole.images, name) for name in names}
    full = {name for name in names if has_picture(root, paths[name])}
    others += (paths[name] for name in names if name not in inner and name in full)
    if others and full.isdisjoint(inner):
        return {}, {
            name: f"{storage.join(root, paths[name])}: found no image in this folder of a "
            f"split, expected some; remove it, {OTHERS}"
            for name in inner
        }
    if others:
        what = "names of splits" if inner[1:] else "the name of a split"
        raise LayoutError(
            f"{there}: found {' and '.join(inner)} in it, {what}, beside {others[0]}, which "
            "belongs to no split; expected all images in folders of splits; move them, or write "
            f"lists like train.txt with lines like {inner[0]}/7"
        )
    labels = folders(root, whole.labels)
    parts, used = {}, set()
    for name in inner:
        alike = [n for n in labels if n == name] or [n for n in labels if same(n, name)]
        label = alike[0] if len(alike) == 1 else name
        parts[name] = Part(posixpath.join(whole.images, name), posixpath.join(whole.labels, label))
        used.add(label)
    refused = {
        name: f"{storage.join(root, whole.labels, name)}: found the labels of a split, expected "
        f"its images in {whole.images}/{name}; fetch them, {OTHERS}"
        for name in labels
        if role(name) and name not in used
    }
    return parts, refused if whole.labels != whole.images else {}


def _beside(root: str, whole: Part) -> dict[str, str]:
    """Refuse the folders of splits beside images that belong to no split.

    A user who names the folder of a split as that of the images knows of the others.
    """
    if any(map(role, whole.images.split("/"))):
        return {}
    return {
        name: f"{storage.join(root, name)}: found the pictures of a split beside {whole.images}, "
        f"expected {whole.images} in every split or in none; move it away, {OTHERS}"
        for name in folders(root)
        if role(name) and name != whole.labels.split("/")[0] and has_picture(root, name)
    }


def check_depth(root: str, keys: Iterable[str], split: str) -> None:
    """Raise LayoutError if folders of other splits lie deeper among the images of a split."""
    names = {name for key in keys for name in key.split("/")[:-1] if role(name)}
    other = [name for name in sorted(names) if role(name) != role(split)]
    if other:
        raise LayoutError(
            f"{root}: found images in folders called {other[0]} among those of split {split}; "
            "that is the name of another split, expected above all other folders; move them, or "
            "write lists like train.txt"
        )


def unused(root: str, split: str, tree: Tree, whole: Part) -> Iterator[Finding]:
    """Find pictures that belong to no split, and images in a folder named like another split."""
    yield from elsewhere(
        root, split, (folder for part in tree.parts.values() or [whole] for folder in part)
    )
    called = [name for name in whole.images.split("/") if role(name)]
    if called and not tree.parts and not tree.lists and role(called[-1]) != role(split):
        text = f"{storage.join(root, whole.images)}: its images become {split}, not {called[-1]}"
        yield Finding("source", split, text)


def by_lists(
    root: str,
    split: str,
    tree: Tree,
    whole: Part,
    names: Mapping[str, str],
    found: Iterable[Finding],
) -> list[Finding]:
    """Drop findings about labels that lists name, and add the images that no list has.

    `names` are the names that lists may use for images, from an `Index`.
    """
    keys, labels = set(), set()
    for path in tree.lists.values():
        for key, label in written.entries(path, names, whole.images, root, whole.labels):
            keys.add(key)
            labels.add(storage.join(root, label or ""))
    alone = (
        path for path in pictures(root, whole.images) if names[stem(path, whole.images)] not in keys
    )
    return [
        *(item for item in found if item.kind != "label-alone" or item.text not in labels),
        *(Finding("stray", split, f"{storage.join(root, p)}: no list has it") for p in alone),
    ]
