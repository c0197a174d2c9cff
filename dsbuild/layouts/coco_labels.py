"""Labels from the annotations of COCO: what class a category is, and shapes of objects."""

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dsbuild.errors import ImageError, LayoutError, nearest
from dsbuild.layouts import coco_file

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dsbuild.shapes.overlap import Shape


@functools.cache
def indices(known: coco_file.Categories, background: bool) -> Mapping[int, int]:
    """Return the class of each category, by its id; a background may come first."""
    return coco_file.names(known, background)[1]


def index(category: object, known: coco_file.Categories, background: bool) -> int:
    """Return the class of a category; raise ImageError if there is none.

    The message says whether ids may have been taken for indices.
    """
    found = indices(known, background)
    if type(category) is int and category in found:
        return found[category]
    ids = [number for number, _ in known]
    text = f"found category_id {category!r}, which the categories do not have"
    gaps = max(ids) - min(ids) + 1 - len(ids)
    if type(category) is int and gaps and 0 <= category <= max(ids):
        text += (
            f": their ids have {gaps} gaps between {min(ids)} and {max(ids)}, so it may be an "
            "index that was written in place of an id"
        )
    raise ImageError(f"{text}; correct the file, or add the category", kind="values")


@functools.cache
def ids(given: tuple[str, ...], known: coco_file.Categories) -> tuple[int, ...]:
    """Return the ids of categories that are given by id or name.

    Raises LayoutError for one that is not known.
    """
    by_text = {name: number for number, name in known}
    by_text |= {str(number): number for number, _ in known}
    for one in given:
        if one not in by_text:
            raise LayoutError(
                f"--things: found {one!r}, which is no category; expected ids or names of some"
                f"{nearest(one, by_text)}"
            )
    return tuple(by_text[one] for one in given)


def id_0(known: coco_file.Categories) -> Iterator[str]:
    """Yield what to say of a category with the id 0 that is not the background."""
    index = indices(known, True)
    if index.get(0):
        yield (
            f"the category {dict(known)[0]!r} has the id 0, which many tools take for the "
            f"background; here it is class {index[0]}, after the background"
        )


def shown(
    objects: Iterable[Sequence[Any]], index: Callable[[object], int], ignores_crowds: bool
) -> set[int]:
    """Return the classes of objects: the category of each, and whether it is a crowd.

    `index` returns the class of a category. Raises ImageError for a category that is not known.
    """
    found = [(index(category), crowd) for category, crowd in objects]
    return {value for value, crowd in found if not (crowd and ignores_crowds)}


def plane(
    objects: Sequence[Any],
    size: tuple[int, int],
    index: Callable[[object], int],
    ignores_crowds: bool,
    rule: str,
) -> "NDArray[np.uint8]":
    """Return the plane of the objects of an image of size (h, w), who wins by a rule.

    `index` returns the class of a category. Raises ImageError for an object that cannot be drawn.
    """
    from dsbuild.shapes import overlap

    found = _apart(objects, size, index, ignores_crowds)
    if found is None:
        found = overlap.plane(shapes(objects, size, index, ignores_crowds), size, rule, 0, 255)
    return found


def _apart(
    objects: Sequence[Any],
    size: tuple[int, int],
    index: Callable[[object], int],
    ignores_crowds: bool,
) -> "NDArray[np.uint8] | None":
    """Return the plane of objects that are compressed run lengths and do not overlap.

    None for all others, and those that have an error to name.
    """
    from dsbuild.shapes import disjoint

    found = [one["segmentation"] for one in objects]
    texts = [
        str(one["counts"])
        for one in found
        if isinstance(one, dict) and isinstance(one.get("counts"), str)
        if one.get("size") == [*size]
    ]
    if not objects or len(texts) < len(objects):
        return None
    try:
        values = [index(one["category_id"]) for one in objects]
        crowds = [bool(one["iscrowd"]) and ignores_crowds for one in objects]
        values = [255 if crowd else value for value, crowd in zip(values, crowds, strict=True)]
        return disjoint.plane(texts, values, size, 0)
    except ImageError:
        return None


def shapes(
    objects: Iterable[Any],
    size: tuple[int, int],
    index: Callable[[object], int],
    ignores_crowds: bool,
) -> "Iterator[Shape]":
    """Yield the objects of an image of size (h, w).

    `index` returns the class of a category. Raises ImageError for an object that cannot be drawn.
    """
    from dsbuild.shapes import coco
    from dsbuild.shapes.overlap import Shape

    for one in objects:
        name = f"annotation {one['id']}"
        ignored = bool(one["iscrowd"]) and ignores_crowds
        try:
            value = index(one["category_id"])
            mask, corner = coco.patch(one["segmentation"], size)
        except ImageError as error:
            raise ImageError(f"{name}: {error}", kind=error.kind) from error
        yield Shape(mask, 255 if ignored else value, name, ignored, corner)
