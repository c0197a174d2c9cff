"""What is asked of a TFRecord file, and what came of it."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field

from dsbuild.build.plan_files import Place
from dsbuild.build.recipe import Recipe
from dsbuild.extras import Chosen
from dsbuild.format.manifest import Statistics
from dsbuild.format.schema import Schema
from dsbuild.format.tfrecord import Record
from dsbuild.layouts import Sample
from dsbuild.validate.problem import Problem

Samples = Sequence[Sample] | None
LEVELS = ("frames", "records", "pixels", "source")
_MOST = 1000  # problems of one file that are kept; the rest is counted


@dataclass(frozen=True)
class Task:
    """A file, and where to find what is known of it.

    Attributes:
      path: of the file.
      home: the folder that has its index and receipt.
      place: of its plan, where it has one that is to be looked at.
    """

    path: str
    home: str
    place: Place | None = None


@dataclass(frozen=True)
class Expected:
    """What is known of a folder's records.

    Attributes:
      classes: how many there are, None where that is not known.
      ignore: the label value that is no class, or None.
      extras: those that can be computed again from image and label.
    """

    classes: int | None = None
    ignore: int | None = None
    extras: tuple[Chosen, ...] = ()


@dataclass(frozen=True)
class Rules:
    """What all files of a folder are held against.

    Attributes:
      level: of `LEVELS`.
      schema: of the records.
      closed: whether features that the schema does not know are wrong.
      expected: what is known of pixels.
      source: root and recipe, where records are held against their sources.
    """

    level: str
    schema: Schema
    closed: bool = False
    expected: Expected = field(default_factory=Expected)
    source: tuple[str, Recipe] | None = None


@dataclass
class Checked:
    """What reading a file showed.

    Attributes:
      path, bytes, records: which file, how large, how many whole records.
      sha256: of the whole file, empty at level `frames`.
      problems: the first `_MOST`, and how many `more`.
      offsets, sizes: of every whole record, its frame included.
      keys, images: 64-bit digests of key and image of every record, 0 where it has none;
        empty at level `frames`.
      examples: how many records are an Example, and of these `first` is the first; feature ->
        in how many it is, and the first one `without` it: number, offset, key. None of these
        is known where a manifest tells what all records have.
      values: the label values that occur.
      lines: those of each record, as in a shard's list; none below level `pixels`.
      statistics: what was counted over the records, as a build counts it; likewise.
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
