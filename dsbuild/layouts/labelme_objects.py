"""Panoptic labels of LabelMe: shapes of one label and one group_id are an object.

A shape without a group_id is an object by itself. Objects of a class count from 1 in the order of
the file; those that others cover entirely have no number.

Source: LabelMe (shapes_to_label), which counts objects over all classes.
"""

from collections.abc import Container, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from dsbuild.errors import ImageError, LayoutError, nearest
from dsbuild.layouts import panoptic

if TYPE_CHECKING:
    from dsbuild.images.labels import Label
    from dsbuild.shapes.overlap import Shape

_VOID = 255
_STEP = 1 << 23  # between the ids of two classes; 255 of them fit int32


def things(given: Iterable[str], classes: Sequence[str]) -> tuple[int, ...]:
    """Return the classes with objects: those given, by default all but the background.

    Raises LayoutError for one that is not known.
    """
    index = {name: i for i, name in enumerate(classes) if i}
    for name in given:
        if name not in index:
            raise LayoutError(
                f"--things: found {name!r}, which is no class with objects; expected names of some"
                f"{nearest(name, index)}"
            )
    return tuple(sorted(index[name] for name in {*given} or index))


def label(
    shapes: "Iterable[Shape]",
    groups: Iterable[object],
    size: tuple[int, int],
    rule: str,
    things: Container[int],
    divisor: int,
) -> "Label":
    """Return the panoptic label (h, w) of shapes, each with its group_id.

    `rule` says who wins where shapes of several classes overlap. Raises ImageError for an odd
    group_id, and for too many objects of a class.
    """
    import numpy as np

    from dsbuild.shapes import overlap

    ids = overlap.objects(_numbered(shapes, groups), size, rule, _VOID * _STEP, _STEP)
    found = ((one, one // _STEP) for one in np.unique(ids).tolist())
    parts = [panoptic.Part(one, of, False) for one, of in found if of != _VOID]
    return panoptic.label(ids, parts, things, _VOID, divisor, True)


def _numbered(shapes: "Iterable[Shape]", groups: Iterable[object]) -> "Iterator[Shape]":
    """Yield shapes whose values tell objects apart, in the order of the file within a class."""
    numbers: dict[tuple[int, int, bool], int] = {}
    for i, (shape, group) in enumerate(zip(shapes, groups, strict=True)):
        if group is not None and type(group) is not int:
            raise ImageError(
                f"{shape.name}: found the group_id {group!r:.80}; expected a whole number, which "
                "shapes of one object share, or null; correct the file",
                kind="values",
            )
        key = (shape.value, i, False) if group is None else (shape.value, group, True)
        yield shape._replace(value=shape.value * _STEP + numbers.setdefault(key, len(numbers)))
