"""A sample as layouts list it: names of files, and labels that are parts of larger files.

A label is a file; or a slice, such as the annotations of one image out of a JSON that holds those
of all images; or several of these together; or a class index; or nothing.
"""

from typing import Any, NamedTuple, TypeAlias

ABSENT = "none"  # key of an empty slice that stands for a file of a label that is not there


class Held(NamedTuple):
    """Where the bytes of a slice are kept, and what they are.

    Attributes:
      file: path of the file that keeps them; empty for the store of the listing.
      offset: where they begin in it.
      size: how many they are.
      crc: their crc32c.
    """

    file: str
    offset: int
    size: int
    crc: int


class Slice(NamedTuple):
    """A part of a file that is the label of one sample.

    Attributes:
      path: path of the file, relative to the layout's root, with forward slashes.
      key: which part of it, such as the id of an image.
      data: its bytes, in whatever form the layout reads; or where they are kept.
    """

    path: str
    key: str
    data: bytes | Held

    def __str__(self) -> str:
        return f"{self.path}#{self.key}"


_ONE = (str, Slice)  # a union would be made again at each call
Part: TypeAlias = str | Slice
Label: TypeAlias = Part | int | tuple[Part, ...] | None


class Sample(NamedTuple):
    """Names of one sample's files; nothing is read yet.

    A tuple, since plans pickle millions of them, and a frozen dataclass takes three times as long.

    Attributes:
      key: stable id, unique in its split.
      image: path of the image, relative to the layout's root, with forward slashes.
      label: path of the label, likewise; or a slice; or several of these; or a class index; or
        None in an unlabelled split.
      planes: paths of further files, one per plane that a build names.
    """

    key: str
    image: str
    label: Label
    planes: tuple[str, ...] = ()

    @property
    def parts(self) -> tuple[Part, ...]:
        """The files and slices that make the label; none if it is a class index or None."""
        label = self.label
        if isinstance(label, _ONE):
            return (label,)
        return () if label is None or isinstance(label, int) else label

    @property
    def files(self) -> tuple[str, ...]:
        """The whole files that are read: the image, then those of the label and the planes."""
        if isinstance(self.label, str):  # as below, but faster: most labels are files
            return (self.image, self.label, *self.planes)
        return (self.image, *(part for part in self.parts if isinstance(part, str)), *self.planes)

    @property
    def sources(self) -> tuple[Part | None, ...]:
        """What the record is made of, each with its place in a receipt's row; None is no label."""
        if not self.planes:
            return (self.image, *self.parts)
        return (self.image, *(self.parts or (None,)), *self.planes)

    @property
    def label_name(self) -> str:
        """What messages call the label: its first file or slice."""
        parts = self.parts
        return str(parts[0]) if parts else str(self.label)


def row(sample: Sample) -> list[object]:
    """Return a sample as a row of a plan: JSON values, without where slices are kept."""
    label = sample.label
    more = [list(sample.planes)] if sample.planes else []
    if isinstance(label, tuple) and not isinstance(label, Slice):
        return [sample.key, sample.image, [_row(part) for part in label], *more]
    return [sample.key, sample.image, _row(label) if isinstance(label, Slice) else label, *more]


def of_row(values: list[Any]) -> Sample:
    """Return the sample of a row, whose label `is_label`; its slices are kept nowhere yet."""
    if len(values) == 3 and isinstance(values[2], str):  # as below, but faster
        return Sample(*values)
    key, image, label, *planes = values
    more = tuple(planes[0]) if planes else ()
    if isinstance(label, list):
        return Sample(key, image, tuple(map(_of_row, label)), more)
    return Sample(key, image, _of_row(label) if isinstance(label, dict) else label, more)


def _row(part: Part) -> object:
    return {"file": part.path, "part": part.key} if isinstance(part, Slice) else part


def _of_row(value: Any) -> Part:
    return value if isinstance(value, str) else Slice(value["file"], value["part"], b"")


def is_label(value: object) -> bool:
    """Tell whether a JSON value is a label as `row` gives it."""
    if isinstance(value, list):
        return bool(value) and all(isinstance(part, str) or _is_slice(part) for part in value)
    return value is None or type(value) in (str, int) or _is_slice(value)


def _is_slice(value: object) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == {"file", "part"}
        and all(isinstance(text, str) for text in value.values())
    )
