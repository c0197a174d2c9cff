"""Find the folders of Cityscapes' splits: in SOURCE, or where its zips are unpacked beside others.

leftImg8bit/train/...                                gtFine/train/...
leftImg8bit_trainvaltest/leftImg8bit/train/...       gtFine_trainvaltest/gtFine/train/...
leftImg8bit_trainextra/leftImg8bit/train_extra/...   gtCoarse/gtCoarse/train_extra/...
"""

import posixpath
from collections.abc import Sequence

from dsbuild import storage
from dsbuild.errors import LayoutError
from dsbuild.layouts.finding import Finding
from dsbuild.layouts.folders import folders, has_picture, is_picture

IMAGES = "leftImg8bit"
ENDING = "_leftImg8bit"  # of the names of images, before their extension
_UNPACKED = ("{0}/{0}", "{0}_trainvaltest/{0}", "{0}_trainextra/{0}")


def places(root: str, part: str) -> list[str]:
    """Return the folders that hold the splits of `leftImg8bit`, `gtFine` or `gtCoarse`."""
    unpacked = (form.format(part) for form in _UNPACKED)
    found = [path for path in unpacked if storage.is_folder(storage.join(root, path))]
    plain = f"{part}/{part}" not in found and storage.is_folder(storage.join(root, part))
    return [part, *found] if plain else found


def folders_of(root: str, part: str) -> dict[str, str]:
    """Return split -> its folder, relative to root; raise LayoutError for a split in two."""
    found: dict[str, str] = {}
    for place in places(root, part):
        for name in folders(root, place):
            other = found.setdefault(name, f"{place}/{name}")
            if other != f"{place}/{name}":
                raise LayoutError(
                    f"{storage.join(root, place, name)}: found {other} too, expected each split "
                    "in one folder; move one of them away"
                )
    return found


def images(root: str, folder: str) -> dict[str, str]:
    """Return <city>/<key> -> path of the images of a split; a PNG before a JPEG of it."""
    found: dict[str, str] = {}
    for city in storage.names(storage.join(root, folder)):
        for name in storage.names(storage.join(root, folder, city)):
            stem, ending = posixpath.splitext(name)
            if stem.endswith(ENDING) and is_picture(name) and name[0] != ".":
                key = f"{city}/{stem.removesuffix(ENDING)}"
                if key not in found or ending == ".png":
                    found[key] = f"{folder}/{city}/{name}"
    return found


def alone(root: str, truth: str, splits: Sequence[str]) -> list[Finding]:
    """Find folders that have only images or only annotations; reported with the first split."""
    found = []
    there, labelled = (folders_of(root, part) for part in (IMAGES, truth))
    for name, folder in there.items():
        if name not in splits and has_picture(root, folder):
            text = f"{storage.join(root, folder)}: left out, because there is no {truth}/{name}"
            found.append(Finding("stray", splits[0], text))
    for name, folder in labelled.items():
        if name not in there:
            text = f"{storage.join(root, folder)}: {IMAGES} has no images for it"
            found.append(Finding("label-alone", splits[0], text))
    return found
