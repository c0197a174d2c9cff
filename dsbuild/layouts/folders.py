"""Walk folders of pictures, match pictures by stem, and find what is left over."""

import functools
import posixpath
import re
import unicodedata
from collections.abc import Callable, Container, Iterable, Iterator

from dsbuild import storage
from dsbuild.errors import LayoutError
from dsbuild.format.split_names import role
from dsbuild.layouts.finding import Finding


def walk(root: str, folder: str) -> Iterator[str]:
    """Yield all files below a folder, by name, as paths relative to root.

    Hidden folders are skipped: editors keep copies there.
    """
    for name, is_folder in storage.ordered_entries(storage.join(root, folder)):
        path = f"{folder}/{name}" if folder else name
        if not is_folder:
            yield path
        elif name[0] != ".":
            check_link(storage.join(root, folder), name)
            yield from walk(root, path)


def folders(root: str, folder: str = "") -> list[str]:
    """Return the names of the folders in a folder, sorted, except hidden ones."""
    above = storage.join(root, folder) if folder else root
    return [name for name, is_folder in storage.entries(above) if is_folder and name[0] != "."]


def of_splits(root: str, folder: str = "") -> dict[str, str]:
    """Return split -> name, for the folders in a folder that have names of splits.

    The split of `valid` is val; but if there are `val` and `valid`, each is a split of its own.
    """
    named = {name: role(name) or "" for name in folders(root, folder) if role(name)}
    called = [*named.values()]
    return {one if called.count(one) == 1 else name: name for name, one in named.items()}


ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar")


def require(path: str | None) -> None:
    """Raise LayoutError if a path that a user named is not a folder."""
    if path is None or storage.is_folder(path):
        return
    if storage.stamp(path) is None:
        raise LayoutError(storage.missing(path))
    if path.lower().endswith(ARCHIVES):
        raise LayoutError(f"{path}: found an archive, expected a folder; unpack it first")
    raise LayoutError(f"{path}: found a file, expected the folder of a data set")


def check_link(folder: str, name: str) -> None:
    """Raise LayoutError if a folder is a link to one above it: walking it would never end."""
    path = storage.join(folder, name)
    if storage.inside(folder, path):
        raise LayoutError(f"{path}: found a link to a folder above it, an endless loop; remove it")


# Formats that cannot be stored are listed too: they are refused or converted, not overlooked.
_ABOUT = re.compile(
    r"_?classes\.(csv|txt|json)|class_dict\.csv|label_?colors\.txt|label_?map\.txt|readme.*|licen[cs]e.*",
    re.IGNORECASE,
)
_ENDINGS = frozenset(
    "jpg jpeg jpe jfif pjpeg pjp png apng tif tiff webp bmp dib gif heic heif hif avif jxl jp2 j2k "
    "jpf jpx jps ppm pgm pbm pnm tga psd exr hdr dng cr2 nef arw raw".split()
)


def is_picture(path: str) -> bool:
    """Tell by its name whether a file is a picture, and not AppleDouble or .DS_Store."""
    start = path.rfind("/") + 1
    return path[start : start + 1] != "." and path[path.rfind(".") + 1 :].lower() in _ENDINGS


def pictures(root: str, folder: str) -> list[str]:
    """Return the pictures below a folder, by name, as paths relative to root."""
    return [path for path in walk(root, folder) if is_picture(path)]


def has_picture(root: str, folder: str) -> bool:
    """Tell whether there is a picture at any depth below a folder."""
    return any(map(is_picture, walk(root, folder)))


