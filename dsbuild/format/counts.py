"""What is counted over records, and the samples that are left out of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Statistics:
    """What was counted over records; statistics of two parts add up.

    Attributes:
      pixels: label value -> pixels; empty where labels were not decoded, or are one class.
      images: label value -> records in which it occurs; empty where nothing was counted.
      around: label value -> labelled pixels (those of any class) of the records with it.
      heights, widths: smallest and largest in pixels.
      formats: records an image format.
      rotated: records whose image has an EXIF orientation other than 1.
      labels: records with a label.
      changes: images that were converted, turned or shrunk, by what was done; and labels that
        were `mapped` by the colours of their palettes.
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
        )


def _sum(one: Mapping, other: Mapping) -> dict:
    total = dict(one)
    for key, count in other.items():
        total[key] = total.get(key, 0) + count
    return total


def _range(values: tuple[int, ...]) -> tuple[int, ...]:
    return (min(values), max(values)) if values else ()


@dataclass(frozen=True)
class Reject:
    """A sample that was left out: its key and split, the file at fault, and why.

    `kind` is the name of the fault, as the audit has it.
    """

    split: str
    key: str
    file: str
    kind: str
    reason: str
