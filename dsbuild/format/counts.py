"""What is counted over records, and the samples that were left out."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

Key = TypeVar("Key")


@dataclass(frozen=True)
class Statistics:
    """What was counted over records; statistics of two parts add up.

    Attributes:
      pixels: label value -> pixels; empty if labels were not decoded, or are one class each.
      images: label value -> records in which it occurs; empty if nothing was counted.
      around: label value -> labelled pixels (of any class) of the records with it.
      heights, widths: smallest and largest in pixels.
      formats: image format -> records.
      rotated: records whose image has an EXIF orientation other than 1.
      labels: records with a label.
      changes: how many images were converted, turned or shrunk, and how many labels were `mapped`
        by the colours of their palettes.
      segments: label value -> segments of panoptic labels; empty without them.
    """

    pixels: Mapping[int, int] = field(default_factory=dict)
    images: Mapping[int, int] = field(default_factory=dict)
    around: Mapping[int, int] = field(default_factory=dict)
    heights: tuple[int, ...] = ()
    widths: tuple[int, ...] = ()
    formats: Mapping[str, int] = field(default_factory=dict)
    rotated: int = 0
    labels: int = 0
    changes: Mapping[str, int] = field(default_factory=dict)
    segments: Mapping[int, int] = field(default_factory=dict)

    def __add__(self, other: "Statistics") -> "Statistics":
        return Statistics(
            pixels=_sum(self.pixels, other.pixels),
            images=_sum(self.images, other.images),
            around=_sum(self.around, other.around),
            heights=_range(self.heights + other.heights),
            widths=_range(self.widths + other.widths),
            formats=_sum(self.formats, other.formats),
            rotated=self.rotated + other.rotated,
            labels=self.labels + other.labels,
            changes=_sum(self.changes, other.changes),
            segments=_sum(self.segments, other.segments),
        )

    def without(self, ignore: int | None, classes: int) -> "Statistics":
        """Return what was counted of panoptic labels, for each class and not for void.

        Void, the ignore value, may have the index of a class.
        """
        pixels, images, around = (
            {value: count for value, count in counts.items() if value != ignore}
            for counts in (self.pixels, self.images, self.around)
        )
        segments = {value: self.segments.get(value, 0) for value in range(classes)}
        return replace(self, pixels=pixels, images=images, around=around, segments=segments)


def _sum(one: Mapping[Key, int], other: Mapping[Key, int]) -> dict[Key, int]:
    total = dict(one)
    for key, count in other.items():
        total[key] = total.get(key, 0) + count
    return total


def _range(values: tuple[int, ...]) -> tuple[int, ...]:
    return (min(values), max(values)) if values else ()


@dataclass(frozen=True)
class Reject:
    """A sample that was left out: its key and split, the file at fault, and the reason.

    `kind` is the name of the fault, as in an audit.
    """

    split: str
    key: str
    file: str
    kind: str
    reason: str
