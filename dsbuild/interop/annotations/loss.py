"""What records lost in a target: counts of pixels, objects and images by class, which add up."""

import operator
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

_SHOWN = 5  # images and keys that a receipt names
Key = TypeVar("Key")

# Why pixels changed -> in words.
REASONS = {
    "missing": "images that were not found again",
    "ignored": "ignored pixels, which it cannot hold",
    "points": "objects with fewer than 3 points",
    "holes": "holes that were filled",
    "overlap": "objects drawn over others",
    "outline": "bridges and rounding along outlines",
}
# What was done without a loss -> in words.
FACTS = {
    "holes": "objects with holes, each joined to the outline by a bridge",
    "points": "objects of 1 or 2 points, which were repeated",
    "bridges": "objects of several parts, joined by bridges that are drawn",
    "extension": "images with the file extension of the others, whose format is another one",
}


@dataclass(frozen=True)
class Tally:
    """Counts of one label value.

    Attributes:
      pixels, read: in records, and in the target as read back.
      lost, gained: pixels of the value in records alone, and in the target alone.
      objects, objects_read: likewise.
      objects_changed: objects of records that miss at least one pixel; objects_lost: all pixels.
      images, images_read: in which the value occurs.
      images_changed: in which pixels of it were lost or gained.
    """

    pixels: int = 0
    read: int = 0
    lost: int = 0
    gained: int = 0
    objects: int = 0
    objects_read: int = 0
    objects_changed: int = 0
    objects_lost: int = 0
    images: int = 0
    images_read: int = 0
    images_changed: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(*map(operator.add, vars(self).values(), vars(other).values()))


class Worst(NamedTuple):
    """An image by how many of its pixels changed."""

    pixels: int
    split: str
    key: str


@dataclass(frozen=True)
class Loss:
    """Counts over records; those of two parts add up.

    Attributes:
      images: records that were written.
      read: of these, those that the layout lists.
      unlabelled: of these, those without a label.
      changed: images of which at least one pixel has another value.
      altered: images whose own bytes differ.
      renamed: images whose key the layout does not give back.
      classes: counts by label value.
      reasons: reason -> pixels that changed for it.
      worst: the images that changed most.
      names: some keys with what the layout makes of them.
    """

    images: int = 0
    read: int = 0
    unlabelled: int = 0
    changed: int = 0
    altered: int = 0
    renamed: int = 0
    classes: Mapping[int, Tally] = field(default_factory=dict)
    reasons: Mapping[str, int] = field(default_factory=dict)
    worst: tuple[Worst, ...] = ()
    names: tuple[tuple[str, str], ...] = ()

    def __add__(self, other: "Loss") -> "Loss":
        plain = ("images", "read", "unlabelled", "changed", "altered", "renamed")
        sums: dict[str, Any] = {name: getattr(self, name) + getattr(other, name) for name in plain}
        worst = sorted(self.worst + other.worst, key=lambda one: (-one.pixels, *one[1:]))
        return Loss(
            **sums,
            classes=summed(self.classes, other.classes),
            reasons=summed(self.reasons, other.reasons),
            worst=tuple(worst[:_SHOWN]),
            names=(self.names + other.names)[:_SHOWN],
        )

    @property
    def total(self) -> Tally:
        """The counts over all label values."""
        return sum(self.classes.values(), Tally())

    @property
    def share(self) -> float:
        """The largest share of pixels lost: of any label value, or of all."""
        tallies = [*self.classes.values(), self.total]
        return max((one.lost / one.pixels for one in tallies if one.pixels), default=0.0)


def summed(one: Mapping[Key, Any], other: Mapping[Key, Any]) -> dict[Key, Any]:
    """Return the sums of the values of two mappings."""
    total = dict(one)
    for key, value in other.items():
        total[key] = total[key] + value if key in total else value
    return total
