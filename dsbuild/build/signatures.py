"""Common mistakes in labels, each recognised by its signature.

A signature is what a mistake leaves in the values of a label or in their arrangement; the text of
a mistake names the remedy. Kinds are those of `finding.KINDS`.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from dsbuild import images
from dsbuild.errors import ImageError
from dsbuild.images.labels import COLORMAP, Label
from dsbuild.layouts import Layout

# The share of changes from pixel to pixel that continue in the same direction. In clean masks,
# including those resized by nearest neighbour, it was at most 0.03 (Pascal VOC, SBD, Cityscapes,
# CamVid); in masks resized with bilinear or bicubic interpolation at least 0.3, in masks that were
# JPEGs of quality 50 to 95 at least 0.13.
_SMOOTH = 0.12
# Blocks of 8 x 8 pixels that are not constant: the share in a grid shifted by half a block, over
# that in the aligned grid. JPEG spreads noise up to the edges of its blocks: at least 1.33 with
# JPEG, at most 1.28 without.
_BLOCKS = 1.3
# Changes per pixel, rows and columns together, above which a plane is noise: there every third
# change continues by chance. Masks that were JPEGs had at most 0.3.
_NOISE = 0.9
# In classes that are layers one pixel thick, nearly all changes that continue are steps of 1.
_LAYERS = 0.9

FROM_1 = "dsbuild pairs --zero ignore if 0 means nothing, --zero none if it does not occur"
_FEW = 64  # a mask has at most this many values, a picture more


class Mistake(NamedTuple):
    """A mistake: its kind, and what to do about it."""

    kind: str
    text: str


MAPPED = Mistake(
    "palette",
    "its palette has the data set's colours in another order, so its pixels were read by colour",
)


_AS_GREY = f"save the classes as 8-bit grey, or build them with {COLORMAP}"
# What to say if the values of the other reading of a label are classes.
_READINGS = {
    "scaled": "decoders scale grey of fewer bits to 0 to 255 and see these, though the samples as "
    f"stored, {{other}}, would be classes; {_AS_GREY}; masks of two values need --binary 127",
    "levels": "these are the greys of its palette, which decoders see, though its indices, "
    f"{{other}}, would be classes; {_AS_GREY}; masks of two values need --binary 127",
    "indices": "these are indices into a palette with colours, though only its greys occur, and "
    f"their levels, {{other}}, would be classes; {_AS_GREY}",
}


def refusal(label: Label, layout: Layout) -> ImageError | None:
    """Return why a label is wrong, or None if it is right.

    Every value must be a class index or the ignore value, in only one of the label's readings.
    """
    classes, counts = len(layout.classes), label.counts
    wrong = sorted(value for value in counts if value >= classes and value != layout.ignore)
    fits = all(value < classes or value == layout.ignore for value in label.other)
    other = ", ".join(map(str, sorted(label.other)[:5]))
    doubt = _READINGS[label.reading].format(other=other) if label.reading and fits else ""
    if not wrong and not (doubt and (label.reading == "indices" or layout.bits == 16)):
        return None
    if not wrong:
        listed = ", ".join(map(str, sorted(counts)[:5]))
        return ImageError(f"found label values {listed}: {doubt}", "palettes")
    expected = f"expected classes 0 to {classes - 1}"
    if layout.ignore is not None:
        expected += f" and {layout.ignore} for ignore"
    listed = ", ".join(f"{value} ({counts[value]:,} pixels)" for value in wrong[:5])
    if len(wrong) > 5:
        listed += f" and {len(wrong) - 5} more"
    mistake = Mistake("values", doubt) if doubt else _of_values(counts, wrong, layout)
    mistake = mistake or of_plane(label.plane)
    remedy = f"map the label's values to class indices, or build it with {COLORMAP}"
    kind, text = mistake or Mistake("values", remedy)
    return ImageError(f"found label values {listed}, {expected}: {text}", kind)


def _of_values(counts: Mapping[int, int], wrong: Sequence[int], layout: Layout) -> Mistake | None:
    known = layout.mistake(counts.keys())
    if known:
        return Mistake(*known)
    if counts.keys() <= {0, 255}:
        return Mistake(
            "binary-255",
            "this is a mask of two values, not of class indices; map 255 to 1, or build it with "
            "dsbuild pairs --binary 127",
        )
    if wrong == [len(layout.classes)]:
        void = (
            f"if {wrong[0]} marks pixels to ignore, build it with dsbuild pairs --ignore {wrong[0]}"
        )
        if 0 in counts:
            first = "if 0 is a background without a name in the list, put that name first"
            return Mistake("values", f"{first}; {void}")
        return Mistake("one-based", f"classes seem to be counted from 1: {FROM_1}; {void}")
    return None


def of_plane(plane: np.ndarray) -> Mistake | None:
    """Return the mistake that the arrangement of a label's values shows, or None.

    `plane` holds class indices, (h, w). Values between those of their neighbours come from
    interpolation, or from JPEG.
    """
    changes = rising = turning = 0
    kind = np.int16 if plane.dtype == np.uint8 else np.int32
    for rows in (plane, plane.T):
        steps = np.sign(np.diff(rows.astype(kind), axis=1))
        pairs = steps[:, :-1] * steps[:, 1:]
        changes += int(np.count_nonzero(steps))
        rising += int(np.count_nonzero(pairs > 0))
        turning += int(np.count_nonzero(pairs < 0))
    if rising < 30 or rising < _SMOOTH * changes:
        return None
    if changes > _NOISE * plane.size if turning > rising else _in_layers(plane):
        return None
    if turning > rising or _in_blocks(plane):
        return Mistake(
            "jpeg",
            "its values ripple around edges, so the mask was once saved as JPEG; export it again, "
            "as PNG all the way",
        )
    return Mistake(
        "interpolated",
        "values between classes lie along edges, so the mask was resized with interpolation; "
        "resize the original by nearest neighbour",
    )


def _in_layers(plane: np.ndarray) -> bool:
    """Tell whether classes surround one another in order, as a border surrounds an object.

    With few classes a resized mask looks the same, but its classes also lie elsewhere.
    """
    by_one = rising = 0
    thin = np.zeros(plane.shape, bool)
    for rows, middles in ((plane, thin), (plane.T, thin.T)):
        steps: np.ndarray = np.diff(rows.astype(np.int32), axis=1)
        continues = steps[:, :-1] * steps[:, 1:] > 0
        single = np.abs(steps[:, :-1]) + np.abs(steps[:, 1:]) == 2
        by_one += int(np.count_nonzero(continues & single))
        rising += int(np.count_nonzero(continues))
        middles[:, 1:-1] |= continues
    if by_one < _LAYERS * rising:
        return False
    between = np.unique(plane[thin])
    return len(between) > 2 or 2 * np.count_nonzero(thin) > np.isin(plane, between).sum()


def _in_blocks(plane: np.ndarray) -> bool:
    if min(plane.shape) < 128:
        return False
    aligned, shifted = (_uneven(plane[at:, at:]) for at in (0, 4))
    return shifted > _BLOCKS * aligned


def _uneven(plane: np.ndarray) -> float:
    """Return the share of blocks of 8 x 8 pixels with more than one value."""
    height, width = (side // 8 for side in plane.shape)
    blocks = plane[: height * 8, : width * 8].reshape(height, 8, width, 8)
    return float((blocks.max((1, 3)) != blocks.min((1, 3))).mean())


def of_constant(counts: Mapping[int, int], layout: Layout) -> Mistake | None:
    """Return the mistake of a label with one value, background or ignore, or None."""
    if counts.keys() == {0} != {layout.ignore}:
        return Mistake("all-background", f"found nothing but {layout.classes[0]} (0) in it")
    if layout.ignore is not None and counts.keys() == {layout.ignore}:
        return Mistake("all-ignore", f"found nothing but the ignore value {layout.ignore} in it")
    return None


def of_alpha(alpha: np.ndarray, image: np.ndarray) -> Mistake | None:
    """Return the mistake of an alpha that is the luma of its image (h, w, 3), or None.

    In real mattes at most 0.04 of what is not transparent is as bright as the image, and most of
    it is fully opaque; in mattes made from the cut-out's colours at least 0.75 is.
    """
    there = alpha > 0
    if alpha.shape != image.shape[:2] or there.sum() < max(100, alpha.size // 100):
        return None
    if len(images.histogram(alpha)) <= _FEW:
        return None  # classes: their numbers are close to the luma of a dark picture
    luma = image[there].astype(np.float64) @ (0.299, 0.587, 0.114)
    values = alpha[there].astype(np.float64)
    if np.mean(np.abs(values - luma) <= 12) < 0.6 or np.mean(values == 255) > 0.5:
        return None
    return Mistake(
        "alpha-luma",
        "its values are the brightness of the photo, so the colours of the cut-out were read "
        "instead of its alpha; export the alpha channel",
    )


def swapped(image: bytes, label: bytes, path: str, layout: Layout) -> Mistake | None:
    """Return the mistake of an image that is a valid label of the layout when its label is not.

    That label must be a picture: a damaged mask is just a damaged mask.
    """
    try:
        if images.header(image).model in ("grey", "palette"):
            values = images.histogram(images.plane(image))
            if len(values) > _FEW:
                return None
        greens = images.decode(label, images.header(label))[..., 1]
        if len(images.histogram(greens)) <= _FEW:
            return None
        read = layout.read(image, path)
    except ImageError:
        return None
    if refusal(read, layout):
        return None
    return Mistake(
        "swapped",
        "the image is a mask and the label a picture; name the folders, or the columns of the "
        "list, the other way round",
    )
