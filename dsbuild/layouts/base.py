"""What every published layout defines: Layout.

Layouts list the names of files and read labels; they decode no images, and import no image library
until a label is read, so that `dsbuild --help` stays instant.
"""

import abc
import functools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from dsbuild import fields
from dsbuild.errors import PlanError
from dsbuild.format import planes
from dsbuild.layouts.finding import Finding
from dsbuild.layouts.recognition import Recognised
from dsbuild.layouts.sample import Part
from dsbuild.layouts.sample import Sample as Sample

if TYPE_CHECKING:
    import numpy as np

    from dsbuild.images.labels import Label

RGB = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class Layout(abc.ABC):
    """A published layout with its options, as a value: picklable, comparable, printable.

    A subclass is a frozen dataclass whose fields are its options, declared by `fields.field`; its
    command gets one option per field. Raises PlanError for a value outside a field's bounds.

    Attributes:
      name: the command, such as `voc`.
      title: what people call the data set.
      source: what a user may name as its source.
      default: what happens if no source is named.
      example: options that its command always needs, with a leading space.
      schema: name of the schema of its records.
      has_alpha: whether its labels hold a soft alpha, which `read` also returns.
      reads_all: whether every folder below the root is part of the data set.
      draws: whether its labels are drawn from shapes whose classes have names, so that no file
        holds class indices that could be counted wrong.
      oriented: the EXIF orientations at which its shapes, which lie on pictures as viewers show
        them, would lie wrong on the stored pixels without a word.
      unions: splits made of other splits, such as trainval: name -> its parts.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    source: ClassVar[str]
    default: ClassVar[str] = "it is looked for in . and ./data"
    example: ClassVar[str] = ""
    schema: ClassVar[str] = "segmentation"
    has_alpha: ClassVar[bool] = False
    reads_all: ClassVar[bool] = False
    draws: ClassVar[bool] = False
    oriented: ClassVar[range] = range(0)
    unions: ClassVar[Mapping[str, frozenset[str]]] = {"trainval": frozenset({"train", "val"})}

    def __post_init__(self) -> None:
        fields.check(self, PlanError)

    @abc.abstractmethod
    def find(self, source: str | None) -> str:
        """Return the layout's root for the user's source, or look for it in `.` and `./data`."""

    @classmethod
    def recognise(cls, _path: str, _given: Mapping[str, str], /) -> Recognised:
        """Return what a folder has of this layout, from a few looks at it.

        The options given are as users write them, by the names that users have for them. What is
        recognised, `find` finds. A layout that does not say how it looks is not recognised.
        """
        return cls.seen(0, f"cannot be recognised; name it by --layout {cls.name}")

    @classmethod
    def seen(cls, certainty: int, text: str, **how: Any) -> Recognised:
        """Return what was recognised: `Recognised` with the name of the layout."""
        return Recognised(cls.name, text, certainty, **how)

    @abc.abstractmethod
    def splits(self, root: str) -> tuple[str, ...]:
        """Return the splits below root; raise LayoutError if there are none."""

    @abc.abstractmethod
    def samples(self, root: str, split: str) -> Iterator[Sample]:
        """Yield the samples of a split in their published order."""

    @property
    @abc.abstractmethod
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, by index."""

    @property
    def ignore(self) -> int | None:
        """The label value that is not a class, or None."""
        return 255

    @property
    def divisor(self) -> int | None:
        """What divides a value of a panoptic label into class and instance; None without them."""
        return None

    @property
    def things(self) -> tuple[int, ...]:
        """The classes of panoptic labels whose instances are counted."""
        return ()

    @property
    def bits(self) -> int:
        """Bits of its label planes: 8, or 16 if it has more than 256 classes."""
        return planes.bits(len(self.classes), self.ignore)

    @property
    def palette(self) -> tuple[RGB, ...]:
        """RGB colours by label value; further values have none."""
        return ()

    @property
    def extras(self) -> tuple[str, ...]:
        """Further features that its options add, as `--extra` does."""
        return ()

    def bind(self, root: str) -> "Layout":
        """Return the layout with what only its root defines, such as class names."""
        return self

    def settled(self, root: str) -> tuple["Layout", str]:
        """Return the layout with options that files settle, and a sentence that says so, or "".

        Only what has one reading is settled, and whatever contradicts it later is refused.
        """
        return self, ""

    def published(self, root: str) -> Mapping[str, int]:
        """Return the published number of samples by split, as far as it is known."""
        return {}

    def findings(self, root: str, split: str, samples: Iterable[Sample]) -> list[Finding]:
        """Return what a user should know about a split, beyond what is checked for every split.

        `samples`, at least one, may be iterated more than once.
        """
        return []

    def undivided(self, root: str, splits: Sequence[str]) -> Iterator[Finding]:
        """Find that an option should divide the samples, but `splits` are not what it makes."""
        return iter(())

    def why_empty(self, root: str, split: str) -> str:
        """Return what is wrong with a split that has no sample, and what to do."""
        return (
            f"split {split} has no samples, expected images in it; remove it, or name the others "
            "with --split"
        )

    def indexed(self, path: str) -> bool:
        """Tell whether the stored values of a label PNG are the class indices themselves.

        By default they are, unless labels are drawn.
        """
        return not self.draws

    def mistake(self, values: Collection[int]) -> tuple[str, str] | None:
        """Return the kind of mistake that these label values suggest, and its remedy; or None.

        Called if some of them are neither a class nor the ignore value. By default: a palette that
        was decoded to its luma, recognised by the set of values.
        """
        if set(values) <= _lumas(self):
            return (
                "luma",
                "these are the luma of the palette's colours, so some tool decoded the palette PNG "
                "to grey and classes were lost; use the original palette PNGs",
            )
        return None

    def known(self, path: str) -> Mapping[int, RGB]:
        """Return the colours that define the stored values of a label with a palette."""
        return _by_value(self)

    def read(self, data: bytes, path: str) -> "Label":
        """Return the label in a label file's bytes: class indices, and its alpha if it has one."""
        # Imported here, since `--help` lists layouts but needs no images.
        from dsbuild.images import labels

        return labels.read(data, self.known(path), self.bits)

    def shown(self, data: bytes, path: str) -> Iterable[int]:
        """Return the classes in a label's bytes, and perhaps the ignore value.

        By default those that `read` finds. Layouts of shapes override this: their files name the
        classes, so that nothing is drawn. Raises ImageError for a label that a build refuses.
        """
        return self.read(data, path).counts

    def compose(
        self, parts: Sequence[bytes], names: Sequence[Part], size: tuple[int, int]
    ) -> "Label":
        """Return the label of an image of this size, (h, w), from the bytes of its parts.

        By default a label is one file, which `read` reads. Layouts whose labels are slices, or
        several files, or need the size, override this.
        """
        (data,), (name,) = parts, names
        return self.read(data, str(name))

    def plane(self, data: bytes, path: str, size: tuple[int, int] = (0, 0)) -> "np.ndarray":
        """Return the class indices in a label's bytes for an image of this size.

        uint8 (h, w), or uint16 with 16 `bits`.
        """
        return self.compose([data], [path], size).plane


@functools.cache
def _by_value(layout: Layout) -> Mapping[int, RGB]:
    return dict(enumerate(layout.palette))


@functools.cache
def _lumas(layout: Layout) -> frozenset[int]:
    """Return the BT.601 luma of the colours of classes and ignore, give or take 1."""
    used = [*range(len(layout.classes)), layout.ignore]
    colours = [layout.palette[i] for i in used if i is not None and i < len(layout.palette)]
    lumas = [(299 * r + 587 * g + 114 * b) // 1000 for r, g, b in colours]
    return frozenset(luma + d for luma in lumas for d in (-1, 0, 1))
