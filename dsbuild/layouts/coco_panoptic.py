"""Panoptic annotations of COCO: a PNG of segment ids, and what each segment is.

An id is R + 256 G + 65536 B of a pixel; 0 is void. The PNG and the list of segments must have the
same ids, as in panopticapi.

Source: cocodataset/panopticapi (utils.py, evaluation.py).
"""

import functools
import json
import posixpath
from collections.abc import Callable, Container, Mapping
from typing import TYPE_CHECKING, Any

from dsbuild import storage
from dsbuild.errors import ImageError, LayoutError
from dsbuild.layouts import panoptic

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dsbuild.images.labels import Label

VOID = 255


def kept(value: Any, path: str) -> bytes:
    """Return what decides the pixels of an image's annotation; raise LayoutError if it is none."""
    try:
        segments = [
            [one["id"], one["category_id"], int(bool(one.get("iscrowd", 0)))]
            for one in value["segments_info"]
        ]
        ids = [one for one, *_ in segments]
        document = {"file": value["file_name"].replace("\\", "/"), "segments": segments}
    except (KeyError, TypeError, AttributeError):
        raise LayoutError(
            f"{path}: found an annotation without segments_info and file_name; these are instances "
            "or something else, not panoptic: name --labels instances"
        ) from None
    if not all(type(one) is int and one for one in ids) or len({*ids}) < len(ids):
        raise LayoutError(
            f"{path}: found the segments {str(ids)[:60]} of {document['file']}; expected ids that "
            "are whole numbers, above 0 (void), and differ"
        )
    return json.dumps(document, separators=(",", ":")).encode()


@functools.lru_cache(maxsize=8)
def folder(root: str, path: str) -> str:
    """Return the folder of the PNGs of a JSON file, relative to root."""
    whole = path.removesuffix(".json")
    name = posixpath.basename(whole)
    for place in (whole, name, f"annotations/{name}", f"panoptic/{name}"):
        if storage.is_folder(storage.join(root, place)):
            return place
    raise LayoutError(
        f"{storage.join(root, whole)}: there is no such folder; expected the PNGs of {path}: "
        f"unpack {name}.zip"
    )


def segments(document: Mapping[str, Any], name: str) -> list[list[int]]:
    """Return the segments of an image; raise ImageError unless it has one annotation."""
    found: list[dict[str, list[list[int]]]] = document["annotations"]
    if len(found) != 1:
        raise ImageError(
            f"found {len(found) or 'no'} annotations of this image in {name}; expected one, which "
            "says what its segments are"
        )
    return found[0]["segments"]


def plane(
    data: bytes, segments: list[list[int]], index: Callable[[int], int], ignores_crowds: bool
) -> "NDArray[np.uint8]":
    """Return the class of every pixel, uint8 (h, w); void is 255.

    `index` returns the class of a category. Raises ImageError if PNG and segments disagree.
    """
    import numpy as np

    ids = _ids(data)
    found, places = np.unique(ids, return_inverse=True)
    known = _known(segments, found.tolist())
    values = [
        VOID if not one or (known[one][1] and ignores_crowds) else index(known[one][0])
        for one in found.tolist()
    ]
    made: NDArray[np.uint8] = np.array(values, np.uint8)[places.reshape(ids.shape)]
    return made


def label(
    data: bytes,
    segments: list[list[int]],
    index: Callable[[int], int],
    ignores_crowds: bool,
    things: Container[int],
    divisor: int,
) -> "Label":
    """Return the panoptic label of an image; void is class 0, and others follow it.

    `index` returns the class of a category. Raises ImageError if PNG and segments disagree, and
    as `panoptic.label` does.
    """
    import numpy as np

    ids = _ids(data)
    _known(segments, np.unique(ids).tolist())
    parts = [
        panoptic.Part(id_, index(category) + 1, bool(iscrowd))
        for id_, category, iscrowd in segments
    ]
    return panoptic.label(ids, parts, things, 0, divisor, ignores_crowds)


def _ids(data: bytes) -> "NDArray[np.int64]":
    """Return the ids of a PNG, int64 (h, w); raise ImageError if it holds none."""
    import numpy as np

    from dsbuild import images

    head = images.header(data)
    if head.model != "rgb" or head.bits != 8:
        raise ImageError(
            f"found a panoptic label in {head.model} of {head.bits} bits; expected RGB, in which a "
            "colour is the id of a segment"
        )
    return images.decode(data, head).astype(np.int64) @ np.array([1, 256, 65536], np.int64)


def _known(segments: list[list[int]], found: list[int]) -> Mapping[int, tuple[int, int]]:
    """Return the category of each segment, and whether it is a crowd.

    Raises ImageError unless the segments are those that were found.
    """
    known: Mapping[int, tuple[int, int]] = {one[0]: (one[1], one[2]) for one in segments}
    strange = [one for one in found if one and one not in known]
    missing = sorted(known.keys() - set(found))
    if strange or missing:
        where, other = ("PNG", "JSON") if strange else ("JSON", "PNG")
        raise ImageError(
            f"found the segment {(strange or missing)[0]} in the {where}, which the {other} does "
            "not have; they are of different versions",
            kind="values",
        )
    return known
