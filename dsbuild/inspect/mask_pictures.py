"""Pictures of labels that changed: the image, its label before and after, the changed pixels."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsbuild.engines import Advance, Engine, Job
from dsbuild.format.features import Names
from dsbuild.images import colour
from dsbuild.inspect import gallery
from dsbuild.inspect.mask_changes import MaskChange, values

RED = np.array([(0, 0, 0), (228, 26, 28)] + [(0, 0, 0)] * 254, np.uint8)
Tables = tuple[NDArray[np.uint8], NDArray[np.uint8]]


@dataclass(frozen=True)
class MaskPictures:
    """The pictures of one changed label, as data URIs; None where there is nothing to show.

    Attributes:
      image: that of the build after the change, or else the one before.
      before, after: the label in the colours of each build.
      changed: the pixels that differ, in red.
      problems: what could not be decoded, and why.
    """

    image: str | None
    before: str | None
    after: str | None
    changed: str | None
    problems: tuple[str, ...]


def draw(
    changes: Sequence[MaskChange],
    names: tuple[Names, Names],
    colours: Tables,
    engine: Engine,
    room: int,
) -> list[MaskPictures]:
    """Return the pictures of some changes, in their order, of at most `room` bytes in all.

    `names` and `colours` are those of the builds before and after.
    """
    share = room // max(len(changes), 1)
    work = functools.partial(_draw, names=names, colours=colours, room=share)
    return list(engine.map(Job(list(changes), work, len(changes), "drawing", unit="masks")))


def _draw(
    change: MaskChange,
    advance: Advance,
    *,
    names: tuple[Names, Names],
    colours: Tables,
    room: int,
) -> MaskPictures:
    was = gallery.pictures(values(change.before), names[0])
    now = gallery.pictures(values(change.after), names[1])
    image = was.image if now.image is None else now.image
    differs = None
    if was.plane is not None and now.plane is not None and was.plane.shape == now.plane.shape:
        differs = was.plane != now.plane

    def drawn(side: int) -> list[str | None]:
        return [
            None if image is None else colour.photo_uri(image, side),
            None if was.plane is None else colour.plane_uri(was.plane, colours[0], side),
            None if now.plane is None else colour.plane_uri(now.plane, colours[1], side),
            None if differs is None else colour.plane_uri(marks(differs, side), RED, side),
        ]

    problems = tuple(dict.fromkeys((*was.problems, *now.problems)))
    photo, before, after, changed = gallery.fitted(drawn, [image, was.plane, now.plane], room)
    advance(1, 0)
    return MaskPictures(photo, before, after, changed, problems)


def marks(differs: NDArray[np.bool_], side: int) -> NDArray[np.uint8]:
    """Return 1 where any pixel differs, shrunk to a longer side of at most `side` pixels.

    >>> marks(np.array([[False, True, False, False]]), 2).tolist()
    [[1, 0]]
    """
    height, width = differs.shape
    size = colour.fit((height, width), side)
    made = np.zeros(size, np.uint8)
    rows, columns = np.nonzero(differs)
    made[rows * size[0] // height, columns * size[1] // width] = 1
    return made
