"""Which sample is of which split: by folders, by lists, else by a hash.

    <images>/...          <labels>/...                 no division: a hash decides
    <images>/<split>/...  <labels>/<split>/...         a folder a split below both
    <split>/<images>/...  <split>/<labels>/...         both in a folder a split
    <split>.txt                                        lists, which go before folders below both

A folder or list that is called as the field calls a split and cannot be used is a split, too,
that is refused: so the others can be built by name, and none is left out unsaid.
"""

import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from dsbuild import storage
from dsbuild.errors import LayoutError
from dsbuild.fields import field
from dsbuild.format.split_names import role, same
from dsbuild.layouts import written
from dsbuild.layouts.finding import Finding
from dsbuild.layouts.folders import elsewhere, folders, has_picture, is_picture, pictures, stem
from dsbuild.layouts.written import OTHERS

VAL_HELP = (
    "Share of samples for val, if neither folders nor lists divide them; 0 puts all into train."
)


@dataclass(frozen=True, kw_only=True)
class Divided:
    """The options of layouts that may have to divide samples into train and val themselves."""

    val_fraction: float = field(0.0, VAL_HELP, least=0, below=1)
    split_seed: int = field(0, "Seed for dividing samples into train and val.")

    def divide(self, unit: str) -> str:
        """Return the split of a unit: by a hash, so never by what else there is."""
        import hashlib

        seeded = f"{self.split_seed}\0{unit}".encode(errors="surrogateescape")
        place = int.from_bytes(hashlib.sha256(seeded).digest()[:8])
        return "val" if place < self.val_fraction * 2**64 else "train"

    def division(self, units: Iterable[str]) -> tuple[str, ...]:
        """Return train and val, as far as some of the units are in them."""
        there = {self.divide(unit) for unit in units}
        return tuple(split for split in ("train", "val") if split in there)


class Part(NamedTuple):
    """The folders of a split, relative to root."""

    images: str
    labels: str


@dataclass(frozen=True)
class Tree:
    """How the samples of two folders are divided.

    Attributes:
      parts: split -> its folders; none where lists or a hash divide.
      lists: split -> path of its list.
      refused: split -> why what is called so cannot be used.
    """

    parts: Mapping[str, Part]
    lists: Mapping[str, str]
    refused: Mapping[str, str]

    @property
    def splits(self) -> tuple[str, ...]:
        """All of them: parts or lists, and what is refused."""
        return tuple(sorted({*self.parts, *self.lists, *self.refused}))

    def first(self, division: Callable[[], tuple[str, ...]]) -> str:
        """Return the first split that can be built; without parts and lists of the division."""
        splits = self.splits if self.parts or self.lists else division()
        return next(split for split in splits if split not in self.refused)

    def check(self, split: str) -> None:
        """Raise LayoutError where a split is refused."""
        if split in self.refused:
            raise LayoutError(self.refused[split])


Index = Callable[[str], Mapping[str, str]]


def survey(root: str, whole: Part, index: Index) -> Tree:
    """Return how the samples below root are divided.

    `index` returns, for a folder of images, name -> key: the names by which lists may call them.
    """
    if storage.is_folder(storage.join(root, whole.images)):
        found, bad = written.lists(root, whole.images, index, [whole.labels])
        within, refused = ({}, {}) if found else _below(root, whole)
        if not within:
            beside = {} if found else _beside(root, whole)
            return Tree({}, found, {**refused, **beside, **bad})
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
        part = within.get(split)
        if part is None or not written.agrees(root, split, part.images, index):
            refused[split] = reason
    return Tree(within, {}, refused)


def _above(root: str, whole: Part) -> tuple[dict[str, Part], dict[str, str]]:
    """Return the splits that are folders with images in them, and those that have none."""
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


def _below(root: str, whole: Part) -> tuple[dict[str, Part], dict[str, str]]:
    """Return the splits that are folders of images, and those of which only labels are there.

    Raises LayoutError where some folders are splits and other pictures are beside them.
    """
    there = storage.join(root, whole.images)
    names = folders(root, whole.images)
    inner = [name for name in names if role(name)]
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
            f"{there}: found {' and '.join(inner)} in it, {what}, beside {others[0]}, which is "
            "of none, expected all images in folders of splits; move them, or write lists such "
            f"as train.txt with lines such as {inner[0]}/7"
        )
    labels = folders(root, whole.labels)
    parts, used = {}, set()
    for name in inner:
        alike = [one for one in labels if one == name] or [one for one in labels if same(one, name)]
        label = alike[0] if len(alike) == 1 else name
        parts[name] = Part(posixpath.join(whole.images, name), posixpath.join(whole.labels, label))
        used.add(label)
    refused = {
        name: f"{storage.join(root, whole.labels, name)}: found labels of a split, expected its "
        f"images in {whole.images}/{name}; fetch them, {OTHERS}"
        for name in labels
        if role(name) and name not in used
    }
    return parts, refused if whole.labels != whole.images else {}


def _beside(root: str, whole: Part) -> dict[str, str]:
    """Return the folders of splits that lie beside the images, which are of no split then.

    Whoever names a folder of a split as that of the images knows of the others.
    """
    if any(map(role, whole.images.split("/"))):
        return {}
    return {
        name: f"{storage.join(root, name)}: found pictures of a split beside {whole.images}, "
        f"expected {whole.images} in each, or none; move it away, {OTHERS}"
        for name in folders(root)
        if role(name) and name != whole.labels.split("/")[0] and has_picture(root, name)
    }


def check_depth(root: str, keys: Iterable[str], split: str) -> None:
    """Raise LayoutError where folders of splits lie deeper among the images of one split."""
    names = {name for key in keys for name in key.split("/")[:-1] if role(name)}
    other = [name for name in sorted(names) if role(name) != role(split)]
    if other:
        raise LayoutError(
            f"{root}: found images in folders called {other[0]} among those of split {split}, "
            "which names another split, expected such folders above all others; move them, or "
            "write lists such as train.txt"
        )


def unused(root: str, split: str, tree: Tree, whole: Part) -> Iterator[Finding]:
    """Find, with the first split, pictures of no split; and a split that is called otherwise."""
    yield from elsewhere(
        root, split, (folder for part in tree.parts.values() or [whole] for folder in part)
    )
    called = [name for name in whole.images.split("/") if role(name)]
    if called and not tree.parts and not tree.lists and role(called[-1]) != role(split):
        text = f"{storage.join(root, whole.images)}: its images are split {split}, not {called[-1]}"
        yield Finding("source", split, text)


def by_lists(
    root: str,
    split: str,
    tree: Tree,
    whole: Part,
    names: Mapping[str, str],
    found: Iterable[Finding],
) -> list[Finding]:
    """Return findings without the labels that lists name, and with images that none has.

    `names` are those by which lists may call the images, as an index has them.
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
        *(one for one in found if one.kind != "label-alone" or one.text not in labels),
        *(Finding("stray", split, f"{storage.join(root, p)}: no list has it") for p in alone),
    ]
