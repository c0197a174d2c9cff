"""Masks as run lengths: COCO's, compressed or not, and CVAT's.

COCO counts down the columns, CVAT along the rows of a box; both begin with a run of zeros, which
may be empty. The compressed form writes the same counts as text, 5 bits and a sign per character,
and from the fourth count on as the difference to the count two before.

Sources: cocoapi (common/maskApi.c); CVAT's XML format 1.1.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsbuild.errors import ImageError

Mask = NDArray[np.bool_]
Counts = NDArray[np.int64]


class Patch(NamedTuple):
    """A mask, bool (h, w), of a box in an image; `corner` is its first pixel there, x and y."""

    mask: Mask
    corner: tuple[int, int] = (0, 0)

    def within(self, size: tuple[int, int]) -> Mask:
        """Return the mask in an image of size (h, w): bool (h, w)."""
        whole = np.zeros(size, bool)
        (left, top), (height, width) = self.corner, self.mask.shape
        whole[top : top + height, left : left + width] = self.mask
        return whole


def coco(segmentation: object, size: tuple[int, int]) -> Patch:
    """Return the mask of COCO's `{"size": [h, w], "counts": ...}` in a box with all its pixels.

    Raises ImageError if it is not that, or is for an image of another size.
    """
    if not isinstance(segmentation, dict) or not {"size", "counts"} <= segmentation.keys():
        raise ImageError(
            f"found a segmentation {_short(segmentation)}; expected polygons, or a run-length "
            "encoding with size and counts"
        )
    found, counts = segmentation["size"], segmentation["counts"]
    if list(size) != found:
        turned = found == list(size)[::-1]
        why = "; it is [width, height], and COCO has [height, width]" if turned else ""
        raise ImageError(
            f"found a run-length encoding of size {_short(found)}; expected {list(size)}, height "
            f"and width of the image{why}",
            kind="size",
        )
    runs = uncompressed(counts) if isinstance(counts, str) else _whole(counts)
    height, width = size
    _check(runs, height * width)
    ends = runs.cumsum()
    starts, ends = ends[0::2], ends[1::2]
    if not ends.size or starts[0] == ends[-1]:
        return Patch(np.zeros((0, 0), bool))
    left, right = int(starts[0]) // height, (int(ends[-1]) - 1) // height + 1
    inner = np.concatenate([runs[: 2 * ends.size], right * height - ends[-1:]])
    inner[0] -= left * height
    return Patch(_mask(inner).reshape(right - left, height).T, (left, 0))


def cvat(counts: Sequence[int], box: tuple[int, int, int, int], size: tuple[int, int]) -> Patch:
    """Return the mask of CVAT's counts, which is of a box (left, top, width, height)."""
    left, top, width, height = box
    if left < 0 or top < 0 or left + width > size[1] or top + height > size[0]:
        raise ImageError(
            f"found a mask in the box {box}, which is not inside the image of {size[1]} x {size[0]}"
        )
    runs = _whole(list(counts))
    _check(runs, width * height)
    return Patch(_mask(runs).reshape(height, width), (left, top))


def coco_counts(inner: Mask, corner: tuple[int, int], size: tuple[int, int]) -> Counts:
    """Return COCO's counts of a mask whose first pixel lies at a corner (x, y) of an image (h, w).

    The mask, bool (h, w) of its box, must have pixels, and lie inside the image.
    """
    left, top = corner
    height, width = size
    row, column, length = columns(inner)
    starts = (column + left) * height + row + top
    ends = starts + length
    apart = starts[1:] != ends[:-1]  # a run may go on at the top of the next column
    if not apart.all():
        starts = np.concatenate([starts[:1], starts[1:][apart]])
        ends = np.concatenate([ends[:-1][apart], ends[-1:]])
    counts = np.empty(2 * starts.size + 1, np.int64)
    counts[1::2] = ends - starts
    counts[0:1], counts[2:-1:2], counts[-1] = starts[:1], starts[1:] - ends[:-1], height * width
    counts[-1] -= ends[-1]
    return counts if counts[-1] else counts[:-1]


def columns(mask: Mask) -> tuple[Counts, Counts, Counts]:
    """Return row, column and length of all runs down the columns of a mask, from left to right."""
    step = mask.shape[0] + 1  # pixels of a column, after one that is outside
    inside = np.zeros(mask.shape[1] * step + 1, bool)
    inside[:-1].reshape(-1, step)[:, 1:] = mask.T
    turns = np.flatnonzero(inside[1:] != inside[:-1])
    column, row = np.divmod(turns[0::2], step)
    return row, column, turns[1::2] - turns[0::2]


def cvat_counts(inner: Mask) -> Counts:
    """Return CVAT's counts of a mask within its box, bool (h, w)."""
    flat = np.concatenate([[False], inner.ravel()])
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    return np.diff(np.concatenate([edges, [inner.size]]), prepend=0).astype(np.int64)


