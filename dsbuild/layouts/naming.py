"""Match images with labels by their names: the star of a pattern is what both have in common.

    *                     7.jpg        key 7: the name without its extension
    *_sat    *_mask       7_sat.jpg    key 7, with the label 7_mask.png
    img_*    mask_*       img_7.jpg    key 7, with the label mask_7.png
    *.jpg    *.png        7.jpg        key 7, with the label 7.png in the same folder
    */rgb.*  */mask.*     7/rgb.png    key 7, with the label 7/mask.png

A pattern that ends without an extension, or in `.*`, fits every extension. Without patterns, names
that never match as they are may share prefixes and suffixes that all images or all labels have.
"""

import functools
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from dsbuild.errors import LayoutError, PlanError
from dsbuild.layouts.folder_names import kind
from dsbuild.layouts.folders import composed, twice

_JPEG = (".jpg", ".jpeg", ".jpe", ".jfif")
_ONE = "found {!r}, expected a pattern with one star for what both share, such as *_mask.png"


class Naming(NamedTuple):
    """The patterns of images and labels; empty if names have only extensions of their own."""

    image: str = "*"
    label: str = "*"


@functools.cache
def _compiled(pattern: str) -> tuple[re.Pattern[str], bool]:
    """Return the expression of a pattern, and whether it is for paths with their extensions."""
    bare = pattern.removesuffix(".*")
    before, _, after = bare.partition("*")
    whole = pattern == bare and "." in after
    name, ending = posixpath.splitext(after) if whole else (after, "")
    end = f"(?i:{re.escape(ending)})"
    return re.compile(f"((?:.*/)?){re.escape(before)}([^/]+){re.escape(name)}{end}"), whole


def check(image: str, label: str, suffix: str) -> None:
    """Raise PlanError for patterns that users gave without exactly one star."""
    for word, pattern in (("image", image), ("label", label)):
        if pattern and not _valid(pattern):
            raise PlanError(f"--{word}-glob: {_ONE.format(pattern)}")
    if label and suffix:
        raise PlanError("--label-glob and --suffix: found both, expected one of them")


def _valid(pattern: str) -> bool:
    return pattern.removesuffix(".*").count("*") == 1 and not pattern.startswith("/")


def key(path: str, pattern: str) -> str | None:
    """Return what the star of a pattern stands for in a path, with the folders; None without fit.

    >>> key("a/7_sat.JPG", "*_sat.jpg"), key("7.jpg", "*_sat"), key("a/7/rgb.png", "*/rgb.*")
    ('a/7', None, 'a/7')
    """
    if pattern == "*":
        return composed(posixpath.splitext(path)[0])
    expression, whole = _compiled(composed(pattern))
    path = composed(path)
    match = expression.fullmatch(path if whole else posixpath.splitext(path)[0])
    return match[1] + match[2] if match else None


def within(paths: Iterable[str], folder: str, pattern: str) -> Iterator[tuple[str, str]]:
    """Yield key and path of the files below a folder that fit a pattern."""
    above = f"{folder}/" if folder else ""
    for path in paths:
        found = key(path.removeprefix(above), pattern)
        if found is not None:
            yield found, path


def unique(root: str, found: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return key -> path; raise LayoutError if two files share a key."""
    paths: dict[str, str] = {}
    for one, path in found:
        if one in paths:
            raise LayoutError(twice(root, (paths[one], path)))
        paths[one] = path
    return paths


def shared(images: Sequence[str], labels: Sequence[str], partial: bool = False) -> Naming | None:
    """Return the prefixes and suffixes that all images and all labels have, if they then match.

    Takes paths below the folders. All labels must match an image, and most images a label;
    with `partial` the paths are only some of those that there are.

    >>> shared(["img_1.jpg", "img_2.jpg"], ["mask_1.png", "mask_2.png"])
    Naming(image='img_*', label='mask_*')
    >>> shared(["1_sat.jpg", "2_sat.jpg"], ["1_mask.png", "3_mask.png"]) is None
    True
    """
    if min(len(images), len(labels)) < 2:
        return None
    for trim in (_to_separator, _to_digits):
        naming = Naming(*(_affixes(paths, trim) for paths in (images, labels)))
        if fits(images, labels, naming, partial):
            return naming
    return None


def fits(
    images: Sequence[str], labels: Sequence[str], naming: Naming, partial: bool = False
) -> bool:
    """Tell whether all labels match an image by these patterns, and most images a label."""
    sides = ((images, naming.image), (labels, naming.label))
    photos, masks = ({key(path, pattern) for path in paths} for paths, pattern in sides)
    whole = len(photos) == len(images) and len(masks) == len(labels) and None not in photos | masks
    if partial:
        return whole and bool(masks & photos)
    return whole and masks <= photos and 2 * len(masks) > len(photos)


def together(paths: Sequence[str], suffix: str = "", partial: bool = False) -> Naming | None:
    """Return how images and labels in one folder differ; None if that is unclear.

    Labels have a suffix, or a word such as `mask` in their names, or are the PNG of a JPEG.
    """
    masks = [path for path in paths if _is_label(posixpath.splitext(path)[0], suffix)]
    photos = [path for path in paths if path not in {*masks}]
    if masks and photos:
        plain = (Naming("*", f"*{suffix}"),) if suffix else _suffixes(photos, masks)
        found = next((one for one in plain if fits(photos, masks, one, partial)), None)
        return found or shared(photos, masks, partial)
    endings = {posixpath.splitext(path)[1] for path in paths}
    jpeg = [ending for ending in endings if ending.lower() in _JPEG]
    if suffix or len(endings) != 2 or len(jpeg) != 1:
        return None
    naming = Naming(*(f"*{ending}" for ending in sorted(endings, key=lambda e: e not in jpeg)))
    photos = [path for path in paths if path.endswith(jpeg[0])]
    masks = [path for path in paths if path not in {*photos}]
    return naming if fits(photos, masks, naming, partial) else None


def _suffixes(photos: Sequence[str], masks: Sequence[str]) -> Iterator[Naming]:
    """Yield what labels may add to the stems of their images, from one label."""
    stems = {composed(posixpath.splitext(path)[0]) for path in photos}
    for mask in masks[:1]:
        stem = composed(posixpath.splitext(mask)[0])
        yield from (Naming("*", f"*{stem[n:]}") for n in range(1, len(stem)) if stem[:n] in stems)


def _is_label(stem: str, suffix: str) -> bool:
    if suffix:
        return stem.endswith(suffix)
    words = re.split(r"[^a-zA-Z]+", posixpath.basename(stem))
    return any(kind(word) == "labels" for word in words if word)


def _affixes(paths: Sequence[str], trim: Mapping[str, re.Pattern[str]]) -> str:
    """Return the pattern of the prefix and suffix that all names have, trimmed."""
    names = [composed(posixpath.splitext(posixpath.basename(path))[0]) for path in paths]
    start = trim["before"].search(_start(names))
    end = trim["after"].search(_start([name[::-1] for name in names])[::-1])
    return f"{start[0] if start else ''}*{end[0] if end else ''}"


def _start(names: Sequence[str]) -> str:
    """Return the characters with which all names begin."""
    least, most = min(names), max(names)
    same = (at for at, one in enumerate(least) if at >= len(most) or most[at] != one)
    return least[: next(same, len(least))]


# Where a prefix ends and a suffix begins: numbers belong to the key.
_to_separator = {"before": re.compile(r"^.*[^\w]|^.*_"), "after": re.compile(r"(?:[^\w]|_).*$")}
_to_digits = {"before": re.compile(r"^.*[^\d]"), "after": re.compile(r"[^\d].*$")}
