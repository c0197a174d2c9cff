"""Options of layouts that can also give panoptic labels: class and instance of every pixel."""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from dsbuild.errors import ImageError, PlanError
from dsbuild.fields import field

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dsbuild.images.labels import Label

TARGETS = ("semantic", "panoptic")
DIVISORS = 2, 1 << 20  # the smallest and the largest: 255 classes fit int32
CROWD = field(
    "ignore",
    "With --target panoptic: what a crowd is, a thing whose instances nobody told apart: ignored, "
    "or its class without an instance.",
    choices=("ignore", "class"),
    omitted=True,
)
VOID = "void"  # the name of the class 0 that is ignored, as deeplab2 counts classes


class Part(NamedTuple):
    """A segment of a source: its id in the map, its class, whether it is a crowd."""

    id: int
    label: int
    crowd: bool


@dataclass(frozen=True, kw_only=True)
class Panoptic:
    """Options of layouts that can give panoptic labels.

    Attributes:
      usual_divisor: what deeplab2 divides the data set's values by.
    """

    usual_divisor: ClassVar[int] = 1000

    target: str = field(
        "semantic",
        "semantic: the class of every pixel. panoptic: also its instance, as deeplab2 stores it.",
        choices=TARGETS,
        omitted=True,
    )
    divisor: int | None = field(
        None,
        "With --target panoptic: pixels are stored as class * N + instance, so a class has fewer "
        "than N instances. Default: deeplab2's.",
        least=DIVISORS[0],
        most=DIVISORS[1],
        omitted=True,
    )

    @property
    def is_panoptic(self) -> bool:
        """Whether labels hold instances."""
        return self.target == "panoptic"

    def fill_divisor(self) -> None:
        """Set the usual divisor; raise PlanError for one that nothing is divided by."""
        if self.divisor is not None and not self.is_panoptic:
            raise PlanError(
                f"--divisor {self.divisor}: found no instances to number; expected it with "
                "--target panoptic"
            )
        if self.is_panoptic and self.divisor is None:
            self.fill("divisor", self.usual_divisor)

    def fill(self, name: str, value: object) -> None:
        """Set a field whose default depends on others, while the value is made."""
        object.__setattr__(self, name, value)


def label(
    ids: "NDArray[np.integer]",
    parts: Iterable[Part],
    things: Container[int],
    void: int,
    divisor: int,
    ignores_crowds: bool,
) -> "Label":
    """Return the panoptic label of a map of segment ids (h, w), numbered as in deeplab2.

    Instances of a class count from 1 in the order of `parts`; stuff and crowds have instance 0.
    Ids that no part has are void. Raises ImageError for a crowd of stuff, and for too many
    instances of a class.
    """
    import numpy as np

    from dsbuild.images import labels

    values: dict[int, int] = {}
    instances: dict[int, int] = {}
    for one in parts:
        number = 0
        if one.label in things and not one.crowd:
            number = instances[one.label] = instances.get(one.label, 0) + 1
        elif one.crowd and one.label not in things:
            raise ImageError(
                f"found the segment {one.id} of class {one.label}, which is stuff and a crowd; "
                "expected crowds of things alone; correct iscrowd or isthing",
                kind="values",
            )
        if number >= divisor:
            raise ImageError(
                f"found {divisor:,} or more instances of class {one.label}; expected fewer than "
                f"the divisor; build with a larger one, such as --divisor {_above(divisor)}"
            )
        crowd = one.crowd and ignores_crowds
        values[one.id] = void * divisor if crowd else one.label * divisor + number
    found, places, counts = np.unique(ids, return_inverse=True, return_counts=True)
    table = np.array([values.get(one, void * divisor) for one in found.tolist()], np.int32)
    pixels: dict[int, int] = {}
    for value, count in zip(table.tolist(), counts.tolist(), strict=True):
        pixels[value // divisor] = pixels.get(value // divisor, 0) + count
    return labels.Label(table[places.reshape(ids.shape)], dict(sorted(pixels.items())))


def _above(divisor: int) -> int:
    return 1000 if divisor < 1000 else 65536


def named(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names of classes after void, which has index 0.

    >>> named(["cat", "void"])
    ('void', 'cat', 'void (1)')
    """
    made = [VOID]
    for name in names:
        made.append(name if name not in made else f"{name} (1)")
    return tuple(made)


def indexed(index: Mapping[int, int]) -> dict[int, int]:
    """Return what gives the index of a class after void, from what gives it without."""
    return {key: value + 1 for key, value in index.items()}
