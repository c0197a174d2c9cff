"""Find folders of splits by a pattern in which `{split}` stands for the name of a split.

{split}          {split}annot        train and trainannot, as in SegNet's CamVid
{split}          {split}_masks       train and train_masks, as in Carvana
images_{split}   labels_{split}      images_train and labels_train
images{split}    labels{split}       imagesTr and labelsTr
"""

import posixpath
import re
from collections.abc import Collection, Iterable

from dsbuild import storage
from dsbuild.errors import LayoutError, PlanError
from dsbuild.format.split_names import role, same
from dsbuild.layouts.folder_names import kind
from dsbuild.layouts.folders import folders

MARK = "{split}"


def renames(given: Iterable[str]) -> dict[str, str]:
    """Return name of a folder or list -> split, from options `NAME=SPLIT`; raise PlanError."""
    called: dict[str, str] = {}
    for text in given:
        name, _, split = (part.strip() for part in text.rpartition("="))
        if not name or not split:
            raise PlanError(
                f"--split-folder {text}: expected the name of a folder or list and its split, as "
                "in --split-folder night=test"
            )
        if called.setdefault(name, split) != split:
            raise PlanError(f"--split-folder: found {called[name]} and {split} for {name}")
    return called


def fitting(root: str, pattern: str) -> dict[str, str]:
    """Return what `{split}` stands for -> path of a folder, for the folders that fit a pattern."""
    before, _, after = pattern.partition(MARK)
    above, _, start = before.rpartition("/")
    end, _, below = after.partition("/")
    expression = re.compile(f"{re.escape(start)}(.+){re.escape(end)}")
    if above and not storage.is_folder(storage.join(root, above)):
        return {}
    found = {}
    for name in folders(root, above):
        match = expression.fullmatch(name)
        path = posixpath.join(above, name, below) if below else posixpath.join(above, name)
        if match and storage.is_folder(storage.join(root, path)):
            found[match[1]] = path
    return found


def paired(
    root: str, images: str, labels: str, called: Collection[str] = ()
) -> tuple[dict[str, tuple[str, str]], dict[str, str]]:
    """Return split -> its folders of images and labels, and split -> labels that have no images.

    `called` are names of splits beside the usual ones. Folders of labels that are missing are
    named as the pattern has them.
    """
    if MARK not in labels:
        raise LayoutError(
            f"--images {images}: found {MARK} in it, expected it in --labels too, which is {labels}"
        )
    photos, masks = fitting(root, images), fitting(root, labels)
    narrow = len(labels) > len(images)
    claimed = {path for name, path in masks.items() if narrow or _twin(name, photos)}
    found, used = {}, set()
    for name, path in photos.items():
        twin = _twin(name, masks)
        if path not in claimed and (twin or role(name) or name in called):
            found[name] = (path, masks[twin] if twin else labels.replace(MARK, name))
            used.add(twin)
    alone = {
        name: path
        for name, path in masks.items()
        if name not in used and (role(name) or name in called)
    }
    return found, alone


def _twin(name: str, others: Iterable[str]) -> str | None:
    """Return the name of the same split among others."""
    if name in others:
        return name
    alike = [other for other in others if same(name, other)]
    return alike[0] if len(alike) == 1 else None


def patterns(names: Iterable[str]) -> dict[str, dict[str, list[str]]]:
    """Return what folders hold -> pattern -> splits, for names such as `train_masks`.

    The name of a split alone may be that of a folder of images.
    """
    found: dict[str, dict[str, list[str]]] = {"images": {}, "labels": {}, "alphas": {}}
    for name in names:
        divided = _divided(name)
        if divided:
            split, pattern, holds = divided
            found[holds].setdefault(pattern, []).append(split)
    return found


def _divided(name: str) -> tuple[str, str, str] | None:
    """Return split, pattern and what a folder holds by its name; None if it has no such name."""
    for at in range(1, len(name)):
        for split, rest, pattern in (
            (name[:at], name[at:], MARK + name[at:]),
            (name[at:], name[:at], name[:at] + MARK),
        ):
            holds = kind(rest.strip("-_. "))
            if holds and role(split) and not role(rest.strip("-_. ")):
                return split, pattern, holds
    return (name, MARK, "images") if role(name) else None
