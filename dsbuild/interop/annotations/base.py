"""What every annotated target defines: Target.

A target says which files a record becomes, and which files are about all of them. It is read back
by the layout of its name, so that a receipt can say what it did not hold.
"""

import abc
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from dsbuild.errors import PlanError
from dsbuild.format.split_names import role
from dsbuild.interop.annotations.about import About
from dsbuild.interop.annotations.picture import Picture
from dsbuild.layouts import Layout

Piece = Any  # a JSON value that a record adds to the files about all of them


@dataclass(frozen=True)
class Drawn:
    """What a record becomes besides its image.

    Attributes:
      files: path -> bytes of its label.
      piece: what it adds to the files about all records.
      facts: what was done on the way, such as `bridges`, with how often.
    """

    files: Mapping[str, bytes]
    piece: Piece = None
    facts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """A record that was written: split, key, path of its image, height and width, its piece."""

    split: str
    key: str
    image: str
    size: tuple[int, int]
    labelled: bool
    piece: Piece


class Rows(Protocol):
    """All records that were written, streamed in order as often as they are asked for."""

    def __call__(self, split: str | None = None) -> Iterator[Row]:
        """Yield the rows of a split, or of all."""
        ...


@dataclass(frozen=True)
class Target(abc.ABC):
    """An annotated target with its options, as a value.

    Attributes:
      name: as in --to.
      roles: whether its readers know splits only by usual names, such as train and val.
      holds_ignored: whether it can hold pixels that are not a class.
      shaped: whether its labels are shapes, for which --objects and --shapes choose.
      choices: forms of shapes that it has, the default first.
      shared: whether an image that is in several splits is one file.
      one_ending: whether the names of all its images have one file extension.
      most: how many classes it can hold.
      oriented: the EXIF orientations with which its labels would lie wrong on the image.
      about: what it is to hold.
      objects: `components` or `class`.
      shapes: `masks` or `polygons`.
      ending: file extension of all images, if their names have one.
    """

    name: ClassVar[str]
    roles: ClassVar[bool] = False
    holds_ignored: ClassVar[bool] = True
    shaped: ClassVar[bool] = False
    choices: ClassVar[tuple[str, ...]] = ()
    one_ending: ClassVar[bool] = False
    shared: ClassVar[bool] = False
    most: ClassVar[int] = 255
    oriented: ClassVar[range] = range(0)

    about: About
    objects: str = "components"
    shapes: str = ""
    ending: str = ""

    def refuse(self) -> None:
        """Raise PlanError if the target cannot hold classes or splits at all."""
        about = self.about
        if len(about.classes) > self.most:
            raise PlanError(
                f"--to {self.name}: found {len(about.classes):,} classes; expected at most "
                f"{self.most}, which it can hold"
            )
        odd = [n for n in about.classes if not n or n != n.strip() or not n.isprintable()]
        if odd:
            raise PlanError(
                f"--to {self.name}: found a class named {odd[0]!a}; expected printable names "
                "without blanks around them; build again with other names"
            )
        unknown = [name for name in about.splits if self.roles and not role(name)]
        if unknown:
            raise PlanError(
                f"--to {self.name}: found a split named {unknown[0]!r}; its readers know splits "
                "only by usual names, such as train, val and test; choose another target, such as "
                "coco or voc"
            )

    @abc.abstractmethod
    def image(self, one: Picture) -> str:
        """Return the path of a record's image in the target."""

    @abc.abstractmethod
    def draw(self, one: Picture) -> Drawn:
        """Return what a record with a label becomes."""

    def whole(self, rows: Rows) -> Iterable[tuple[str, Iterator[bytes]]]:
        """Yield path and content of the files about all records, what makes it whole last."""
        return ()

    @abc.abstractmethod
    def layout(self, root: str) -> Layout:
        """Return the layout that reads the target back, bound to its root."""

    @abc.abstractmethod
    def values(self) -> Mapping[int, int]:
        """Return label value in records -> value by which the layout reads it; lost ones miss."""
