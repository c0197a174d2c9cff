"""Findings of an audit, and the kinds by which they are counted."""

from dataclasses import dataclass

# Kind -> what it means, in the order of display. A finding that keeps a sample from becoming a
# record is fatal, and so is one that shows that a whole split is wrong; all others are warnings.
KINDS = {
    "image-missing": "images that are listed but missing",
    "label-missing": "images without a label",
    "plane-missing": "planes that are missing",
    "names": "names that cannot be stored",
    "same-name": "files that share a name",
    "label-alone": "labels without an image",
    "stray": "files that belong to no sample",
    "case": "ids that differ only in case",
    "two-splits": "ids in two splits",
    "group-crosses": "groups of pictures in two splits",
    "undivided": "a --val-fraction that divides nothing",
    "same-content": "images with equal content",
    "published": "splits of another length than published",
    "classes": "classes missing from a split",
    "source": "what the labels are made of",
    "unreadable": "files that cannot be stored",
    "exif": "images with an EXIF orientation",
    "plane": "planes that cannot be read or do not fit their image",
    "size": "labels whose size differs from their image",
    "swapped": "images and labels that are swapped",
    "luma": "palette read as luma",
    "label-ids": "labelIds in place of trainIds",
    "colours": "colours in place of class indices",
    "alpha-mask": "masks in the alpha channel",
    "palette": "palettes in another order, read by their colours",
    "palettes": "palettes with an unclear meaning",
    "jpeg": "masks compressed as JPEG",
    "interpolated": "masks resized with interpolation",
    "binary-255": "masks of 0 and 255 read as class indices",
    "ignore-255": "255 read as a class of many",
    "one-based": "classes counted from 1",
    "zero-twice": "labels whose 0 seems to be ignored already",
    "no-alpha": "mattes without alpha",
    "alpha-luma": "luma of the cut-out read as alpha",
    "values": "label values without a class",
    "all-background": "labels that are all background",
    "all-ignore": "labels that are all ignore",
    "one-value": "labels that all have one value",
}
# A whole split may rightly be of these kinds: --accept KIND says so.
ACCEPTABLE = (
    "palettes",
    "binary-255",
    "ignore-255",
    "all-background",
    "all-ignore",
    "one-value",
    "zero-twice",
)


@dataclass(frozen=True)
class Finding:
    """Something that a user should know about a split before building it.

    Attributes:
      kind: a key of `KINDS`.
      split: where it was found.
      text: sample or file, what was found, what was expected, what to do.
      fatal: whether it keeps the sample, or without a key the whole split, from being built.
      key: of the sample that it is about; empty if it is about none.
    """

    kind: str
    split: str
    text: str
    fatal: bool = False
    key: str = ""
