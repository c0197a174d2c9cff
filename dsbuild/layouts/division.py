"""Divide samples into train and val by a hash, in groups that must not leak, and with all classes.

A group is what is alike: the pictures of a folder, of a video, of one original that was augmented.
The hash of a group decides its split, so that it does not change when others are added.
"""

import functools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

from dsbuild import storage
from dsbuild.errors import ImageError, LayoutError, NoFileError, PlanError
from dsbuild.fields import field
from dsbuild.layouts.base import Layout
from dsbuild.layouts.finding import Finding
from dsbuild.layouts.sample import Held, Part, Slice

VAL_HELP = (
    "Share of samples for val, if neither folders nor lists divide them; 0 puts all into train."
)
_KINDS = ("folder", "rf", "duplicates")
_BOTH = ("train", "val")
_ALL = 1 - 2**-40  # a fraction that puts every group into val


@dataclass(frozen=True, kw_only=True)
class Divided(Layout):
    """Options of layouts that may have to divide samples into train and val themselves."""

    val_fraction: float = field(0.0, VAL_HELP, least=0, below=1)
    split_seed: int = field(0, "Seed for dividing samples into train and val.")
    group: str = field(
        "",
        "What stays in one split: all of a folder; rf, copies that Roboflow made of one picture; "
        "duplicates, pictures that look alike; or a pattern (regex) of keys, by its first group.",
        omitted=True,
    )
    stratify: bool = field(
        False, "Bring every class into both splits, as far as two groups have it.", omitted=True
    )

    @property
    def alike(self) -> bool:
        """Whether a sample's split depends on other samples, too."""
        return bool(self.group) or self.stratify

    def check_division(self) -> None:
        """Raise PlanError for options that divide nothing, or a pattern that is none."""
        if self.stratify and not self.val_fraction:
            raise PlanError("--stratify: found no --val-fraction, expected one, such as 0.2")
        try:
            re.compile(self.group)
        except re.error as error:
            raise PlanError(
                f"--group {self.group}: found no pattern ({error}), expected one of "
                f"{', '.join(_KINDS)}, or a regular expression"
            ) from error

    def divide(self, unit: str) -> str:
        """Return the split of a unit by its hash, so that other units do not matter."""
        return "val" if self._place(unit) < self.val_fraction * 2**64 else "train"

    def _place(self, unit: str) -> int:
        import hashlib

        seeded = f"{self.split_seed}\0{unit}".encode(errors="surrogateescape")
        return int.from_bytes(hashlib.sha256(seeded).digest()[:8])

    def division(self, units: Iterable[str]) -> tuple[str, ...]:
        """Return train and val, or only the one that all units are in."""
        return in_order(map(self.divide, units))

    def undivided(self, root: str, splits: Sequence[str]) -> Iterator[Finding]:
        """Find that train or val has no sample, although a fraction was given to divide them."""
        lacking = next((one for one in _BOTH if one not in splits), None)
        if lacking is None or self.val_fraction in (0, type(self).val_fraction):
            return
        if lacking in self._all_in(lacking).splits(root):
            text = self._lacks(lacking)
        else:
            text = (
                f"--val-fraction {self.val_fraction:g} divides nothing, since folders or lists do, "
                f"into {', '.join(splits)}; leave it out, or put all into one folder"
            )
        yield Finding("undivided", splits[0], text)

    def why_empty(self, root: str, split: str) -> str:
        """Return what is wrong with a split that has no sample: perhaps the fraction."""
        if self.val_fraction and split in _BOTH and any(self._all_in(split).samples(root, split)):
            return self._lacks(split)
        return super().why_empty(root, split)

    def _all_in(self, split: str) -> Self:
        """Return the layout with a fraction that puts every group into train, or into val."""
        return replace(self, val_fraction=_ALL if split == "val" else 1 - _ALL)

    def _lacks(self, split: str) -> str:
        (other,) = {*_BOTH} - {split}
        return (
            f"{split} has no sample: by --val-fraction {self.val_fraction:g}, a hash of each "
            f"picture or group puts all into {other}; change the fraction or --split-seed"
        )

    def assigned(
        self,
        root: str,
        images: Mapping[str, str],
        labels: Iterable[tuple[str, Part | int | None]] = (),
        top: int = 0,
    ) -> dict[str, str]:
        """Return key -> split; `images` maps keys to paths.

        `labels` are keys with their labels, which are only read if classes matter, one at a time.
        The first `top` folders of a key are no groups.
        """
        if not self.alike:
            return {key: self.divide(key) for key in images}
        units = groups(root, images, self.group, top)
        if not self.stratify:
            return {key: self.divide(unit) for key, unit in units.items()}
        bound, classes = self.bind(root), {unit: set[int]() for unit in units.values()}
        for key, label in labels:
            classes[units[key]] |= present(bound, root, label)
        splits = self._stratified(classes)
        return {key: splits[unit] for key, unit in units.items()}

    def _stratified(self, classes: Mapping[str, set[int]]) -> dict[str, str]:
        """Return unit -> split, by its hash, except that few are moved for a class.

        If a split has no unit of a class that two units have, the one whose hash is nearest moves
        there, unless its own split would lose a class.
        """
        splits = {unit: self.divide(unit) for unit in classes}
        ranked = sorted(classes, key=self._place)
        units = {c: [u for u in ranked if c in classes[u]] for c in set().union(*classes.values())}
        for one in sorted(units, key=lambda one: (len(units[one]), one)):
            for split, order in (("val", units[one]), ("train", units[one][::-1])):
                if len(order) < 2 or any(splits[unit] == split for unit in order):
                    continue
                free = (unit for unit in order if not _alone(unit, classes, units, splits))
                moved = next(free, None)
                if moved is not None:
                    splits[moved] = split
        return splits