def compressed(runs: Sequence[Counts]) -> list[str]:
    """Return counts of objects in COCO's compressed form, those of all objects at once."""
    if not runs:
        return []
    sizes = np.fromiter(map(len, runs), np.int64, len(runs))
    counts, starts = np.concatenate(runs), sizes.cumsum() - sizes
    left = counts.copy()
    left[2:] -= counts[:-2]
    for place in range(3):  # the first three are not differences
        at = starts[sizes > place] + place
        left[at] = counts[at]
    codes, used = np.zeros((left.size, 13), np.uint8), np.zeros(left.size, np.int64)
    going = np.arange(left.size)
    for place in range(codes.shape[1]):
        digit = left & 31
        left >>= 5
        more = left != -(digit >> 4)
        codes[going, place] = (digit | (more << 5)) + 48
        used[going] += 1
        going, left = going[more], left[more]
        if not going.size:
            break
    text = codes[np.arange(codes.shape[1]) < used[:, None]].tobytes().decode()
    ends = np.add.reduceat(used, starts).cumsum().tolist()
    return [text[start:end] for start, end in itertools.pairwise([0, *ends])]


def uncompressed(text: str) -> Counts:
    """Return the counts of COCO's compressed form; raise ImageError if it is damaged."""
    pairs, (size,) = pairs_of([text])
    return pairs.ravel()[:size]


def pairs_of(texts: Sequence[str]) -> tuple[Counts, Counts]:
    """Return the counts of texts in the compressed form, (n, 2), and how many counts each has.

    A row holds a run of zeros and the run of ones after it; a text with an odd number of counts
    ends with a 0 of its own. All texts are read at once: most of the time is spent per call.
    Raises ImageError if one is damaged.
    """
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    joined = "".join(texts)
    codes = np.frombuffer(joined.encode(errors="replace"), np.uint8) - np.uint8(48)
    lasts = lengths.cumsum() - 1
    whole = (
        lengths.all() and joined.isascii() and codes.max() < 64 and not (codes[lasts] & 32).any()
    )
    ends = np.flatnonzero(codes < 32 if whole else ())
    starts = np.append(-1, ends[:-1]) + 1
    widths = ends - starts + 1
    if not whole or widths.max() > 11:
        raise ImageError(f"found damaged compressed counts {_short(' '.join(texts))}")
    values = (codes[starts] & 31).astype(np.int64)
    for place in range(1, int(widths.max())):
        longer = np.flatnonzero(widths > place)
        values[longer] |= (codes[starts[longer] + place] & 31).astype(np.int64) << (5 * place)
    negative = (codes[ends] & 16) != 0
    values[negative] -= np.int64(1) << (5 * widths[negative])
    sizes = np.diff(np.searchsorted(ends, lasts, "right"), prepend=0)
    return _summed(values, sizes), sizes


def _summed(values: Counts, sizes: Counts) -> Counts:
    """Return counts from their differences to the counts two before, as `pairs_of` does."""
    odd = sizes & 1
    rows = (sizes + odd) // 2
    ends = rows.cumsum()
    begins = ends - rows
    table = np.zeros(2 * int(ends[-1]), np.int64)
    table[np.arange(values.size) + np.repeat(odd.cumsum() - odd, sizes)] = values
    pairs = table.reshape(-1, 2)
    firsts = pairs[begins, 0].copy()
    pairs[begins, 0] = 0  # the first count of a text is no difference, and none is one to it
    pairs = pairs.cumsum(0)
    pairs -= np.repeat(np.where(begins[:, None], pairs[begins - 1], 0), rows, axis=0)
    pairs[begins, 0] = firsts
    pairs[ends[odd > 0] - 1, 1] = 0
    return pairs


def _whole(counts: object) -> Counts:
    """Return counts that JSON gave as a list of whole numbers."""
    if not isinstance(counts, list) or not all(type(count) is int for count in counts):
        raise ImageError(f"found the counts {_short(counts)}; expected a list of whole numbers")
    try:
        return np.array(counts, np.int64)
    except OverflowError:
        raise ImageError("found counts beyond 64 bits in a run-length encoding") from None


def _check(counts: Counts, pixels: int) -> None:
    """Raise ImageError for runs that do not cover so many pixels."""
    # The sum of counts above the number of pixels may overflow to that number.
    if ((counts < 0) | (counts > pixels)).any() or counts.sum() != pixels:
        raise ImageError(
            f"found counts of {sum(counts.tolist()):,} pixels in a run-length encoding; expected "
            f"{pixels:,}{_pairs(counts, pixels)}"
        )


def _mask(counts: Counts) -> Mask:
    """Return runs of zeros and ones in turn: bool (pixels,)."""
    return np.repeat(np.arange(counts.size) % 2 == 1, counts)


def _pairs(counts: Counts, pixels: int) -> str:
    """Say that counts look like pairs of start and length, as Kaggle writes them, or nothing."""
    starts, lengths = counts[0::2], counts[1::2]
    if counts.size % 2 or not counts.size or ((counts < 0) | (counts > pixels + 1)).any():
        return ""
    if (starts[:-1] + lengths[:-1] <= starts[1:]).all() and starts[-1] + lengths[-1] <= pixels + 1:
        return "; they look like pairs of start and length, as on Kaggle: convert them to counts"
    return ""


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
