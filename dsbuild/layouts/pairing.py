"""Recognise two folders whose pictures belong together, by names of folders and of files."""

import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from dsbuild import storage
from dsbuild.errors import DsbuildError
from dsbuild.format.split_names import role
from dsbuild.layouts.class_files import read_classes, read_colours
from dsbuild.layouts.folder_names import kind
from dsbuild.layouts.naming import shared
from dsbuild.layouts.recognition import Glance, listed, suffix

_FILES = re.compile(
    r".*(label|class|names|categor|colou?r).*\.(txt|csv|json|ya?ml)|.*\.names|data\.ya?ml"
    r"|objectInfo150\.txt|dataset_meta\.json",
    re.IGNORECASE,
)
_TRIED = 20  # pictures whose partner is looked for in a folder too large to list
_CHOICES = (
    "what the labels mean: --classes FILE for class indices, --colormap FILE for colours, or "
    "--binary T for two values"
)


@dataclass(frozen=True)
class Pair:
    """Two folders that fit together, or why none do.

    Attributes:
      fits: whether two folders were found.
      text: what was found, in words.
      options: options that name the folders, as far as the user did not.
      needs: options that choose one of several pairs that fit; empty if only one does.
    """

    fits: bool
    text: str
    options: Mapping[str, str] = field(default_factory=dict)
    needs: str = ""


def pair(root: str, images: str, labels: str, given: Mapping[str, str]) -> Pair:
    """Find the folder of images and that of `labels` below root, or in each split.

    `images` and `labels` are kinds of folders and the options that name them.
    """
    glance = Glance()
    wanted = {images: given.get(images), labels: given.get(labels)}
    top = glance.folders(root)
    splits = [name for name in top if role(name) and not kind(name)]
    text = ""
    for place in ("", *sorted(splits, key=lambda name: role(name) != "train")):
        below = storage.join(root, place) if place else root
        names = {
            one: [name.strip("/")]
            if (name := wanted[one])
            else [found for found in glance.folders(below) if kind(found) == one]
            for one in wanted
        }
        missing = [one for one in wanted if not names[one]]
        lost = [n for one in wanted for n in names[one] if wanted[one] and not glance.has(below, n)]
        if not missing and not lost:
            return _fitting(glance, below, splits if place else [], names, given)
        if not text and len(missing) < 2:
            text = storage.missing(storage.join(below, lost[0])) if lost else ""
            there = "".join(listed(found) for found in names.values())
            text = text or f"{there}, but no folder called {missing[0]} or the like"
    return Pair(False, text or f"no folders called {images} and {labels} or the like")


def _fitting(
    glance: Glance,
    below: str,
    splits: list[str],
    names: Mapping[str, list[str]],
    given: Mapping[str, str],
) -> Pair:
    """Return the one fitting pair among folders of both kinds."""
    (images, of_images), (labels, of_labels) = names.items()
    fitting: dict[tuple[str, str], str] = {}
    for one in of_images:
        for other in of_labels:
            end = suffix_of(glance, storage.join(below, one), storage.join(below, other))
            if end is not None and (one != other or end):
                fitting[one, other] = end
    both = f"{listed(of_images)} and {listed(of_labels)}"
    if not fitting:
        return Pair(False, f"{both}, but no picture in one that belongs to a picture in the other")
    if len(fitting) > 1:
        words = ", or ".join(f"--{images} {one} --{labels} {other}" for one, other in fitting)
        return Pair(True, both, needs=f"one pair of folders: {words}")
    ((one, other), end), *_ = fitting.items()
    where = f", in each of {listed(splits)}" if splits else ""
    counts = [glance.count(storage.join(below, name)) for name in (one, other)]
    flat = not splits and not any(count.startswith("0 ") for count in counts)
    found = (
        f"{one} ({counts[0]}) and {other} ({counts[1]})" if flat else f"{one} and {other}{where}"
    )
    chosen = {images: one, labels: other, **({"suffix": end} if end else {})}
    usual = {"images": "images", "labels": "labels"} if labels == "labels" else {}
    options = {
        key: value for key, value in chosen.items() if key not in given and usual.get(key) != value
    }
    return Pair(True, found, options)


def suffix_of(glance: Glance, images: str, labels: str) -> str | None:
    """Return what labels add to the stems of images; None if the folders do not fit."""
    photos, masks = glance.below(images), glance.below(labels)
    found = suffix(photos, masks)
    if found is None and shared(photos, masks, not glance.whole(images, labels)):
        return ""
    if found is None and photos and masks:
        ending = posixpath.splitext(masks[0])[1]
        stems = (posixpath.splitext(path)[0] for path in photos[:_TRIED])
        if any(storage.stamp(storage.join(labels, stem + ending)) for stem in stems):
            return ""
    return found


def meanings(root: str, splits: Iterable[str] = ()) -> tuple[dict[str, str], str]:
    """Return the option that says what labels mean, if one file does; else what is needed.

    Files in root count, or else files in the folders of splits that all say the same.
    """
    fitting = _fitting_files(root)
    if not fitting:
        each = [_fitting_files(storage.join(root, split)) for split in splits]
        said = {repr(value) for found in each for value in found.values()}
        first = next((found for found in each if found), {})
        fitting = first if len(said) == 1 and len(first) == 1 else {}
    if len(fitting) == 1:
        return {option: path for path, option in fitting}, ""
    words = "; and ".join(f"{path} fits --{option}" for path, option in fitting)
    return {}, f"{_CHOICES}; {words}" if words else _CHOICES


def _fitting_files(folder: str) -> dict[tuple[str, str], object]:
    """Return path and option -> what the option reads, for the files in a folder that fit."""
    fitting: dict[tuple[str, str], object] = {}
    for name in Glance().files(folder):
        if not _FILES.fullmatch(name):
            continue
        path = storage.join(folder, name)
        for option, read in (("colormap", read_colours), ("classes", read_classes)):
            try:
                fitting[path, option] = read(path)
            except DsbuildError:
                continue
            break
    return fitting
