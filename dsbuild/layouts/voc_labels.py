"""Find the labels of a VOC tree: in which folder, for which ids.

    SegmentationClass  SegmentationClassRaw  SegmentationClassAug  cls

Nothing in a tree says which folder is meant. All labels of a list come from the same folder, since
the folders were drawn by different people: one that misses a label that another has is an error.
"""

import posixpath

from dsbuild import storage
from dsbuild.errors import LayoutError
from dsbuild.layouts import sbd
from dsbuild.layouts.folders import composed

# Kind of label -> its folder and extension, in the order in which `auto` prefers them.
FOLDERS = {
    "class": ("SegmentationClass", ".png"),
    "raw": ("SegmentationClassRaw", ".png"),
    "aug": ("SegmentationClassAug", ".png"),
    "sbd": sbd.LABELS,
}
# Where archives of SegmentationClassAug are unpacked; the first one that has the folder counts.
_AUG = ("", "..", "../..", "../VOCaug", "../VOCaug/dataset", "../../VOCaug/dataset")
WIDE = ("aug", "sbd")  # kinds that have labels for the images that SBD adds
Place = tuple[str, str]  # a folder, relative to root, and the extension of its labels


def place(root: str, kind: str) -> Place:
    """Return the folder and extension for a kind of label."""
    folder, extension = FOLDERS[kind]
    if kind == "sbd":
        return sbd.place(root, folder), extension
    return (_augmented(root, folder) if kind == "aug" else folder), extension


def _augmented(root: str, folder: str) -> str:
    """Return the path of the augmented labels: in VOC2012, or beside it or VOCdevkit.

    An archive may hold a folder of its own name, so that the labels are one deeper.
    """
    paths = [posixpath.join(above, folder) for above in _AUG]
    there = storage.at_once(root, lambda path: storage.is_folder(storage.join(root, path)), paths)
    path = next((path for path, found in zip(paths, there, strict=True) if found), None)
    if path is None:
        return folder
    inner = posixpath.join(path, folder)
    return inner if storage.is_folder(storage.join(root, inner)) else path


def named(root: str, kind: str) -> Place:
    """Return the folder and extension for --labels; raise LayoutError if it is missing."""
    folder, extension = place(root, kind)
    if not storage.is_folder(storage.join(root, folder)):
        there = [f for f, _ in FOLDERS.values() if storage.is_folder(storage.join(root, f))]
        raise LayoutError(
            f"{storage.join(root, folder)}: there is no such folder, but --labels {kind} needs it; "
            f"there are {', '.join(there) or 'no labels at all'}"
        )
    return folder, extension


def have(root: str, keys: list[str]) -> dict[str, set[str]]:
    """Return the keys that have labels, by kind."""
    deep = [key for key in keys if "/" in key]
    flat = {key for key in keys if "/" not in key} if deep else {*keys}

    def labelled(kind: str) -> set[str]:
        folder, extension = place(root, kind)
        stems = {
            composed(name.removesuffix(extension))
            for name in storage.names(storage.join(root, folder))
            if name.endswith(extension)
        }
        below = (key for key in deep if storage.stamp(storage.join(root, folder, key + extension)))
        return (flat & stems) | {*below}

    return dict(zip(FOLDERS, storage.at_once(root, labelled, FOLDERS), strict=True))


def choose(root: str, split: str, keys: list[str], *, wide: bool) -> Place | None:
    """Return the first folder with labels of a list, and their extension; None without labels.

    With `wide` a list has the images that SBD adds, for which VOC's own folders have no labels by
    design. Raises LayoutError if that folder is missing a label that another folder has.
    """
    there = have(root, keys)
    if wide and any(there[kind] for kind in WIDE):
        there = {k: v for k, v in there.items() if k in WIDE or len(v) == len({*keys})}
    kinds = [kind for kind, labelled in there.items() if labelled]
    if not kinds:
        return None
    best, *others = kinds
    missing = {*keys} - there[best]
    other = next((kind for kind in others if there[kind] & missing), None)
    if other is None:
        return place(root, best)
    (folder, extension), more = place(root, best), len(missing) - 1
    raise LayoutError(
        f"{storage.join(root, folder, min(missing) + extension)}: there is no such file"
        f"{f', nor {more:,} more in split {split}' if more else ''}, but "
        f"{place(root, other)[0]} has a label; expected all labels in one folder; fetch the file, "
        f"or choose one folder with --labels {best} or --labels {other}"
    )


def path(root: str, place: Place, key: str) -> str:
    """Return the path of a label, in the Unicode form that its name has on disk."""
    folder, extension = place
    wanted = f"{folder}/{key}{extension}"
    if key.isascii() or storage.stamp(storage.join(root, wanted)):
        return wanted
    names = storage.names(storage.join(root, folder))
    alike = [name for name in names if composed(name) == composed(f"{key}{extension}")]
    return f"{folder}/{alike[0]}" if len(alike) == 1 else wanted
