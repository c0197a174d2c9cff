"""What an audit may find: findings, and the kinds that they are counted by."""

from dataclasses import dataclass

# Kind -> what it is, in the order in which they are shown. Of a kind that makes a sample
# no record the finding is fatal, and so is one that tells that a whole split is wrong; the
# others only warn.
KINDS = {
    "image-missing": "images that are listed and not there",
    "label-missing": "images without a label",
    "names": "names that cannot be stored",
    "same-name": "files of one name",
    "label-alone": "labels without an image",
    "stray": "files that belong to no sample",
    "case": "ids that differ only in case",
    "two-splits": "ids in two splits",
    "same-content": "images of equal content",
    "published": "another length than published",
    "classes": "classes that are not everywhere",
    "source": "what the labels are made of",
    "unreadable": "files that cannot be stored",
    "exif": "images with an EXIF orientation",
    "size": "labels of another size than their image",
    "swapped": "image and label are swapped",
    "luma": "palette read as luma",
    "label-ids": "labelIds where trainIds belong",
    "colours": "colours where class indices belong",
    "alpha-mask": "masks that lie in the alpha channel",
    "palette": "palettes in another order, read by their colours",
    "palettes": "palettes of which it is not known what they mean",
    "jpeg": "masks compressed as JPEG",
    "interpolated": "masks resized with interpolation",
    "binary-255": "masks of 0 and 255 read as class indices",
    "one-based": "classes counted from 1",
    "no-alpha": "mattes without alpha",
    "alpha-luma": "luma of the cut-out read as alpha",
    "values": "label values that are no class",
    "all-background": "labels that are all background",
    "all-ignore": "labels that are all ignore",
    "one-value": "labels that are all of one value",
}
# Of these kinds a whole split may be, and be right: --accept KIND says so.
ACCEPTABLE = ("palettes", "binary-255", "all-background", "all-ignore", "one-value")


@dataclass(frozen=True)
class Finding:
    """Something about a split that its user should know before it is built.

    Attributes:
      kind: a key of `KINDS`.
      split: where it was found.
      text: sample or file, what was found, what was expected, what to do.
      fatal: whether it keeps a sample from becoming a record, or without a key the split.
      key: of the sample that it is about; empty where it is about none.
    """

    kind: str
    split: str
    text: str
    fatal: bool = False
    key: str = ""
