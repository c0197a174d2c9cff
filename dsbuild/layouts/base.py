"""What every published layout says of itself: Sample and Layout.

Layouts list names of things and read labels; they decode no image, and import no
image library until a label is read, so that `dsbuild --help` stays instant.
"""

import abc
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import numpy as np

RGB = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Sample:
    """Names of one sample's files; nothing is read yet.

    Attributes:
      key: stable id, unique in its split.
      image: path of the image, relative to the layout's root, with forward slashes.
      label: path of the label likewise; a class index; or None in an unlabelled split.
    """

    key: str
    image: str
    label: str | int | None


@dataclass(frozen=True, kw_only=True)
class Layout(abc.ABC):
    """A published layout with its options, as a value: picklable, comparable, printable.

    A subclass is a frozen dataclass whose fields are its options. A field's metadata
    (`help`, `choices`) makes it an option of the command of this name.

    Attributes:
      name: the command, such as `voc`.
      title: what people call the data set.
      source: what a user may name as its source.
      schema: name of the schema of its records.
      classes: names of the classes, by index.
      ignore: the label value that is no class, or None.
      palette: RGB colours by label value; further values have none.
      indexed: whether a label PNG's stored values are the class indices themselves.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    source: ClassVar[str]
    schema: ClassVar[str] = "segmentation"
    classes: ClassVar[tuple[str, ...]]
    ignore: ClassVar[int | None] = 255
    palette: ClassVar[tuple[RGB, ...]] = ()
    indexed: ClassVar[bool] = True

    @abc.abstractmethod
    def find(self, source: str | None) -> str:
        """Return the layout's root for what the user gave, or look for it in `.` and `./data`."""

    @abc.abstractmethod
    def splits(self, root: str) -> tuple[str, ...]:
        """Return the splits that root has; raise LayoutError where it has none."""

    @abc.abstractmethod
    def samples(self, root: str, split: str) -> Iterator[Sample]:
        """Yield the samples of a split in the order in which it was published."""

    def published(self, root: str) -> Mapping[str, int]:
        """Return the published number of samples by split, where it is known."""
        return {}

    def plane(self, data: bytes) -> "np.ndarray":
        """Return the class indices of a label file's bytes: uint8 (h, w)."""
        # Imported here, since layouts are listed by `--help` and images are not.
        from dsbuild import images

        return images.plane(data)
