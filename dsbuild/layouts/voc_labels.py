"""Where the labels of a VOC tree lie: in which folder, for which ids.

    SegmentationClass  SegmentationClassRaw  SegmentationClassAug  cls

Nobody says which of them is meant. A folder is taken for all ids of a list, or for none: one that
lacks a label which another one has is named, since the two are not of the same hand.
"""

from dsbuild import storage
from dsbuild.errors import LayoutError
from dsbuild.layouts import sbd
from dsbuild.layouts.folders import composed

# Where each kind of label lies, in the order in which `auto` prefers them, and as what.
FOLDERS = {
    "class": ("SegmentationClass", ".png"),
    "raw": ("SegmentationClassRaw", ".png"),
    "aug": ("SegmentationClassAug", ".png"),
    "sbd": sbd.LABELS,
}
WIDE = ("aug", "sbd")  # those that have labels of what SBD adds
Place = tuple[str, str]  # a folder, relative to root, and the extension of its labels


def place(root: str, kind: str) -> Place:
    """Return where a kind of label lies."""
    folder, extension = FOLDERS[kind]
    return (sbd.place(root, folder) if kind == "sbd" else folder), extension


def named(root: str, kind: str) -> Place:
    """Return where the kind of label lies that the user asked for; raise LayoutError if nowhere."""
    folder, extension = place(root, kind)
    if not storage.is_folder(storage.join(root, folder)):
        there = [f for f, _ in FOLDERS.values() if storage.is_folder(storage.join(root, f))]
        raise LayoutError(
            f"{storage.join(root, folder)}: there is no such folder, which --labels {kind} asks "
            f"for; there are {', '.join(there) or 'no labels at all'}"
        )
    return folder, extension


def have(root: str, keys: list[str]) -> dict[str, set[str]]:
    """Return which of some keys have labels, by kind."""
    found = {}
    for kind in FOLDERS:
        folder, extension = place(root, kind)
        names = {composed(name) for name in storage.names(storage.join(root, folder))}
        found[kind] = {
            key
            for key in keys
            if (
                storage.stamp(storage.join(root, folder, key + extension))
                if "/" in key
                else f"{key}{extension}" in names
            )
        }
    return found


def choose(root: str, split: str, keys: list[str], *, wide: bool) -> Place | None:
    """Return where the labels of a list lie, of equals the first; None where there are none.

    With `wide` a list has what SBD adds, of which VOC's own folders have no labels by design.
    Raises LayoutError where the first folder with any label lacks one that another folder has.
    """
    there = have(root, keys)
    if wide and any(there[kind] for kind in WIDE):
        there = {k: v for k, v in there.items() if k in WIDE or len(v) == len({*keys})}
    kinds = [kind for kind, found in there.items() if found]
    if not kinds:
        return None
    best, *others = kinds
    lacking = {*keys} - there[best]
    other = next((kind for kind in others if there[kind] & lacking), None)
    if other is None:
        return place(root, best)
    (folder, extension), more = place(root, best), len(lacking) - 1
    raise LayoutError(
        f"{storage.join(root, folder, min(lacking) + extension)}: there is no such file"
        f"{f', nor {more:,} more of split {split}' if more else ''}, while "
        f"{place(root, other)[0]} has a label, expected all of one folder; fetch the file, or take "
        f"all labels of one folder by --labels {best} or --labels {other}"
    )


def path(root: str, place: Place, key: str) -> str:
    """Return the path of a label, under the form of its name that is there."""
    folder, extension = place
    wanted = f"{folder}/{key}{extension}"
    if key.isascii() or storage.stamp(storage.join(root, wanted)):
        return wanted
    names = storage.names(storage.join(root, folder))
    alike = [name for name in names if composed(name) == composed(f"{key}{extension}")]
    return f"{folder}/{alike[0]}" if len(alike) == 1 else wanted
