"""Panoptic labels of ADE20K's challenge: classes of stuff, and instances of things over them.

    annotations/<split>/<key>.png             grey: class 0 to 150
    annotations_instance/<split>/<key>.png    RGB: R instance class 1 to 100, G number, 0 for none

Stuff comes first, by class, then instances by number, over whatever is there; what neither has is
void. An instance class is the thing of that rank among the 150.

Sources: CSAILVision/sceneparsing; Mask2Former (datasets/prepare_ade20k_pan_seg.py), whose order
deeplab2 expects.
"""

from typing import TYPE_CHECKING

from dsbuild.errors import ImageError
from dsbuild.layouts import panoptic

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dsbuild.images.labels import Label

FOLDER = "annotations_instance"
# Of the classes 1 to 150, those with instances.
THINGS = tuple(
    int(word)
    for word in """8 9 11 13 15 16 19 20 21 23 24 25 28 31 32 33 34 36 37 38 39 40 42 43 44 45 46 48
50 51 54 56 57 58 59 63 65 66 67 68 70 71 72 73 74 75 76 77 79 81 82 83 84 86 87 88 89 90 91 93 94
96 98 99 103 104 105 108 109 111 112 113 116 117 119 120 121 122 124 125 126 127 128 130 131 133 134
135 136 137 138 139 140 143 144 145 147 148 149 150""".split()
)
_ABOVE = 1000  # ids of instances


def label(classes: "NDArray[np.uint8]", instances: bytes, divisor: int) -> "Label":
    """Return the panoptic label of a plane of classes 0 to 150 and a PNG of instances.

    Raises ImageError for a PNG in another form.
    """
    import numpy as np

    from dsbuild import images

    head = images.header(instances)
    if head.model != "rgb" or head.bits != 8:
        raise ImageError(
            f"found instances in {head.model} of {head.bits} bits; expected RGB, with the class in "
            "red and the number in green"
        )
    if (head.height, head.width) != classes.shape:
        raise ImageError(
            f"found instances of {head.width} x {head.height} pixels, expected "
            f"{classes.shape[1]} x {classes.shape[0]}, as the classes have",
            kind="size",
        )
    pixels = images.decode(instances, head)
    kinds, numbers = pixels[..., 0], pixels[..., 1]
    stuff = np.isin(classes, THINGS, invert=True) & (classes > 0)
    ids = np.where(stuff, classes, 0).astype(np.int32)
    parts = [panoptic.Part(one, one, False) for one in np.unique(ids[stuff]).tolist()]
    for number in np.unique(numbers[numbers > 0]).tolist():
        mine = np.unique(kinds[numbers == number]).tolist()
        if len(mine) != 1 or not 1 <= mine[0] <= len(THINGS):
            raise ImageError(
                f"found instance {number} with the classes {', '.join(map(str, mine[:5]))}; "
                f"expected one from 1 to {len(THINGS)}",
                kind="values",
            )
        parts.append(panoptic.Part(_ABOVE + number, THINGS[mine[0] - 1], False))
    ids = np.where(numbers > 0, numbers.astype(np.int32) + _ABOVE, ids)
    return panoptic.label(ids, parts, THINGS, 0, divisor, True)
