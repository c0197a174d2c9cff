"""Recognise which layout a folder has, from what each layout sees in it."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dsbuild import fields, storage
from dsbuild.errors import LayoutError, StorageError, nearest
from dsbuild.layouts import LAYOUTS, folders
from dsbuild.layouts.folder_names import kind
from dsbuild.layouts.recognition import Glance, Recognised, listed

_BELOW = 12  # folders in a folder that are looked into for a hint
_PARTS = {"leftImg8bit", "gtFine", "gtCoarse", "ImageSets", "clip_img", "matting"}


@dataclass(frozen=True)
class Sight:
    """What all layouts saw in a folder.

    Attributes:
      path: the folder, as the user named it.
      seen: one value per layout that was asked.
    """

    path: str
    seen: tuple[Recognised, ...]

    @property
    def best(self) -> tuple[Recognised, ...]:
        """The most certain layouts: one, several if they tie, or none."""
        return _most([one for one in self.seen if one])

    @property
    def answer(self) -> Recognised:
        """The one layout; raise LayoutError if there is none, or several are as likely."""
        best = self.best
        if len(best) == 1:
            return best[0]
        rows = [f"{name}: {text}" for name, text in self.rows()]
        raise LayoutError("; ".join(filter(None, [self.headline(), *rows, self.remedy()])))

    def headline(self) -> str:
        """Say in one line that the folder was not recognised."""
        if self.best:
            names = listed([one.layout for one in self.best])
            return f"{self.path}: found {names}, expected one layout"
        barred = self._barred
        if barred:
            return f"{self.path}: {barred[0].text}, but {barred[0].barred}"
        return f"{self.path}: found no layout that dsbuild knows; this holds {_content(self.path)}"

    @property
    def _barred(self) -> tuple[Recognised, ...]:
        """The most certain layouts, if only their options were not these."""
        return _most([one for one in self.seen if one.certainty])

    def rows(self) -> list[tuple[str, str]]:
        """Return what each layout saw, by name; nothing if an option alone is wrong."""
        if self._barred and not self.best:
            return []
        return [(one.layout, one.barred or one.text) for one in self.seen]

    def remedy(self) -> str:
        """Say what to do about a folder that was not recognised."""
        if self._barred and not self.best:
            return ""
        if self.best:
            names = [one.layout for one in self.best]
            return f"name the layout, as in --layout {names[0]}, or a folder that holds only one"
        return _hint(self.path, [one.layout for one in self.seen])


def _most(found: Sequence[Recognised]) -> tuple[Recognised, ...]:
    """Return the most certain of what was recognised."""
    most = max((one.certainty for one in found), default=0)
    return tuple(one for one in found if one.certainty == most)


def look(path: str, given: Mapping[str, str] | None = None, layout: str | None = None) -> Sight:
    """Look at a folder with every layout, or with one.

    `given` are options of layouts by the names that users have. Raises LayoutError if the path is
    no folder.
    """
    given = given or {}
    folders.require(path)
    return Sight(
        path, tuple(_asked(name, path, given) for name in LAYOUTS if layout in (None, name))
    )


def recognise(source: str | os.PathLike[str], **options: object) -> Recognised:
    """Return the layout of a folder, what was found in it, and the options that it needs.

    `dsbuild.build("auto", source)` builds what was recognised.

    Args:
      source: the folder, or the URL of one.
      options: options of layouts that are known, such as labels="masks"; they say where to look,
        and layouts without them are left out.

    Returns what was recognised: `layout` is the name for `dsbuild.build`, `text` says what was
    found, `options` are to be passed on, `needs` says which others only you can choose. Raises
    LayoutError if the folder is missing, or fits no layout, or several.
    """
    return look(os.fspath(source), {name: str(value) for name, value in options.items()}).answer


def _asked(name: str, path: str, given: Mapping[str, str]) -> Recognised:
    """Return what a layout sees in a folder, and why it cannot have the given options."""
    known = fields.named(LAYOUTS[name])
    for option, value in given.items():
        word = f"--{option.replace('_', '-')}"
        choices = known[option].metadata.get("choices", ()) if option in known else ()
        barred = "" if option in known else f"dsbuild {name} has no option {word}"
        if choices and value not in choices:
            near = nearest(value, choices)
            barred = f"{word} {value}: expected one of {', '.join(choices)}{near}"
        if barred:
            return dataclasses.replace(LAYOUTS[name].recognise(path, {}), barred=barred)
    return LAYOUTS[name].recognise(path, given)


def _content(path: str) -> str:
    """Return what a folder holds, in words."""
    glance = Glance()
    names, files = glance.folders(path), glance.files(path)
    parts = []
    if names:
        parts.append(f"the folder{'s'[: len(names) > 1]} {listed(names)}")
    if files:
        number = f"{len(files):,}" if storage.some(path).whole else f"over {len(files):,}"
        parts.append(f"{number} files such as {files[0]}" if files[1:] else f"the file {files[0]}")
    return " and ".join(parts) or "nothing"


def _hint(path: str, layouts: Sequence[str]) -> str:
    """Return what else a folder may be, and what to do then."""
    glance = Glance()
    files = glance.files(path)
    if any(".tfrecord" in name for name in files):
        return f"these are TFRecords; look at them with: dsbuild inspect {path}"
    archives = [name for name in files if name.lower().endswith(folders.ARCHIVES)]
    if archives:
        return f"{archives[0]} is an archive; unpack it first"
    near = _near(path, layouts, glance)
    if near:
        return f"did you mean {', or '.join(f'{one} ({text})' for one, text in near[:3])}?"
    return _other_form(path, glance) or (
        "dsbuild NAME --help says what a layout needs; --layout NAME takes one unrecognised"
    )


def _near(path: str, layouts: Sequence[str], glance: Glance) -> list[tuple[str, str]]:
    """Return the folders below a folder, or above it, that are recognised, and as what."""
    places = [storage.join(path, name) for name in glance.folders(path)[:_BELOW]]
    found = [one for place in places for one in _seen(place, layouts)]
    if not found:
        inner = (storage.join(one, name) for one in places for name in glance.folders(one)[:3])
        found = [one for place in list(inner)[:_BELOW] for one in _seen(place, layouts)]
    name = storage.name(path)
    if not found and (kind(name) or name in _PARTS):
        found = _seen(storage.normal(storage.join(path, "..")), layouts)
    return found


def _seen(place: str, layouts: Sequence[str]) -> list[tuple[str, str]]:
    """Return a folder and what it is, if it is recognised."""
    try:
        best = Sight(place, tuple(LAYOUTS[one].recognise(place, {}) for one in layouts)).best
    except (StorageError, LayoutError):
        return []
    return [(place, one.text) for one in best if len(best) == 1]


def _other_form(path: str, glance: Glance) -> str:
    """Return what format of another tool a folder has, and what to do; "" if none is known."""
    inner = [path, *(storage.join(path, name) for name in glance.folders(path)[:_BELOW])]
    inner += [storage.join(one, name) for one in inner[1:] for name in glance.folders(one)[:2]]
    for folder in inner:
        files, pictures = glance.files(folder), glance.pictures(folder)
        endings = {name.rpartition(".")[2].lower() for name in files}
        stems = {name.rpartition(".")[0] for name in files}
        if any(
            name.startswith(("instances", "panoptic")) and name.endswith(".json") for name in files
        ):
            return f"{folder} holds annotations of COCO; name a folder with their images"
        within = {storage.name(folder), storage.name(storage.join(folder, ".."))}
        if "labels" in within and "txt" in endings and not pictures:
            return (
                f"{folder} holds labels of YOLO; put a data.yaml with the names of the classes "
                "into the folder of images and labels"
            )
        if "json" in endings and stems & {name.rpartition(".")[0] for name in pictures}:
            return (
                f"{folder} holds one JSON file per picture, but not in LabelMe's form; draw them "
                "as masks (one PNG per image), then use pairs"
            )
    return ""
