"""A Pascal VOC tree: masks with a palette, and a list of images per split.

    JPEGImages/<key>.jpg                      .png if most images are PNGs
    SegmentationClass/<key>.png               palette PNG; 255 is ignored
    ImageSets/Segmentation/<split>.txt
    classes.json                              names and colours, unless they are VOC's own

All images have one file extension, since VOC's readers look for one; decoders go by the bytes. An
image that is in several splits is written once.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from dsbuild.images import palette
from dsbuild.interop.annotations import listed
from dsbuild.interop.annotations.base import Drawn, Rows
from dsbuild.interop.annotations.masks import Masks, grey
from dsbuild.interop.annotations.picture import Picture
from dsbuild.layouts import Layout
from dsbuild.layouts.base import RGB
from dsbuild.layouts.pairs import Pairs
from dsbuild.layouts.voc import Voc
from dsbuild.layouts.voc_lists import IMAGES, LISTS

LABELS = "SegmentationClass"


@dataclass(frozen=True)
class VocTree(Masks):
    """Palette PNGs and lists, as the VOC development kit has them."""

    name: ClassVar[str] = "voc"
    shared: ClassVar[bool] = True
    one_ending: ClassVar[bool] = True

    @property
    def _own(self) -> bool:
        """Whether the classes are those of VOC itself."""
        return self.about.classes == Voc.classes

    def stem(self, one: Picture) -> str:
        """Return a record's path as a line of a list can hold it: readers drop blanks around it."""
        blank = one.stem.startswith(" ")
        return f"%20{one.stem[1:]}" if blank else one.stem

    def image(self, one: Picture) -> str:
        """Return the path of a record's image in the target."""
        return f"{IMAGES}/{self.stem(one)}.{self.ending or one.ending}"

    def mask(self, one: Picture) -> str:
        """Return the path of a record's mask in the target."""
        return f"{LABELS}/{self.stem(one)}.png"

    def draw(self, one: Picture) -> Drawn:
        """Return a record's mask with the palette."""
        mask = palette.coloured(grey(one, self.values()), self._colours())
        return Drawn({self.mask(one): mask})

    def _colours(self) -> tuple[RGB, ...]:
        """Return 256 colours: the data set's if all its classes have one, else VOC's."""
        colours = list(Voc.palette)
        own = {} if self._own else self.about.colours()
        for value, colour in own.items():
            colours[value] = colour
        ignored = self.about.palette.get(-1 if self.about.ignore is None else self.about.ignore)
        if own and ignored and ignored not in own.values():
            colours[255] = ignored
        return tuple(colours)

    def whole(self, rows: Rows) -> Iterable[tuple[str, Iterator[bytes]]]:
        """Yield the classes, unless they are VOC's own, and the lists."""
        if not self._own:
            yield listed.CLASSES, listed.classes(self.about, self.ignored)
        for split in self.about.splits:
            yield f"{LISTS}/{split}.txt", listed.stems(rows, split, IMAGES)

    def layout(self, root: str) -> Layout:
        """Return the layout of VOC; pairs with its folders and lists for other classes."""
        if self._own:
            return Voc(labels="class")
        ignore = -1 if self.ignored is None else self.ignored
        return Pairs(
            images=IMAGES,
            labels=LABELS,
            lists=LISTS,
            names=self.about.classes,
            ignore_value=ignore,
        )
