"""Match the images and the labels of one split: both sides by what their names have in common."""

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dsbuild import storage
from dsbuild.errors import LayoutError
from dsbuild.layouts import naming
from dsbuild.layouts.finding import Finding
from dsbuild.layouts.folders import is_picture, leftovers, pictures, stem, walk
from dsbuild.layouts.naming import Naming


@dataclass(frozen=True)
class Sides:
    """The images and labels of one split by their keys.

    Attributes:
      root: folder that paths are relative to.
      images, labels: the folders, which may be the same.
      naming: the patterns of names.
      photos, masks: key -> path.
    """

    root: str
    images: str
    labels: str
    naming: Naming
    photos: Mapping[str, str]
    masks: Mapping[str, str]

    def photo(self, key: str) -> str:
        """Return the path of an image; it may be missing."""
        return self.photos.get(key) or _named(self.images, self.naming.image, key, ".jpg")

    def mask(self, key: str) -> str:
        """Return the path of a label; it may be missing, or not a picture by its name."""
        expected = self.masks.get(key) or self._others.get(key)
        return expected or _named(self.labels, self.naming.label, key, ".png")

    @functools.cached_property
    def _others(self) -> Mapping[str, str]:
        """Labels in other formats, which are refused by name: they are not missing."""
        rest = (path for path in walk(self.root, self.labels) if not is_picture(path))
        return dict(naming.within(rest, self.labels, self.naming.label))

    def names(self) -> dict[str, str]:
        """Return the names that lists may use for images, each with its key."""
        keys = dict.fromkeys(self.photos)
        return {k: k for k in keys} | {stem(p, self.images): k for k, p in self.photos.items()}

    def left(self, split: str) -> list[Finding]:
        """Find labels without an image, stray files, and pictures that no pattern fits."""
        found = leftovers(self.root, split, self.images, self.labels, self.shared)
        if self.naming.image != "*":
            used = {*self.photos.values(), *self.masks.values()}
            rest = [path for path in pictures(self.root, self.images) if path not in used]
            where = (storage.join(self.root, path) for path in rest)
            found += (Finding("stray", split, f"{one}: no pattern fits it") for one in where)
        return found

    def shared(self, path: str, folder: str) -> str:
        """Return what an image and its label have in common, for a path of either."""
        patterns = (self.naming.image, self.naming.label)
        if patterns == ("*", "*"):
            return stem(path, folder)
        if self.images == self.labels:
            found = (naming.key(path.removeprefix(f"{folder}/"), one) for one in patterns[::-1])
        else:
            one = patterns[folder == self.labels]
            found = (naming.key(path.removeprefix(f"{folder}/"), one) for one in (one,))
        return next((key for key in found if key is not None), stem(path, folder))


def match(root: str, images: str, labels: str, given: Naming) -> Sides:
    """Return both sides of a split by the patterns that are given.

    If these are plain and no image has a label then, prefixes and suffixes that all images and all
    labels have are left out. Raises LayoutError if names are ambiguous.
    """
    there = {folder: pictures(root, folder) for folder in {images, labels}}
    if images == labels and given == Naming():
        given = _told_apart(root, images, there[images])
    sides = _sides(root, images, labels, there, given)
    if given.image != "*" or sides.photos.keys() & sides.masks.keys():
        return sides
    before, _, suffix = given.label.partition("*")
    found = None
    if images == labels:
        found = naming.together(_below(there[images], images), suffix) if not before else None
    elif given == Naming():
        found = naming.shared(_below(there[images], images), _below(there[labels], labels))
    return _sides(root, images, labels, there, found) if found else sides


def _sides(
    root: str, images: str, labels: str, there: Mapping[str, list[str]], given: Naming
) -> Sides:
    photos = naming.within(there[images], images, given.image)
    masks = naming.within(there[labels], labels, given.label)
    if images == labels:
        photos, masks = _apart(photos, masks, given)
    sides = (naming.unique(root, photos), naming.unique(root, masks))
    return Sides(root, images, labels, given, *sides)


def _apart(
    photos: Iterator[tuple[str, str]], masks: Iterator[tuple[str, str]], given: Naming
) -> tuple[Iterator[tuple[str, str]], Iterator[tuple[str, str]]]:
    """Return the files of one folder that fit the pattern of each side, the longer one first."""
    narrow, wide = (list(photos), list(masks))
    if len(given.label) > len(given.image):
        narrow, wide = wide, narrow
    taken = {path for _, path in narrow}
    wide = [(key, path) for key, path in wide if path not in taken]
    both = (wide, narrow) if len(given.label) > len(given.image) else (narrow, wide)
    return iter(both[0]), iter(both[1])


def _told_apart(root: str, folder: str, there: list[str]) -> Naming:
    """Return how images and labels in one folder differ; raise LayoutError if it is unclear."""
    found = naming.together(_below(there, folder))
    if found is None and there:
        raise LayoutError(
            f"{storage.join(root, folder)}: found images and labels in one folder, and no rule "
            f"that tells them apart, in names such as {storage.name(there[0])}; name it: --suffix "
            "_mask, or --image-glob '*_sat.jpg' --label-glob '*_mask.png'"
        )
    return found or Naming()


def _below(paths: list[str], folder: str) -> list[str]:
    return [path.removeprefix(f"{folder}/") if folder else path for path in paths]


def _named(folder: str, pattern: str, key: str, ending: str) -> str:
    """Return the path that a key would have by a pattern."""
    above, slash, name = key.rpartition("/")
    text = pattern.removesuffix(".*").replace("*", name)
    whole = "." in pattern.rpartition("*")[2] and not pattern.endswith(".*")
    return f"{folder}/{above}{slash}{text}{'' if whole else ending}"
