"""Mattes in one folder per clip, which holds a folder of photos and one of mattes.

<clip>/image/0001.jpg            <clip>/alpha/0001.png
<split>/<clip>/fgr/0001.jpg      <split>/<clip>/pha/0001.jpg
"""

import posixpath
from collections.abc import Iterable, Iterator, Mapping

from dsbuild import storage
from dsbuild.errors import LayoutError
from dsbuild.format.split_names import role
from dsbuild.layouts.division import groups
from dsbuild.layouts.finding import Finding
from dsbuild.layouts.folder_names import kind
from dsbuild.layouts.folders import by_key, composed, elsewhere, folders, leftovers, of_splits, stem
from dsbuild.layouts.pairing import suffix_of
from dsbuild.layouts.recognition import Glance

Clips = Mapping[str, list[str]]  # split -> folders of its clips; "" for clips that are undivided
_SEEN = 8  # folders that are looked at to recognise clips


def found(root: str, images: str, alphas: str) -> Clips:
    """Return the clips below root, or below folders of splits; none if folders are no clips.

    Raises LayoutError for clips beside folders of splits.
    """

    def below(folder: str) -> list[str]:
        paths = [posixpath.join(folder, name) for name in folders(root, folder)]
        parts = (images, alphas)
        return [
            path
            for path in paths
            if any(storage.is_folder(storage.join(root, path, part)) for part in parts)
        ]

    alone = below("")
    if any(role(name) for name in alone) or storage.is_folder(storage.join(root, images)):
        return {}
    divided = {split: clips for split, name in of_splits(root).items() if (clips := below(name))}
    if alone and divided:
        raise LayoutError(
            f"{root}: found the clip {alone[0]} beside {', '.join(divided)}, which hold clips, "
            "too; expected all clips in folders of splits, or none"
        )
    return {"": alone} if alone else divided


def recognised(root: str) -> tuple[str, str, str] | None:
    """Return the names of the folders of photos and mattes in clips, and a clip; None if none."""
    glance = Glance()
    tops = glance.folders(root)
    splits = [name for name in tops if role(name)]
    places = tops or []
    if splits:
        places = [f"{name}/{clip}" for name in splits for clip in glance.folders(f"{root}/{name}")]
    for place in places[:_SEEN]:
        folder = storage.join(root, place)
        named = glance.folders(folder)
        photos = [name for name in named if kind(name) == "images"]
        mattes = [name for name in named if kind(name) == "alphas"]
        if len(photos) == len(mattes) == 1:
            both = [storage.join(folder, name) for name in (photos[0], mattes[0])]
            if suffix_of(glance, *both) == "":
                return photos[0], mattes[0], place
    return None


def pairs(root: str, clip: str, images: str, alphas: str) -> Iterator[tuple[str, str, str]]:
    """Yield the key of each sample of a clip, `<clip>/<stem>`, and its photo and matte."""
    photos = by_key(root, posixpath.join(clip, images))
    mattes = by_key(root, posixpath.join(clip, alphas))
    for name, photo in photos.items():
        yield _key(clip, name), photo, mattes.get(name, f"{clip}/{alphas}/{name}.png")


def units(root: str, clips: Iterable[str], images: str, group: str, whole: bool) -> dict[str, str]:
    """Return key -> what stays in one split: a clip if `whole`, else a sample; or as `group` says.

    See `division.groups`.
    """
    photos = {
        _key(clip, name): (clip, photo)
        for clip in clips
        for name, photo in by_key(root, posixpath.join(clip, images)).items()
    }
    if group:
        return groups(root, {key: photo for key, (_, photo) in photos.items()}, group)
    return {key: composed(clip) if whole else key for key, (clip, _) in photos.items()}


def findings(
    root: str, split: str, clips: Clips, images: str, alphas: str, *, first: bool
) -> Iterator[Finding]:
    """Find stray files and mattes without a photo; with the first split, pictures elsewhere too.

    What is in undivided clips is found with the first split alone.
    """
    mine = clips.get(split, clips.get("", []) if first else [])
    for clip in mine:
        yield from leftovers(root, split, f"{clip}/{images}", f"{clip}/{alphas}", stem)
    if first:
        every = [clip for one in clips.values() for clip in one]
        used = [f"{clip}/{part}" for clip in every for part in (images, alphas)]
        yield from elsewhere(root, split, used)


def _key(clip: str, name: str) -> str:
    return f"{composed(posixpath.basename(clip))}/{name}"