def in_order(splits: Iterable[str]) -> tuple[str, ...]:
    """Return train and val, or only the one that is among the splits of samples."""
    there = {*splits}
    return tuple(split for split in _BOTH if split in there)


def _alone(
    unit: str,
    classes: Mapping[str, set[int]],
    units: Mapping[int, list[str]],
    splits: Mapping[str, str],
) -> bool:
    """Tell whether a unit is the only one of its split with one of its classes."""
    split = splits[unit]
    return any(
        len(units[one]) > 1 and sum(splits[other] == split for other in units[one]) == 1
        for one in classes[unit]
    )


def groups(root: str, images: Mapping[str, str], group: str, top: int = 0) -> dict[str, str]:
    """Return key -> group; raise LayoutError for a key that a pattern does not fit."""
    if group == "duplicates":
        paths = tuple(images.values())
        stamps = storage.stamps(storage.join(root, path) for path in paths)
        return dict(zip(images, _clusters(root, (*images,), paths, tuple(stamps)), strict=True))
    return {key: _group(key, group, top) for key in images}


def _group(key: str, group: str, top: int) -> str:
    if not group:
        return key
    if group == "folder":
        return "/".join(key.split("/")[top:-1]) or key
    if group == "rf":
        return key.rpartition(".rf.")[0] or key
    match = re.search(group, key)
    if match is None:
        raise LayoutError(f"--group {group}: found no group in {key!r}; the pattern must fit it")
    return next((part for part in match.groups() if part is not None), match[0])


@functools.lru_cache(1)
def _clusters(
    root: str, keys: tuple[str, ...], paths: tuple[str, ...], _stamps: tuple[object, ...]
) -> tuple[str, ...]:
    """Return the first key of each picture's group of pictures that look alike.

    Pictures are compared by their difference hashes. The stamps tell whether files are the same.
    """
    from dsbuild import images
    from dsbuild.images.hashing import dhash
    from dsbuild.images.near import near

    hashes: dict[str, int] = {}
    with storage.ahead(storage.join(root, path) for path in paths) as read:
        for key, path in zip(keys, paths, strict=True):
            try:
                data = read(storage.join(root, path))[0]
                hashes[key] = dhash(images.decode(data, images.header(data)))
            except (ImageError, NoFileError):
                continue  # the build names it
    linked = near(hashes.values()) if hashes else {}
    firsts: dict[int, str] = {}
    for key in sorted(hashes):
        firsts.setdefault(linked[hashes[key]], key)
    return tuple(firsts[linked[hashes[key]]] if key in hashes else key for key in keys)


def present(layout: Layout, root: str, label: Part | int | None) -> frozenset[int]:
    """Return the classes that a label shows; none if it cannot be read, which the build names."""
    if label is None or isinstance(label, int):
        return frozenset() if label is None else frozenset({label})
    try:
        if isinstance(label, Slice):
            data = label.data
        else:
            data = storage.read(storage.join(root, label))[0]
        assert not isinstance(data, Held), "slices have their bytes while they are listed"
        return frozenset(layout.shown(data, str(label))) - {layout.ignore}
    except (ImageError, NoFileError):  # which the build names; a store that is away is an error
        return frozenset()


def named(labels: Iterable[str], values: Mapping[str, int]) -> frozenset[int]:
    """Return the classes that shapes show by their labels; none if one of these is unknown.

    A build refuses a picture with an unknown label, so that none of its classes is stored. Class 0
    is the background, which is wherever there is no shape, and so does not count.
    """
    found = {values.get(label) for label in labels}
    return frozenset() if None in found else frozenset(one for one in found if one)


def leaks(
    layout: Layout, root: str, split: str, keys: Iterable[str], splits: Sequence[str], group: str
) -> Iterator[Finding]:
    """Find groups that are in several of the splits that folders or lists make.

    They are reported with the first of these, whose `keys` are given; without --group, the copies
    that Roboflow made of a picture are groups.
    """
    if split not in splits[:1] or len(splits) < 2:
        return
    group = group or ("rf" if any(".rf." in key for key in keys) else "")
    if not group:
        return
    images = {s: {one.key: one.image for one in layout.samples(root, s)} for s in splits}
    if group == "duplicates":
        named = {f"{s}/{key}": path for s in splits for key, path in images[s].items()}
        found = groups(root, named, group)
        units = {s: {key: found[f"{s}/{key}"] for key in images[s]} for s in splits}
    else:
        units = {s: groups(root, images[s], group) for s in splits}
    for unit, several in crossing(units).items():
        counts = (f"{s} ({sum(one == unit for one in units[s].values()):,})" for s in several)
        text = f"the group {unit} is in {' and '.join(counts)}, so these splits are not independent"
        yield Finding("group-crosses", split, text)


def crossing(units: Mapping[str, Mapping[str, str]]) -> dict[str, list[str]]:
    """Return the groups that are in several splits, with these; `units` is split -> key -> group.

    >>> crossing({"train": {"a1": "a", "b1": "b"}, "val": {"a2": "a"}})
    {'a': ['train', 'val']}
    """
    found: dict[str, list[str]] = {}
    for split, of_split in units.items():
        for unit in dict.fromkeys(of_split.values()):
            found.setdefault(unit, []).append(split)
    return {unit: splits for unit, splits in found.items() if len(splits) > 1}
