"""Targets that hold the masks themselves: one folder of images and one of label PNGs per split.

    png                   images/<split>/<key>.jpg    labels/<split>/<key>.png     classes.json
    mmseg                 img_dir/<split>/<key>.jpg   ann_dir/<split>/<key>.png    classes.json
    ultralytics-semantic  images/<split>/<key>.jpg    masks/<split>/<key>.png      data.yaml
    hf                    <split>/images/<key>.jpg    <split>/masks/<key>.png      metadata.jsonl

Masks are grey PNGs whose values are the class indices. All but png take 255 for pixels that are
ignored.

Sources: mmsegmentation's documentation (add_datasets); Ultralytics 8.4 (data/dataset.py);
huggingface.co/docs/datasets (image_dataset: columns that end in file_name).
"""

import json
import posixpath
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dsbuild import images
from dsbuild.errors import PlanError
from dsbuild.format.planes import WIDEST
from dsbuild.interop.annotations import listed, yaml
from dsbuild.interop.annotations.base import Drawn, Rows, Target
from dsbuild.interop.annotations.picture import Picture
from dsbuild.layouts import Layout
from dsbuild.layouts.pairs import Pairs
from dsbuild.layouts.yolo import Yolo

IGNORED = 255


@dataclass(frozen=True)
class Masks(Target):
    """Images and grey masks; a subclass says in which folders."""

    photos: ClassVar[str]
    labels: ClassVar[str]
    wide: ClassVar[bool] = False  # whether masks may have 16 bits

    @property
    def ignored(self) -> int | None:
        """The value of ignored pixels in the target."""
        return None if self.about.ignore is None else IGNORED

    def stem(self, one: Picture) -> str:
        """Return the path of a record's files, without folder and extension."""
        return one.stem

    def image(self, one: Picture) -> str:
        """Return the path of a record's image in the target."""
        folder = self.photos.format(split=one.split)
        return f"{folder}/{self.stem(one)}.{self.ending or one.ending}"

    def mask(self, one: Picture) -> str:
        """Return the path of a record's mask in the target."""
        return f"{self.labels.format(split=one.split)}/{self.stem(one)}.png"

    def draw(self, one: Picture) -> Drawn:
        """Return a record's mask as a grey PNG, its own bytes if they are one."""
        return Drawn({self.mask(one): grey(one, self.values(), self.wide)})

    def values(self) -> Mapping[int, int]:
        """Return the values as they are, and the one that is ignored."""
        found = {i: i for i in range(len(self.about.classes))}
        if self.about.ignore is not None and self.ignored is not None:
            found[self.about.ignore] = self.ignored
        return found


@dataclass(frozen=True)
class Png(Masks):
    """Images and grey masks, as `dsbuild pairs` reads them."""

    name: ClassVar[str] = "png"
    photos: ClassVar[str] = "images/{split}"
    labels: ClassVar[str] = "labels/{split}"
    roles: ClassVar[bool] = True
    most: ClassVar[int] = WIDEST
    wide: ClassVar[bool] = True

    @property
    def ignored(self) -> int | None:
        """The value of ignored pixels: that of the records."""
        return self.about.ignore

    def whole(self, rows: Rows) -> Iterable[tuple[str, Iterator[bytes]]]:
        """Yield the file of classes."""
        yield listed.CLASSES, listed.classes(self.about, self.ignored)

    def layout(self, root: str) -> Layout:
        """Return pairs, with the folders of the target."""
        ignore = -1 if self.ignored is None else self.ignored
        folders = (self.photos.partition("/")[0], self.labels.partition("/")[0])
        return Pairs(
            images=folders[0], labels=folders[1], names=self.about.classes, ignore_value=ignore
        )