def composed(name: str) -> str:
    """Return a name in Unicode form NFC: macOS may write an umlaut as two characters."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def is_name(text: str) -> bool:
    """Tell whether a file may have this name."""
    try:
        return bool(text.strip("/\\")) and b"\0" not in text.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        return False


def stem(path: str, folder: str) -> str:
    """Return a path without its folder and extension, composed.

    >>> stem("src/a/b.png", "src")
    'a/b'
    """
    return composed(posixpath.splitext(path.removeprefix(folder + "/"))[0])


def grouped(
    root: str, folder: str, key: Callable[[str, str], str] = stem
) -> dict[str, tuple[str, ...]]:
    """Return key -> paths of the pictures below a folder, by name; usually one path per key."""
    groups: dict[str, tuple[str, ...]] = {}
    for path in pictures(root, folder):
        name = key(path, folder)
        groups[name] = (*groups.get(name, ()), path)
    return groups


def by_key(root: str, folder: str, key: Callable[[str, str], str] = stem) -> dict[str, str]:
    """Return key -> path of the pictures below a folder, by name.

    Raises LayoutError if two share a key: it is unclear which of them is meant.
    """
    groups = grouped(root, folder, key)
    for paths in groups.values():
        if len(paths) > 1:
            raise LayoutError(twice(root, paths))
    return {name: path for name, (path,) in groups.items()}


def others(root: str, folder: str) -> dict[str, str]:
    """Return stem -> path of the files below a folder whose names are not those of pictures."""
    return {stem(path, folder): path for path in walk(root, folder) if not is_picture(path)}


def twice(root: str, paths: tuple[str, ...]) -> str:
    """Say that pictures share a name, so that it is unclear which of them is meant."""
    forms = len({posixpath.splitext(composed(path))[0] for path in paths[:2]}) == 1
    form = forms and len({posixpath.splitext(path)[0] for path in paths[:2]}) > 1
    return (
        f"{storage.join(root, paths[1])}: found {paths[0]} with the same name"
        f"{' in another Unicode form' if form else ''}, expected one picture per name; remove one "
        "of them"
    )


def lists(folder: str) -> list[str]:
    """Return the names of the lists in a folder, without `.txt`."""
    names = storage.names(folder)
    return [name[:-4] for name in names if name.endswith(".txt") and name[0] != "."]


def leftovers(
    root: str, split: str, images: str, labels: str, key: Callable[[str, str], str]
) -> list[Finding]:
    """Find stray files below two folders, and labels without an image.

    `key(path, folder)` is what an image and its label have in common. The list of a split among
    them is fatal: it would be overlooked. Files that tools put there to say what the data are, are
    not stray.
    """
    files = {folder: list(walk(root, folder)) for folder in (images, labels)}
    have = {key(path, images) for path in files[images] if is_picture(path)}
    found = []
    for folder, paths in files.items():
        for path in paths:
            if not is_picture(path):
                if not _ABOUT.fullmatch(posixpath.basename(path)):
                    found.append(_stray(root, split, path))
            elif folder == labels and key(path, labels) not in have:
                found.append(Finding("label-alone", split, storage.join(root, path)))
    return found


def unpaired(
    root: str, split: str, folder: str, names: Iterable[str], ending: str, images: Container[str]
) -> list[Finding]:
    """Find stray files in a folder of labels with this ending, and labels without an image.

    `names` are those of the files in it, `images` those of images, without extension.
    """
    found = []
    for name in names:
        if name[0] == "." or not name.endswith(ending):
            found.append(Finding("stray", split, storage.join(root, folder, name)))
        elif composed(name.removesuffix(ending)) not in images:
            found.append(Finding("label-alone", split, storage.join(root, folder, name)))
    return found


def _stray(root: str, split: str, path: str) -> Finding:
    where = storage.join(root, path)
    name, ending = posixpath.splitext(posixpath.basename(path))
    if ending.lower() not in (".txt", ".csv", ".lst") or not role(name):
        return Finding("stray", split, where)
    text = f"{where}: found the list of a split; move it to {root}, or out of it"
    return Finding("stray", split, text, fatal=True)


def elsewhere(root: str, split: str, used: Iterable[str]) -> Iterator[Finding]:
    """Find pictures in folders that no split reads; each such folder is reported once.

    `used` are the folders, relative to root, that splits read. A folder whose pictures have
    exactly the stems of one of these holds another form of the same samples, such as cut-outs
    beside mattes.
    """
    used = {storage.normal(folder) for folder in used}
    if "." in used:
        return
    above = {folder.rpartition("/")[0] for folder in used}
    above |= {part for folder in above for part in _parents(folder)} | {""}
    of_splits = functools.cache(lambda: [stems(root, folder) for folder in used])
    for folder in sorted(above):
        for name, is_folder in storage.entries(storage.join(root, folder) if folder else root):
            path = posixpath.join(folder, name)
            if name[0] == "." or path in used or path in above:
                continue
            if not is_folder and is_picture(name):
                yield Finding("stray", split, storage.join(root, path))
            elif is_folder and not storage.inside(root, storage.join(root, path)):
                first = next(filter(is_picture, walk(root, path)), None)
                if first is not None and stems(root, path) not in of_splits():
                    text = f"{storage.join(root, path)}: no split has its pictures, such as {first}"
                    yield Finding("stray", split, text)


def stems(root: str, folder: str) -> list[str]:
    """Return the stems of the pictures below a folder, by name."""
    return sorted(stem(path, folder) for path in pictures(root, folder))


def _parents(folder: str) -> Iterator[str]:
    while folder:
        folder = folder.rpartition("/")[0]
        yield folder
