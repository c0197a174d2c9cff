"""Pairs: a folder of images and a folder of labels, whose files pair by stem.

    <images>/.../<stem>.jpg          <labels>/.../<stem><suffix>.png
    <split>/<images>/...             <split>/<labels>/...          a folder a split
    <split>.txt                      lists of stems, one a line

What the labels hold is said by options: class indices (grey or palette), colours, or two
values that a threshold divides.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from dsbuild import storage
from dsbuild.errors import ImageError, LayoutError, PlanError
from dsbuild.findings import Finding
from dsbuild.layouts.base import RGB, Layout, Sample
from dsbuild.layouts.trees import (
    SPLITS,
    Divided,
    by_key,
    leftovers,
    lines,
    lists,
    pictures,
    read_names,
    stem,
)

if TYPE_CHECKING:
    import numpy as np

    from dsbuild.images.labels import Label


def read_colours(path: str) -> tuple[tuple[str, int, int, int], ...]:
    """Return the colours of a file with lines `name, r, g, b`, in the order of their indices."""
    colours = []
    for line in lines(path):
        name, *rgb = (part.strip() for part in line.split(","))
        if len(rgb) != 3 or not all(part.isdecimal() and int(part) < 256 for part in rgb):
            raise PlanError(f"{path}: found {line!r}, expected lines such as: road, 128, 64, 128")
        colours.append((name, *map(int, rgb)))
    if not 0 < len(colours) <= 256:
        raise PlanError(f"{path}: found {len(colours)} colours, expected 1 to 256")
    seen: dict[tuple[int, ...], str] = {}
    for name, *rgb in colours:
        if seen.setdefault(tuple(rgb), name) != name:
            raise PlanError(
                f"{path}: found {tuple(rgb)} for {seen[tuple(rgb)]} and {name}, expected colours "
                "that differ"
            )
    if len({colour[0] for colour in colours}) < len(colours):
        raise PlanError(f"{path}: found a name twice, expected one colour a name")
    return tuple(colours)


@dataclass(frozen=True, kw_only=True)
class Pairs(Divided, Layout):
    """Images and labels in two folders."""

    name: ClassVar[str] = "pairs"
    title: ClassVar[str] = "folders of images and labels"
    source: ClassVar[str] = "the folder that --images and --labels are relative to"
    default: ClassVar[str] = "it is the current folder"
    example: ClassVar[str] = " --classes names.txt"

    images: str = field(default="images", metadata={"help": "Folder of images below SOURCE."})
    labels: str = field(default="labels", metadata={"help": "Folder of labels below SOURCE."})
    suffix: str = field(
        default="", metadata={"help": "What a label's stem has beyond its image's, such as _mask."}
    )
    names: tuple[str, ...] = field(
        default=(),
        metadata={"option": "--classes", "read": read_names, "help": "File of names, one a line."},
    )
    colours: tuple[tuple[str, int, int, int], ...] = field(
        default=(),
        metadata={
            "option": "--colormap",
            "read": read_colours,
            "help": "Labels hold colours: file of lines `name, r, g, b`, by class index.",
        },
    )
    binary: int = field(
        default=-1,
        metadata={
            "help": "Labels hold two classes: 1 where a value is above this, as in --binary 127."
        },
    )
    ignore_value: int = field(
        default=255,
        metadata={"option": "--ignore", "help": "Label value that is no class; -1 for none."},
    )

    def __post_init__(self):
        super().__post_init__()
        if not self.names and not self.colours and self.binary < 0:
            raise PlanError(
                "found nothing that says what the labels mean, expected --classes FILE for class "
                "indices, --colormap FILE for colours, or --binary T for two values"
            )
        if self.colours and self.binary >= 0:
            raise PlanError("--colormap and --binary: found both, expected one of them")
        if not -1 <= self.binary <= 254:
            raise PlanError(f"--binary {self.binary}: expected 0 to 254")
        if self.colours and self.names:
            raise PlanError("--colormap and --classes: found both, expected one: each has names")
        if self.binary >= 0 and len(self.names) not in (0, 2):
            raise PlanError(
                f"--binary {self.binary}: found {len(self.names)} names in --classes, expected 2"
            )
        if not -1 <= self.ignore_value <= 255:
            raise PlanError(f"--ignore {self.ignore_value}: expected 0 to 255, or -1 for none")
        if self.ignore_value not in (-1, 255) and (self.colours or self.binary >= 0):
            raise PlanError(
                f"--ignore {self.ignore_value}: colours and two values leave nothing to ignore, "
                "expected it beside --classes alone"
            )
        if len(self.names) > 256:
            raise PlanError(
                f"--classes: found {len(self.names)} names, expected 256 at most, since labels "
                "have 8 bits"
            )

    @property
    def classes(self) -> tuple[str, ...]:
        """Names by class index."""
        if self.colours:
            return tuple(name for name, *_ in self.colours)
        return self.names or ("background", "foreground")

    @property
    def palette(self) -> tuple[RGB, ...]:
        """Colours by class index, where the labels have some."""
        return tuple((r, g, b) for _, r, g, b in self.colours)

    @property
    def ignore(self) -> int | None:
        """The label value that is no class; none where the labels are colours or two values."""
        indices = not self.colours and self.binary < 0
        return self.ignore_value if indices and self.ignore_value >= 0 else None

    def find(self, source: str | None) -> str:
        """Return SOURCE itself, or `.`, where it has the folders."""
        root = storage.normal(source or ".")
        if not storage.is_folder(storage.join(root, self.images)) and not self._folders(root):
            raise LayoutError(
                f"{root}: found no folder {self.images}, nor one in a folder of a split; name "
                f"{self.source}: dsbuild pairs SOURCE --images DIR --labels DIR"
            )
        return root

    def _folders(self, root: str) -> list[str]:
        """Return the splits that are folders with images of their own."""
        if storage.is_folder(storage.join(root, self.images)):
            return []
        names = storage.names(root)
        return [name for name in names if storage.is_folder(storage.join(root, name, self.images))]

    def _lists(self, root: str) -> list[str]:
        found = lists(root)
        known = (
            {stem(path, self.images) for path in pictures(root, self.images)} if found else set()
        )
        return [n for n in found if known & set(lines(storage.join(root, f"{n}.txt")))]

    def splits(self, root: str) -> tuple[str, ...]:
        """Return the splits of folders or of lists, else train, and val for a fraction."""
        found = self._folders(root) or self._lists(root)
        if found:
            return tuple(found)
        keys = [stem(path, self.images) for path in pictures(root, self.images)]
        if not keys:
            raise LayoutError(f"{storage.join(root, self.images)}: found no image, .jpg or .png")
        inner = {key.partition("/")[0] for key in keys if "/" in key}
        if len(inner) > 1 and inner <= SPLITS:
            names = " and ".join(sorted(inner))
            raise LayoutError(
                f"{storage.join(root, self.images)}: found {names} in it, names of splits, which "
                f"would all be train, expected <split>/{self.images}, or lists of stems such as "
                "train.txt; move them, or write lists with lines such as train/7"
            )
        return self.division(keys)

    def samples(self, root: str, split: str) -> Iterator[Sample]:
        """Yield the samples of a split: by name, or in the order of its list."""
        above = f"{split}/" if split in self._folders(root) else ""
        images, labels = above + self.images, above + self.labels
        found, masks = by_key(root, images), by_key(root, labels)
        listed = self._lists(root)
        keys = lines(storage.join(root, f"{split}.txt")) if split in listed else sorted(found)
        for key in keys:
            if not above and not listed and self.divide(key) != split:
                continue
            label = key + self.suffix
            yield Sample(
                key,
                found.get(key, f"{images}/{key}.jpg"),
                masks.get(label, f"{labels}/{label}.png"),
            )

    def findings(self, root: str, split: str, samples: Iterable[Sample]) -> list[Finding]:
        """Find stray files and labels without an image, with the first split they concern."""
        above = f"{split}/" if split in self._folders(root) else ""
        if not above and split != self.splits(root)[0]:
            return []

        def key(path: str, folder: str) -> str:
            whole = stem(path, folder)
            return whole.removesuffix(self.suffix) if folder == above + self.labels else whole

        found = leftovers(root, split, above + self.images, above + self.labels, key)
        if split == self.splits(root)[0]:
            found += [Finding("stray", split, text) for text in self._unread(root)]
        return found

    def _unread(self, root: str) -> Iterator[str]:
        """Yield what looks as if it were of a split, and is of none."""
        folders, listed = self._folders(root), self._lists(root)
        for name, is_folder in storage.entries(root):
            path = storage.join(root, name)
            if is_folder and name in SPLITS and name not in folders:
                place = f"{self.images} in it" if folders else f"no {self.images} beside it"
                yield f"{path}: expected {place}"
            elif not is_folder and name.removesuffix(".txt") in SPLITS - {*listed}:
                yield f"{path}: expected stems of {self.images}, without extension, one a line"
        keys = {key for name in listed for key in lines(storage.join(root, f"{name}.txt"))}
        for path in pictures(root, self.images) if listed else ():
            if stem(path, self.images) not in keys:
                yield f"{storage.join(root, path)}: no list has it"

    def indexed(self, path: str) -> bool:
        """Tell whether the labels hold class indices."""
        return not self.colours and self.binary < 0

    def read(self, data: bytes, path: str) -> "Label":
        """Return class indices of indices, colours, or two values."""
        from dsbuild.images import labels

        if self.colours:
            return labels.of(_by_colour(labels.colours(data), self.palette))
        label = super().read(data, path)
        return labels.above(label, self.binary) if self.binary >= 0 else label


def _by_colour(pixels: "np.ndarray", palette: Sequence[RGB]) -> "np.ndarray":
    """Return the index of every pixel's colour (h, w, 3) in the palette: uint8 (h, w)."""
    import numpy as np

    weights = np.array([1 << 16, 1 << 8, 1])
    codes, wanted = pixels @ weights, np.array(palette) @ weights
    ranked = np.argsort(wanted)
    place = np.searchsorted(wanted[ranked], codes).clip(max=len(wanted) - 1)
    plane = ranked[place]
    wrong = wanted[plane] != codes
    if wrong.any():
        colour = tuple(pixels[wrong][0].tolist())
        raise ImageError(
            f"found the colour {colour} among {np.count_nonzero(wrong):,} pixels that the colormap "
            "does not have; add it, or export the masks without blur and compression"
        )
    return plane.astype(np.uint8)
