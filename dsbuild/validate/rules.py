"""What a TFRecord file is checked against, and the result."""

from array import array
from dataclasses import dataclass, field
from typing import NamedTuple

from dsbuild.build.image_policy import Policy
from dsbuild.build.plan_files import Place
from dsbuild.build.recipe import Recipe
from dsbuild.extras import Chosen
from dsbuild.format import planes
from dsbuild.format.manifest import Statistics
from dsbuild.format.schema import Schema
from dsbuild.format.tfrecord import Record
from dsbuild.layouts import Sample
from dsbuild.validate.problem import Problem


class Planned(NamedTuple):
    """A record as planned: its key, its sample, its number among the sample's records."""

    key: str
    sample: Sample
    number: int = 0


Samples = list[Sample | Planned] | None
LEVELS = ("frames", "records", "pixels", "source")
_MOST = 1000  # problems that are kept per file; the others are counted


@dataclass(frozen=True)
class Task:
    """A file to check, and where its index, receipt and plan are.

    Attributes:
      path: of the file.
      home: the folder that has its index and receipt.
      place: of its plan; None if there is none to check against.
    """

    path: str
    home: str
    place: Place | None = None


@dataclass(frozen=True)
class Expected:
    """What the pixels of a folder's records should be.

    Attributes:
      classes: how many there are; None if not known.
      ignore: the label value that is not a class, or None.
      extras: those that can be computed again from image and label.
      things: the classes of panoptic labels that have instances; None if not known.
      depth: bits that a channel of an image may have.
    """

    classes: int | None = None
    ignore: int | None = None
    extras: tuple[Chosen, ...] = ()
    things: frozenset[int] | None = None
    depth: int = 8

    @property
    def bits(self) -> tuple[int, ...]:
        """The bits that label planes may have, by the classes; 8 or 16 if these are not known."""
        return (8, 16) if self.classes is None else (planes.bits(self.classes, self.ignore),)


@dataclass(frozen=True)
class Rules:
    """What all files of a folder are checked against.

    Attributes:
      level: one of `LEVELS`.
      schema: of the records.
      closed: whether features that the schema does not have are wrong.
      expected: what the pixels should be.
      source: root and recipe if records are compared with their sources, else None.
      policy: by which images were stored; None if it is not known.
    """

    level: str
    schema: Schema
    closed: bool = False
    expected: Expected = field(default_factory=Expected)
    source: tuple[str, Recipe] | None = None
    policy: Policy | None = None


@dataclass
class Checked:
    """The result of checking a file.

    Attributes:
      path, bytes, records: which file, its size, how many whole records it has.
      sha256: of the whole file; empty at level `frames`.
      problems: the first `_MOST` of them.
      more: how many other problems there are.
      offsets, sizes: of each whole record, its frame included.
      keys, images: 64-bit digests of each record's key and image, 0 if it has none; empty at
        level `frames`.
      examples: how many records are an Example. This and the next three stay empty if the
        folder has a manifest, whose schema lists all features.
      first: number, offset and key of the first Example.
      features: feature -> how many Examples have it.
      without: feature -> number, offset and key of the first Example without it.
      values: the label values that occur.
      lines: the label values of each record, as in a shard's list; empty below level `pixels`.
      statistics: what a build counts over the records; empty below level `pixels`.
    """

    path: str
    bytes: int = 0
    records: int = 0
    sha256: str = ""
    problems: list[Problem] = field(default_factory=list)
    more: int = 0
    offsets: "array[int]" = field(default_factory=lambda: array("q"))
    sizes: "array[int]" = field(default_factory=lambda: array("q"))
    keys: "array[int]" = field(default_factory=lambda: array("Q"))
    images: "array[int]" = field(default_factory=lambda: array("Q"))
    examples: int = 0
    first: tuple[int, int, str] = (0, 0, "")
    features: dict[str, int] = field(default_factory=dict)
    without: dict[str, tuple[int, int, str]] = field(default_factory=dict)
    values: set[int] = field(default_factory=set)
    lines: bytearray = field(default_factory=bytearray)
    statistics: Statistics = field(default_factory=Statistics)

    def add(self, kind: str, text: str, record: Record | None = None, key: str = "") -> None:
        """Note a problem of the file, or of one of its records."""
        if len(self.problems) >= _MOST:
            self.more += 1
            return
        number, offset = (record.number, record.offset) if record else (None, None)
        self.problems.append(Problem(kind, self.path, text, number, offset, key))
