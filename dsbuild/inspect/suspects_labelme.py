"""Suspects as LabelMe files: labels as they are, with each suspect as a shape to decide on.

    <split>/<key>.jpg    <split>/<key>.json    labels.txt, the last file

A suspect is a shape on top, whose label begins with `suspect: `. That is no class, so a file in
which nobody has decided stops a build: rename the shape to the class, or delete it.
"""

import itertools
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from dsbuild import images, reader, storage
from dsbuild.errors import PlanError
from dsbuild.format.folder import Folder
from dsbuild.interop.annotations import about as about_of
from dsbuild.interop.annotations.labelme import LabelMeTree, shape
from dsbuild.interop.annotations.picture import Picture
from dsbuild.layouts.labelme import BACKGROUND, NAMES
from dsbuild.shapes import components
from dsbuild.train.audit import shown
from dsbuild.train.audit.shown import Shown
from dsbuild.train.audit.suspects import score_text

MARK = "suspect: "


def write(folder: Folder, out: str, target: str) -> int:
    """Write the records of an audit's suspects as LabelMe files; return how many records.

    Files that are there stay as they are, since somebody may have begun to repair them.

    Raises PlanError if a whole export is there, or if LabelMe cannot hold the classes.
    """
    listed = shown.regions_of(out)
    tree = check(folder, target)
    rows = sorted(listed, key=lambda one: (one.suspect.split, one.suspect.record))
    records = 0
    for (split, number), group in itertools.groupby(
        rows, key=lambda one: (one.suspect.split, one.suspect.record)
    ):
        _record(folder, tree, target, split, number, list(group))
        records += 1
    for path, parts in tree.whole(lambda _=None: iter(())):
        storage.write(storage.join(target, path), b"".join(parts))
    return records


def check(folder: Folder, target: str) -> LabelMeTree:
    """Return what writes the files of a folder's records.

    Raises PlanError if the target is the data's own folder or in it, if a whole export is there,
    or if LabelMe cannot hold the classes.
    """
    if storage.inside(target, folder.path):
        raise PlanError(
            f"{target}: found a folder inside the data, {folder.path}; name another by --labelme"
        )
    if storage.stamp(storage.join(target, NAMES)) is not None:
        raise PlanError(
            f"{target}: found {NAMES}, so somebody may be repairing labels here; name another "
            "folder"
        )
    tree = LabelMeTree(about=about_of.of(folder), shapes="masks")
    tree.refuse()
    return tree


def _record(
    folder: Folder, tree: LabelMeTree, target: str, split: str, number: int, found: Sequence[Shown]
) -> None:
    """Write image and shapes of a record, except files that are there."""
    sample = reader.open(folder, split)[number]
    head = images.header(sample.encoded)
    if head.orientation in tree.oriented:
        raise PlanError(
            f"{sample.key!r}: the image has EXIF orientation {head.orientation}, and LabelMe turns "
            "it, but not its label; build again with --exif apply"
        )
    plane = np.asarray(sample.label)
    one = Picture(split, sample.key, sample.encoded, head, images.write(plane), plane)
    files = {tree.image(one): sample.encoded}
    for path, data in tree.draw(one).files.items():
        document = json.loads(data)
        document["shapes"] += [drawn for each in found for drawn in _shapes(each, tree)]
        files[path] = json.dumps(document, indent=1).encode()
    paths = {storage.join(target, path): data for path, data in files.items()}
    storage.write_all({p: data for p, data in paths.items() if storage.stamp(p) is None})


def _shapes(one: Shown, tree: LabelMeTree) -> list[dict[str, Any]]:
    """Return the shape of a suspect, at the size of its label."""
    suspect = one.suspect
    plane = images.pick(one.marks, one.seen.size)
    background = tree.about.background
    ground = None if background is None else tree.about.classes[background]
    name = BACKGROUND if suspect.suggested == ground else suspect.suggested
    text = (
        f"suspect {suspect.rank}: labelled {suspect.given}, the model sees {suspect.suggested}; "
        f"score {score_text(suspect.score)}"
    )
    return [
        {**shape(MARK + name, region), "description": text, "flags": {"suspect": True}}
        for region in components.regions(plane, [1], "class")
    ]
