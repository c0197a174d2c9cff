"""Read the lists of a VOC tree: one id per line, or the paths of image and label."""

import functools
import os
import re
from collections.abc import Iterator, Mapping, Sequence

from dsbuild import storage
from dsbuild.errors import LayoutError
from dsbuild.layouts import written
from dsbuild.layouts.base import Sample
from dsbuild.layouts.folders import composed, folders, is_picture, lists
from dsbuild.layouts.recognition import listed
from dsbuild.layouts.texts import numbered

IMAGES = "JPEGImages"
LISTS = "ImageSets/Segmentation"
_READ = 1 << 23  # bytes of lists that are read to count their images
_ESCAPED = re.compile("[\udc80-\udcff]")  # bytes in a name that are not UTF-8


def photos(root: str) -> dict[str, str]:
    """Return id -> path of the images; if two share an id, the .jpg that VOC has.

    Raises LayoutError if two others share an id.
    """
    paths: dict[str, str] = {}
    for name in storage.names(storage.join(root, IMAGES)):
        if not is_picture(name):
            continue
        end = name.rfind(".")
        key, path = composed(name[:end] if end > 0 else name), f"{IMAGES}/{name}"
        if key not in paths or name.endswith(".jpg"):
            paths[key] = path
        elif not paths[key].endswith(".jpg"):
            raise LayoutError(
                f"{storage.join(root, path)}: found {paths[key]} with the same id, expected one "
                "image per id; remove one of them"
            )
    return paths


def entries(path: str, there: Mapping[str, str]) -> Iterator[Sample]:
    """Yield the samples in a list of ids, or of `/JPEGImages/x.jpg /SegmentationClassAug/x.png`.

    `there` maps ids to images, with whatever extension.
    """
    seen: dict[str, int] = {}
    names = functools.cache(lambda: {key: key for key in there})
    for number, line in numbered(path, escaped=True):
        if line in there:
            entry = Sample(line, there[line], None)
        else:
            entry = _entry(f"{path}, line {number}", line, there, names())
        if entry.key in seen:
            raise LayoutError(
                f"{path}, line {number}: found {entry.key!r} again, which line {seen[entry.key]} "
                "already lists; remove one of them"
            )
        seen[entry.key] = number
        yield entry


def _entry(where: str, line: str, there: Mapping[str, str], names: Mapping[str, str]) -> Sample:
    """Return the sample of a line that is not just the id of an image."""
    parts = written.divided(line, names, IMAGES)
    key, image, label = _known(where, line, there, *parts) if parts else _unknown(where, line)
    for name in (key, image, *label):
        plain = _ESCAPED.sub("", name).isprintable()
        if name.startswith("/") or ".." in name.split("/") or not plain:
            raise LayoutError(
                f"{where}: found {line!r}, which leads out of the data set; expected "
                "plain ids without '..', a leading '/' or control characters"
            )
    return Sample(key, image, label[0] if label else None)


def _known(
    where: str, line: str, there: Mapping[str, str], key: str, rest: str
) -> tuple[str, str, list[str]]:
    """Return key, image and label of a line that names an image of the tree."""
    label = written.cleaned(rest)
    if label and ("/" not in label or not is_picture(label)):
        raise _strange(where, line)
    return key, there[key], _of_one_name(where, key, there[key], [label] if label else [])


def _unknown(where: str, line: str) -> tuple[str, str, list[str]]:
    """Return key, image and label of a line whose image is not in the tree."""
    image, *label = line.split()
    if len(label) > 1 or (label and "/" not in label[0]):
        raise _strange(where, line)
    if "/" not in image or not os.path.splitext(image)[1]:
        return image, f"{IMAGES}/{image}.jpg", label
    image, label = image.lstrip("/"), [name.lstrip("/") for name in label]
    key = os.path.splitext(os.path.basename(image))[0]
    return key, image, _of_one_name(where, key, image, label)


def _of_one_name(where: str, key: str, image: str, label: list[str]) -> list[str]:
    if label and composed(os.path.splitext(os.path.basename(label[0]))[0]) != composed(key):
        raise LayoutError(
            f"{where}: found the label {label[0]!r} beside the image {image!r}, expected "
            "a label with the same name"
        )
    return label


def _strange(where: str, line: str) -> LayoutError:
    return LayoutError(
        f"{where}: found {line!r}, expected an id, or the paths of image and label; correct it, or "
        "name the other splits with --split"
    )


def count_listed(root: str, names: Sequence[str]) -> str:
    """Return how many images lists name, in words; large lists are not read for that."""
    paths = [storage.join(root, LISTS, f"{name}.txt") for name in names]
    splits = f"{len(names):,} split{'' if len(names) == 1 else 's'} ({listed(names)})"
    try:
        if storage.size(paths) > _READ:
            return splits
        ids = {line.split()[0] for path in paths for _, line in numbered(path, escaped=True)}
    except LayoutError:
        return splits
    return f"{len(ids):,} listed image{'' if len(ids) == 1 else 's'} in {splits}"


def elsewhere(root: str) -> str:
    """Return the end of a message that says where else there are lists; "" if there are none."""
    inner = folders(root, "ImageSets")
    for place in ("", "ImageSets", *(f"ImageSets/{name}" for name in inner)):
        folder = storage.join(root, place) if place else root
        names = lists(folder)
        if names:
            return f"; found {storage.join(folder, names[0])}.txt: move the lists here"
    return ""
