"""Pairs: a folder of images and a folder of labels, whose files pair by stem.

    <images>/.../<stem>.jpg      <labels>/.../<stem><suffix>.png
    <split>/<images>/...         <split>/<labels>/...     and further forms, lists: see `divided`

Options say what the labels hold: class indices, colours, or two values divided by a threshold.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from dsbuild import storage
from dsbuild.errors import LayoutError
from dsbuild.fields import field
from dsbuild.format import planes
from dsbuild.format.split_names import role
from dsbuild.layouts import counted, naming, pair_labels, tables, written
from dsbuild.layouts.base import Sample
from dsbuild.layouts.class_files import read_classes, read_colours
from dsbuild.layouts.divided import Index, Part, Tree, by_lists, check_depth, survey, unused
from dsbuild.layouts.division import Divided, in_order, leaks
from dsbuild.layouts.finding import Finding
from dsbuild.layouts.folders import require, stems
from dsbuild.layouts.label_maps import CLASS, IGNORE, NONE, read_map
from dsbuild.layouts.naming import Naming
from dsbuild.layouts.pair_classes import Meant
from dsbuild.layouts.pairing import meanings
from dsbuild.layouts.recognition import NAMED, Glance, Recognised
from dsbuild.layouts.sides import Sides, match
from dsbuild.layouts.split_folders import renames
from dsbuild.layouts.usual import usual
from dsbuild.storage.spool import spaced

if TYPE_CHECKING:
    from dsbuild.images.labels import Label


@dataclass(frozen=True, kw_only=True)
class Pairs(Divided, Meant):
    """Images and labels in two folders."""

    name: ClassVar[str] = "pairs"
    title: ClassVar[str] = "folders of images and labels"
    source: ClassVar[str] = "the folder that --images and --labels are relative to"
    default: ClassVar[str] = "it is the current folder"
    example: ClassVar[str] = " --classes names.txt"

    images: str = field("images", "Folder of images below SOURCE.")
    labels: str = field("labels", "Folder of labels below SOURCE.")
    suffix: str = field("", "What a label's stem adds to its image's, such as _mask.")
    image_glob: str = field(
        "", "Names of images; the star is what image and label share: *_sat.jpg.", omitted=True
    )
    label_glob: str = field("", "Names of labels, likewise, such as *_mask.png.", omitted=True)
    split_folder: tuple[str, ...] = field(
        (), "NAME=SPLIT: a folder or list called NAME is this split.", omitted=True
    )
    lists: str = field(
        "",
        "A folder of lists such as train.txt, or a table with columns image, label and split. "
        "Default: lists below SOURCE.",
        omitted=True,
    )
    names: tuple[str, ...] = field(
        (),
        "Class names: a file with one per line, by index, or names with commas between.",
        option="classes",
        read=read_classes,
    )
    colours: tuple[tuple[str, int, int, int], ...] = field(
        (),
        "Read labels as colours; a file with one line `name, r, g, b` per class, by index.",
        option="colormap",
        read=read_colours,
    )
    binary: int = field(
        -1,
        "Read labels as two classes: 1 where a value is above this, as in --binary 127.",
        least=-1,
        most=254,
    )
    channel: str = field(
        "colour", "Channel that holds the mask.", choices=("colour", "alpha"), omitted=True
    )
    ignore_value: int | None = field(
        None,
        "Label value that is not a class; -1 for none. Default: 255, or 65535 with more than 255 "
        "classes.",
        option="ignore",
        least=-1,
        most=65535,
    )
    mapping: tuple[tuple[str, str], ...] = field(
        (),
        "Map classes or values, several to one: car=vehicle,truck=vehicle,void=ignore, or 1=0,2=1; "
        "or a file with one pair per line.",
        option="map",
        read=read_map,
        omitted=True,
    )
    zero: str = field(
        CLASS,
        "ignore: 0 is no class, and all others are counted from 1 (reduce-zero). none: they are "
        "counted from 1, and 0 is an error.",
        choices=(CLASS, IGNORE, NONE),
        omitted=True,
    )

    def __post_init__(self) -> None:
        if self.ignore_value is None:
            value = planes.unnamed(8 if len(self.names) < 256 else 16)
            object.__setattr__(self, "ignore_value", value)
        super().__post_init__()
        self.check_division()
        naming.check(self.image_glob, self.label_glob, self.suffix)
        renames(self.split_folder)
        pair_labels.check(self)

    @property
    def _whole(self) -> Part:
        folders = (self.images, self.labels)
        return Part(*(folder.strip("/").removeprefix("./") for folder in folders))

    def find(self, source: str | None) -> str:
        """Return SOURCE, or `.`, if it has the folders."""
        root = storage.normal(source or ".")
        if self.lists:
            require(root)
            return root
        if not storage.is_folder(storage.join(root, self.images)) and not self._tree(root).parts:
            require(source)
            folder = storage.missing(storage.join(root, self.images))
            if folder.endswith("?"):
                raise LayoutError(folder)
            raise LayoutError(
                f"{root}: found no folder {self.images}, neither here nor in the folder of a "
                f"split; name {self.source}: dsbuild pairs SOURCE --images DIR --labels DIR"
            )
        labels = storage.join(root, self._whole.labels)
        if not storage.is_folder(labels) and not self._tree(root).splits:
            raise LayoutError(storage.missing(labels))
        return root

    @classmethod
    def recognise(cls, path: str, given: Mapping[str, str], /) -> Recognised:
        """Recognise a folder of images and one of labels by their names and their files' stems."""
        found = usual(path, given)
        if not found.fits:
            return cls.seen(0, found.text)
        told, unsaid = dict[str, str](), ""
        if not {"classes", "colormap", "binary"} & given.keys():
            told, unsaid = meanings(path, filter(role, Glance().folders(path)))
        words = "".join(f", classes from {file}" for file in told.values())
        return cls.seen(
            NAMED,
            f"{cls.title}: {found.text}{words}",
            options={**found.options, **told},
            needs="; and ".join(filter(None, (found.needs, unsaid))),
        )

    def settled(self, root: str) -> tuple["Pairs", str]:
        """Count classes from 1 if the labels leave no other reading."""
        plain = self.names and not (self.mapping or self.colours) and self.binary < 0
        if not plain or self.zero != CLASS:
            return self, ""
        tree = self._tree(root)
        folders = [part.labels for part in tree.parts.values()] or [self._whole.labels]
        few = [path for one in folders for path in counted.glanced(storage.join(root, one))]
        if not counted.fits(self, few):
            return self, ""
        splits = [split for split in self.splits(root) if split not in tree.refused]
        labels = [str(one.label) for split in splits for one in self.samples(root, split)]
        few = spaced(labels, counted.OPENED)[: counted.OPENED]
        some = [storage.join(root, label) for label in few]
        if not counted.from_1(self, some):
            return self, ""
        said = (
            f"{len(some)} labels that were opened hold 1 to {len(self.classes)} and no 0, and that "
            f"is the number of classes, so 1 is {self.classes[0]!r}, as with --zero {NONE}; a "
            "label that holds 0 is refused"
        )
        return replace(self, zero=NONE), said

    def _tree(self, root: str) -> Tree:
        if self.lists:
            path = tables.place(root, self.lists)
            table = self._table(root)
            return tables.tree(path, table) if table else tables.folder_of_lists(path)
        return survey(root, self._whole, self._index(root), renames(self.split_folder))

    def _table(self, root: str) -> list[tables.Entry]:
        """Return the samples of the table that users name; none if they name none."""
        return tables.named(root, self.lists, self._whole) if self.lists else []

    def splits(self, root: str) -> tuple[str, ...]:
        """Return the splits of folders or lists; else train, and val if a fraction is set."""
        tree = self._tree(root)
        if tree.parts or tree.lists:
            return tree.splits
        found = in_order(self._assigned(root).values())
        if not found:
            raise LayoutError(
                f"{storage.join(root, self.images)}: found no image, expected .jpg or .png"
            )
        return tuple(dict.fromkeys((*found, *tree.refused)))

    def _assigned(self, root: str) -> dict[str, str]:
        """Return key -> split for samples that neither folders nor lists divide."""
        table = {entry.key: entry for entry in self._table(root)}
        sides = None if table else self._sides(root, self._whole)
        photos = sides.photos if sides else {key: one.image for key, one in table.items()}
        labels = ((key, sides.mask(key) if sides else table[key].label) for key in photos)
        return self.assigned(root, photos, labels)

    def samples(self, root: str, split: str) -> Iterator[Sample]:
        """Yield the samples of a split: by name, or in the order of its list."""
        tree = self._tree(root)
        tree.check(split)
        table = self._table(root)
        one_whole = not (tree.parts or tree.lists)
        place = self._assigned(root).__getitem__ if self.alike and one_whole else self.divide
        for entry in table:
            if split == (entry.split or place(entry.key)):
                yield Sample(entry.key, entry.image, entry.label)
        if table:
            return
        part = tree.parts.get(split, self._whole)
        sides = self._sides(root, part)
        if split in tree.lists:
            names = self._index(root)(part.images)
            rows = written.entries(tree.lists[split], names, part.images, root, part.labels)
        else:
            check_depth(storage.join(root, part.images), sides.photos, split)
            alone = split in tree.parts
            keys = sorted(sides.photos)
            rows = ((key, None) for key in keys if alone or place(key) == split)
        for key, label in rows:
            yield Sample(key, sides.photo(key), label or sides.mask(key))

    def _sides(self, root: str, part: Part) -> Sides:
        return match(root, *part, self._naming)

    @property
    def _naming(self) -> Naming:
        return Naming(self.image_glob or "*", self.label_glob or f"*{self.suffix}")

    def _index(self, root: str) -> Index:
        """Return the index of the names that lists may use for images: keys and stems."""

        def index(folder: str) -> dict[str, str]:
            every = {key: key for key in stems(root, folder)}
            return every | self._sides(root, Part(folder, self._whole.labels)).names()

        return index

    def findings(self, root: str, split: str, samples: Iterable[Sample]) -> list[Finding]:
        """Find stray files, labels without an image, zeros ignored twice, and groups that leak."""
        twice = pair_labels.zero_twice(root, split, samples, self) if self.zero == IGNORE else ()
        tree = self._tree(root)
        splits = [one for one in sorted({*tree.parts, *tree.lists}) if one not in tree.refused]
        found = leaks(self, root, split, (one.key for one in samples), splits, self.group)
        return [*twice, *self._left(root, split, samples), *found]

    def _left(self, root: str, split: str, samples: Iterable[Sample]) -> list[Finding]:
        """Find what is left over; what concerns several splits is reported with the first one."""
        table = self._table(root)
        if table:
            used = {path for entry in table for path in (entry.image, entry.label)}
            return [*tables.unlisted(root, split, used)] if split == self.splits(root)[0] else []
        tree = self._tree(root)
        # Only splits other than train need a listing to learn whether there is a train.
        first = split == tree.first(lambda: ("train",) if split == "train" else self.splits(root))
        if split not in tree.parts and not first:
            return []
        part = tree.parts.get(split, self._whole)
        found = self._sides(root, part).left(split)
        if found:
            used = {storage.join(root, str(sample.label)) for sample in samples}
            found = [item for item in found if item.text not in used]
        if first:
            found += unused(root, split, tree, self._whole)
        if tree.lists:
            found = by_lists(root, split, tree, self._whole, self._index(root)(part.images), found)
        return found

    def read(self, data: bytes, path: str) -> "Label":
        """Return class indices from indices, colours or two values."""
        return pair_labels.read(data, self)
