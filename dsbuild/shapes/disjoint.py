"""Draw objects given as COCO's run lengths into a plane at once, if no two of them overlap.

Then all rules of overlap give the same plane, and no object needs a mask of its own.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dsbuild.shapes import runs


def plane(
    texts: Sequence[str], values: Sequence[int], size: tuple[int, int], background: int
) -> NDArray[np.uint8] | None:
    """Return the plane, uint8 (h, w), of objects given by their compressed counts and values.

    None if two objects overlap, or counts are not those of an image of this size. Raises
    ImageError if a text is damaged.
    """
    pixels = size[0] * size[1]
    pairs, sizes = runs.pairs_of(texts)
    rows = (sizes + 1) // 2
    # The sum of counts above the number of pixels may overflow to that number.
    if ((pairs < 0) | (pairs > pixels)).any():
        return None
    if (np.add.reduceat(pairs.sum(1), rows.cumsum() - rows) != pixels).any():
        return None
    ends = pairs.cumsum()[1::2] - np.repeat(np.arange(rows.size) * pixels, rows)
    lengths, owned = pairs[:, 1], np.repeat(np.asarray(values, np.uint8), rows)
    order = (ends - lengths).argsort(kind="stable")
    order = order[lengths[order] > 0]
    ends, lengths = ends[order], lengths[order]
    gaps = ends - lengths
    gaps[1:] -= ends[:-1]
    if (gaps < 0).any():
        return None
    times = np.full(2 * order.size + 1, pixels - int(ends[-1:].sum()), np.int64)
    times[0:-1:2], times[1::2] = gaps, lengths
    drawn = np.full(times.size, background, np.uint8)
    drawn[1::2] = owned[order]
    return np.ascontiguousarray(np.repeat(drawn, times).reshape(size[::-1]).T)
