"""Panoptic labels from the instanceIds of Cityscapes.

    <key>_gtFine_instanceIds.png     16 bits: an id, or id * 1000 + number of an instance

A thing without a number is a crowd. Segments are in the order of their values.

Source: cityscapesScripts 2.3, preparation/createPanopticImgs.py.
"""

from typing import TYPE_CHECKING

from dsbuild.errors import ImageError
from dsbuild.layouts import panoptic
from dsbuild.layouts.city_labels import LABELS

if TYPE_CHECKING:
    from dsbuild.images.labels import Label

FILE = "instanceIds.png"
THINGS = tuple(range(11, 19))  # trainIds of person to bicycle
_VOID, _NUMBERS = 255, 1000


def label(data: bytes, divisor: int, ignores_crowds: bool) -> "Label":
    """Return the panoptic label, by trainIds, in the bytes of a file; raise ImageError."""
    import numpy as np

    from dsbuild.images import codec, png

    head = codec.class_header(data)
    if head.model != "grey" or head.bits not in (8, 16):
        raise ImageError(
            f"found {head.bits} bits in {head.model}, expected instanceIds in grey of 16 bits"
        )
    ids = np.asarray(png.load(data, head)).astype(np.int32)
    parts = []
    for one in np.unique(ids).tolist():
        row = one if one < _NUMBERS else one // _NUMBERS
        if row >= len(LABELS):
            raise ImageError(
                f"found the value {one}, expected an id from 0 to {len(LABELS) - 1}, or id * 1000 "
                "and the number of an instance",
                kind="values",
            )
        train = LABELS[row][1]
        if train != _VOID:
            crowd = train in THINGS and one < _NUMBERS
            parts.append(panoptic.Part(one, train, crowd))
    return panoptic.label(ids, parts, THINGS, _VOID, divisor, ignores_crowds)