@dataclass(frozen=True)
class Mmseg(Png):
    """The tree of mmsegmentation; all images have one extension, as its options ask for."""

    name: ClassVar[str] = "mmseg"
    photos: ClassVar[str] = "img_dir/{split}"
    labels: ClassVar[str] = "ann_dir/{split}"
    oriented: ClassVar[range] = range(2, 9)  # mmcv reads by OpenCV, which turns images
    one_ending: ClassVar[bool] = True
    most: ClassVar[int] = 255
    wide: ClassVar[bool] = False

    ignored = Masks.ignored


@dataclass(frozen=True)
class Semantic(Masks):
    """Masks as Ultralytics' semantic task reads them."""

    name: ClassVar[str] = "ultralytics-semantic"
    photos: ClassVar[str] = "images/{split}"
    labels: ClassVar[str] = "masks/{split}"
    roles: ClassVar[bool] = True
    most: ClassVar[int] = 254
    oriented: ClassVar[range] = range(2, 9)

    def stem(self, one: Picture) -> str:
        """Return a record's path that Ultralytics finds the mask of."""
        return one.below_images

    def whole(self, rows: Rows) -> Iterable[tuple[str, Iterator[bytes]]]:
        """Yield data.yaml."""
        splits = {name: f"images/{name}" for name in self.about.splits}
        more = {"masks_dir": "masks"}
        yield yaml.NAME, yaml.data(self.about, splits, self.about.classes, more)

    def layout(self, root: str) -> Layout:
        """Return the layout of YOLO, for masks."""
        return Yolo(labels="masks").bind(root)


@dataclass(frozen=True)
class HuggingFace(Masks):
    """An image folder of Hugging Face `datasets`, with the columns image, mask and key."""

    name: ClassVar[str] = "hf"
    photos: ClassVar[str] = "{split}/images"
    labels: ClassVar[str] = "{split}/masks"
    oriented: ClassVar[range] = range(2, 9)

    def refuse(self) -> None:
        """Raise PlanError if `datasets` would take two splits for one."""
        super().refuse()
        names: dict[str, str] = {}
        for split in self.about.splits:
            other = names.setdefault(yaml.hub_split(split), split)
            if other != split:
                raise PlanError(
                    f"--to {self.name}: found the splits {other} and {split}, both of which "
                    f"datasets would call {yaml.hub_split(split)}; build again with other names"
                )

    def draw(self, one: Picture) -> Drawn:
        """Return a record's mask, and its path for the table."""
        return Drawn({self.mask(one): grey(one, self.values())}, self.mask(one))

    def whole(self, rows: Rows) -> Iterable[tuple[str, Iterator[bytes]]]:
        """Yield the file of classes, the card, and a table per split."""
        yield listed.CLASSES, listed.classes(self.about, self.ignored)
        yield "README.md", yaml.card(self.about, self.ignored)
        for split in self.about.splits:
            yield f"{split}/metadata.jsonl", _table(rows, split)

    def layout(self, root: str) -> Layout:
        """Return pairs, whose folders are in that of each split."""
        ignore = -1 if self.ignored is None else self.ignored
        return Pairs(images="images", labels="masks", names=self.about.classes, ignore_value=ignore)


def _table(rows: Rows, split: str) -> Iterator[bytes]:
    for row in rows(split):
        line = {"image_file_name": posixpath.relpath(row.image, split)}
        if row.piece:
            line["mask_file_name"] = posixpath.relpath(row.piece, split)
        yield (json.dumps({**line, "key": row.key}) + "\n").encode()


def grey(one: Picture, values: Mapping[int, int], wide: bool = False) -> bytes:
    """Return a record's mask as a grey PNG of a target's values, of 8 bits unless `wide`.

    The record's own bytes are returned if they are that.
    """
    mask, plane = one.labelled
    moved = {value: to for value, to in values.items() if value != to}
    head = images.header(mask)
    fits = head.bits == 8 or (wide and head.bits == 16)
    if not moved and head.model == "grey" and fits and not head.beside:
        return mask
    table = np.zeros(1 << 8 * plane.dtype.itemsize, np.uint8)
    table[:256] = np.arange(256)
    table[list(moved)] = list(moved.values())
    return images.write(table[plane])
