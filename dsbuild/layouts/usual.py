"""Recognise the usual trees of images and labels, by the names of folders and files.

images/..         labels/..            two folders, also in every split or with splits below
train  val        trainannot  valannot  folders of splits with the kind in their names
7.jpg  7_mask.png                      both in one folder, also in every split
"""

import itertools
from collections.abc import Iterable, Mapping

from dsbuild import storage
from dsbuild.format.split_names import role
from dsbuild.layouts import naming, split_folders, tables
from dsbuild.layouts.folder_names import kind
from dsbuild.layouts.naming import Naming
from dsbuild.layouts.pairing import Pair, pair, suffix_of
from dsbuild.layouts.recognition import Glance, listed

_NAMES = ("lists", "images", "labels", "suffix", "image_glob", "label_glob")
_HERE = {"images": ".", "labels": "."}


def usual(root: str, given: Mapping[str, str]) -> Pair:
    """Find images and labels below root; options that are given name folders."""
    if not given.keys().isdisjoint(_NAMES):
        return _given(root, given)
    glance = Glance()
    found = _in_tables(root)
    if found.fits:
        return found
    several = _of_splits(root, glance, 2)
    if several.fits:
        return several
    found = pair(root, "images", "labels", given)
    if found.fits:
        return found
    for other in (_of_splits(root, glance, 1), _in_one_folder(root, glance)):
        if other.fits:
            return other
    return found


def _given(root: str, given: Mapping[str, str]) -> Pair:
    """Return what the options that users gave name, or what fits those of them."""
    images, labels = given.get("images"), given.get("labels")
    if "lists" in given:
        return Pair(True, f"images and labels that {given['lists']} lists")
    if images and split_folders.MARK in images:
        found, _ = split_folders.paired(root, images, labels or "labels")
        text = f"{images} and {labels}, for the splits {listed(found)}"
        return Pair(bool(found), text if found else f"no folders like {images} and {labels}")
    patterns = {"image_glob", "label_glob"} & given.keys()
    if images and labels and (patterns or images == labels) and Glance().has(root, images):
        return Pair(True, f"{images} and {labels}, as their options say")
    return pair(root, "images", "labels", given)


def _in_tables(root: str) -> Pair:
    """Find the table of images and labels in root."""
    found = tables.candidates(root)
    if len(found) > 1:
        words = ", or ".join(f"--lists {name}" for name in found)
        return Pair(True, f"tables of images and labels, {listed(found)}", needs=f"one: {words}")
    if not found:
        return Pair(False, "no table of images and labels")
    return Pair(True, f"images and labels that {found[0]} lists", {"lists": found[0]})


def _of_splits(root: str, glance: Glance, least: int) -> Pair:
    """Find folders that have the names of at least `least` splits and of what they hold."""
    there = split_folders.patterns(glance.folders(root))
    fitting: dict[tuple[str, str], list[str]] = {}
    for images, labels in itertools.product(there["images"], there["labels"]):
        found, _ = split_folders.paired(root, images, labels)
        full = [split for split in found if glance.has(root, found[split][1])]
        if len(full) >= least and _match(glance, root, [found[split] for split in full]):
            fitting[images, labels] = full
    if not fitting:
        return Pair(False, "no folders of splits")
    if len(fitting) > 1:
        words = ", or ".join(f"--images {one} --labels {other}" for one, other in fitting)
        return Pair(True, listed(glance.folders(root)), needs=f"one pair of folders: {words}")
    ((images, labels), splits), *_ = fitting.items()
    found, _ = split_folders.paired(root, images, labels)
    (one, other), *_ = (found[split] for split in splits)
    options = {"images": images, "labels": labels}
    end = suffix_of(glance, storage.join(root, one), storage.join(root, other))
    options |= {"suffix": end} if end else {}
    counts = [glance.count(storage.join(root, name)) for name in (one, other)]
    text = f"{one} ({counts[0]}) and {other} ({counts[1]})"
    rest = [found[split][0] for split in splits[1:]]
    bare = [found[split][0] for split in found if split not in splits]
    text += f", and likewise {listed(rest)}" if rest else ""
    text += f"; no labels for {listed(bare)}" if bare else ""
    return Pair(True, text, options)


def _match(glance: Glance, root: str, folders: Iterable[tuple[str, str]]) -> bool:
    """Tell whether the pictures of one of these pairs of folders match."""
    return any(
        suffix_of(glance, *(storage.join(root, folder) for folder in both)) is not None
        for both in folders
    )


def _in_one_folder(root: str, glance: Glance) -> Pair:
    """Find images and labels in one folder: root, one folder in it, or each of its splits."""
    top = glance.folders(root)
    splits = [name for name in top if role(name)]
    ways = {place: _together(glance, storage.join(root, place)) for place in splits}
    told = {place: way for place, way in ways.items() if way}
    if told:
        way = next(iter(told.values()))
        words = f"images and labels in one folder, in {listed(told)}"
        return Pair(
            True, f"{words}: {_words(way)}", {"images": ".", "labels": ".", **_options(way)}
        )
    own = _together(glance, root)
    if own:
        text = f"images and labels in one folder: {_words(own)}"
        return Pair(True, text, {**_HERE, **_options(own)})
    inner = {name: _together(glance, storage.join(root, name)) for name in top[:4]}
    one = [(name, way) for name, way in inner.items() if way and not kind(name)]
    if len(one) == 1 and len(top) == 1:
        ((name, way),) = one
        options = {"images": name, "labels": name, **_options(way)}
        return Pair(True, f"images and labels in {name}: {_words(way)}", options)
    return Pair(False, "no folder of both images and labels")


def _together(glance: Glance, folder: str) -> Naming | None:
    there = glance.pictures(folder)
    return naming.together(there, partial=not glance.whole(folder)) if there else None


def _words(way: Naming) -> str:
    """Say what images and labels are called."""
    image = "other pictures" if way.image == "*" else way.image
    return f"labels are {way.label}, images {image}"


def _options(way: Naming) -> dict[str, str]:
    """Return the options that give patterns."""
    if way.image == "*" and way.label.startswith("*") and "." not in way.label:
        return {"suffix": way.label[1:]}
    return {"image_glob": way.image, "label_glob": way.label}
