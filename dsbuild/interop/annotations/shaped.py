"""What targets of shapes share: objects of a record, the order of classes, facts."""

import collections
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from dsbuild.errors import PlanError
from dsbuild.interop.annotations.base import Target
from dsbuild.interop.annotations.picture import Picture, Plane
from dsbuild.shapes import components, contours, outlines
from dsbuild.shapes.components import Region
from dsbuild.shapes.contours import Contour

POLYGONS = "polygons"


@dataclass(frozen=True)
class Shaped(Target):
    """A target whose labels are shapes of objects; nothing is drawn for the background."""

    shaped: ClassVar[bool] = True
    holds_ignored: ClassVar[bool] = False
    first: ClassVar[int] = 1

    def refuse(self) -> None:
        """Raise PlanError if there is nothing to draw."""
        super().refuse()
        if not self.names:
            raise PlanError(
                f"--to {self.name}: found no class besides the background; expected classes that "
                "objects can have; choose another target, such as png"
            )

    def values(self) -> Mapping[int, int]:
        """Return the background as 0 and the other classes from 1 on, as most layouts have it."""
        found = {value: i for i, value in enumerate(self.about.things, self.first)}
        if self.about.background is not None:
            found[self.about.background] = self.uncovered
        return found

    @property
    def uncovered(self) -> int:
        """The value of pixels that no shape covers."""
        return 0

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the classes that have shapes."""
        return tuple(self.about.classes[i] for i in self.about.things)

    def regions(self, one: Picture) -> Iterator[Region]:
        """Yield the objects of a record, by class: those of panoptic records, or components."""
        return components.regions(*self._asked(one))

    def wholes(self, one: Picture) -> Iterator[tuple[Region, bool]]:
        """Yield the same, but components of a class as one region, marked by True."""
        return components.wholes(*self._asked(one))

    def polygons(self, one: Picture) -> Iterator[tuple[int, list[Contour]]]:
        """Yield class and contours, one per part, of what `regions` yields."""
        for region, several in self.wholes(one):
            found = contours.polygons(region.mask, (region.left, region.top))
            objects = [[contour] for contour in found] if several else [found]
            yield from ((region.value, parts) for parts in objects)

    def _asked(
        self, one: Picture
    ) -> tuple[Plane, tuple[int, ...], str, Plane | None, tuple[int, ...]]:
        return one.labelled[1], self.about.things, self.objects, one.objects, self.about.counted


def facts(found: Iterable[str]) -> dict[str, int]:
    """Return how often each fact occurs."""
    return dict(sorted(collections.Counter(found).items()))


def rings(region: Region) -> tuple[list[list[int]], list[str]]:
    """Return the polygons around the parts of an object, [x, y, x, y, ...], and their facts."""
    polygons, found = [], list[str]()
    for part in components.parts(region):
        points, holes = outlines.polygon(part.mask, (part.left, part.top))
        polygons.append(points.ravel().tolist())
        found += ["holes"] if holes else []
    return polygons, found
