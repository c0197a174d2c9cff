"""The forms of the JSON documents that `inspect` and `diff` return."""

from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict


class ClassCount(TypedDict):
    """A class of a split: its value, its name if known, and how many images and pixels have it.

    With panoptic labels it also has a number of segments.
    """

    value: int
    name: str | None
    images: int
    pixels: NotRequired[int]
    segments: NotRequired[int]


class ShardState(TypedDict):
    """One file and its problem, if any; a finished folder adds what its manifest says about it."""

    name: str
    records: int
    bytes: int
    problem: str | None


class SplitState(TypedDict):
    """One split; a finished folder adds what its manifest says about it."""

    records: int
    bytes: int
    labels: int
    classes: list[ClassCount]
    shards: list[ShardState]
    rejects: NotRequired[int]
    heights: NotRequired[list[int]]
    widths: NotRequired[list[int]]
    weights: NotRequired[dict[str, Any]]


class FeatureRange(TypedDict):
    """A feature: its kind, fewest and most values and bytes, and whether all records have it."""

    name: str
    kind: str
    values: list[int]
    bytes: list[int]
    always: bool


class SplitStatistics(TypedDict):
    """What was counted over the records of a split, or of all splits."""

    records: int
    images: int
    labels: int
    classes: list[ClassCount]
    ignored: float | None
    together: list[list[int]]
    sizes: list[list[int]]
    mean: list[float]
    deviation: list[float]


class RecordPlace(TypedDict):
    """A record that has an image like another's."""

    file: str
    record: int
    key: str


class Group(TypedDict):
    """Records whose images are equal, or nearly so, and the splits that they are in."""

    splits: list[str]
    records: list[RecordPlace]


class Duplicates(TypedDict):
    """Equal and similar images.

    `shared` holds two splits and how many images are in both, `parts` a split and another that
    contains it on purpose, and `leaked` groups of one image in splits that should not share it.
    """

    shared: list[list[str | int]]
    parts: list[list[str]]
    leaked: list[Group]
    exact: list[Group]
    near: list[Group]


class Unreadable(TypedDict):
    """What could not be read; `record` is None if it is the file itself."""

    file: str
    record: int | None
    text: str


class FrameDocument(TypedDict):
    """Where classes lie in the frame, and the connected regions that they form.

    `places` holds a label value and its pixels in each cell of a 16 x 16 grid, row by row;
    `regions` a label value, a side in pixels, and how many regions cover at least its square but
    not that of the next side.
    """

    planes: int
    places: list[list[int]]
    regions: list[list[int]]


class StatisticsDocument(TypedDict):
    """Statistics; `of` is a digest of the manifest's shards, None if these are not all.

    `frame` is over all splits; documents of earlier versions have none.
    """

    path: str
    of: str | None
    splits: dict[str, SplitStatistics]
    all: SplitStatistics
    duplicates: Duplicates
    unreadable: list[Unreadable]
    frame: NotRequired[FrameDocument]


class Card(TypedDict):
    """One record of the gallery; pictures are data URIs, `classes` holds values and pixels."""

    key: str
    split: str
    file: str
    record: int
    size: list[int]
    classes: list[list[int]]
    image: str | None
    mask: str | None
    extras: dict[str, str]
    problems: list[str]


class Inspection(TypedDict):
    """What a folder or a file holds; `complete` is None if dsbuild did not write it."""

    path: str
    title: str | None
    complete: bool | None
    splits: dict[str, SplitState]
    features: list[FeatureRange]
    recipe: NotRequired[Mapping[str, Any]]
    divisor: NotRequired[int]
    statistics: NotRequired[StatisticsDocument]


class Feature(TypedDict):
    """One feature of a record; `value` is a description for images and long values."""

    kind: str
    value: Any


class RecordClass(TypedDict):
    """One class of a record's label; a label that is one class has no pixels."""

    value: int
    name: str | None
    pixels: NotRequired[int]


class RecordDocument(TypedDict):
    """One record: its place in a file, its features, and the classes of its label."""

    file: str
    record: int
    byte: int
    bytes: int
    features: dict[str, Feature]
    classes: list[RecordClass]


# These two are written as calls because `is` is a keyword: a part of the recipe that differs, and
# the share of a class in a split's pixels or images, in both builds.
RecipeChange = TypedDict("RecipeChange", {"what": str, "was": Any, "is": Any})
ClassShare = TypedDict(
    "ClassShare", {"split": str, "value": int, "name": str | None, "was": float, "is": float}
)


class Change(TypedDict):
    """Keys of the samples of one split that differ, by what differs."""

    removed: list[str]
    added: list[str]
    image: list[str]
    label: list[str]
    features: list[str]
    moved: list[str]


class Extent(TypedDict):
    """How many records a split has, and the smallest and largest size of its images."""

    records: int
    heights: list[int]
    widths: list[int]


class Difference(TypedDict):
    """How two builds differ; `extent` has both builds for each split."""

    a: str
    b: str
    same: bool
    recipe: list[RecipeChange]
    splits: dict[str, Change]
    extent: dict[str, list[Extent]]
    classes: list[ClassShare]
