"""The image policy: what a build may do to an image before storing it; by default nothing."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from dsbuild import fields
from dsbuild.errors import ImageError, PlanError
from dsbuild.fields import field

if TYPE_CHECKING:
    import numpy as np

    from dsbuild import images

EXIF = ("keep", "apply", "reject")
UNREADABLE = ("reject", "reencode")
SHRINK = 2  # version of shrinking; raised when the same size gives other pixels
TILE = 1  # version of cutting; raised when the same options give other records


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What may be done to images; each field's help describes it.

    Images that no field applies to are stored byte for byte. Raises PlanError for a value outside
    a field's bounds.
    """

    exif: str = field(
        "keep",
        "EXIF orientation. keep: store the bytes as they are, as TensorFlow reads them. "
        "apply: rotate the pixels. reject: refuse images that have one.",
        choices=EXIF,
    )
    unreadable: str = field(
        "reject",
        "Images that TensorFlow cannot read (CMYK, 16 bits, TIFF, WebP, BMP, ...).",
        choices=UNREADABLE,
    )
    max_side: int | None = field(
        None,
        "Shrink larger images to this longer side, by area; labels by nearest neighbour.",
        least=1,
    )
    jpeg_quality: int | None = field(
        None,
        "JPEG quality for images that are re-encoded. Default: PNG, which is lossless.",
        least=1,
        most=100,
    )
    tile: int | None = field(
        None,
        "Cut images and labels into tiles of this many pixels per side, one record each. A smaller "
        "image stays whole.",
        least=16,
        most=16384,
        omitted=True,
    )
    overlap: int = field(
        0, "Pixels that neighbouring tiles share, with --tile.", least=0, omitted=True
    )

    def __post_init__(self) -> None:
        fields.check(self, PlanError)
        if self.tile is None and self.overlap:
            raise PlanError(f"overlap: found {self.overlap}, but no tiles; expected --tile N too")
        if self.tile is not None and self.overlap >= self.tile:
            raise PlanError(f"overlap: found {self.overlap}, expected less than --tile {self.tile}")
        encodes = self.exif == "apply" or self.unreadable == "reencode"
        encodes = encodes or self.max_side is not None or self.tile is not None
        if self.jpeg_quality is not None and not encodes:
            raise PlanError(
                f"jpeg_quality: found {self.jpeg_quality}, but nothing is re-encoded; expected "
                "--exif apply, --unreadable reencode, --max-side N or --tile N too"
            )

    @property
    def plain(self) -> "Policy":
        """The policy by which images are admitted, but neither shrunk nor cut."""
        return dataclasses.replace(self, max_side=None, jpeg_quality=None, tile=None, overlap=0)

    def document(self) -> dict[str, Any]:
        """Return the policy's JSON form; it has a version if images are shrunk or cut."""
        shrunk = {"shrink": SHRINK} if self.max_side is not None else {}
        cut = {"cut": TILE} if self.tile is not None else {}
        return fields.document(self) | shrunk | cut

    @classmethod
    def load(cls, document: Mapping[str, Any]) -> "Policy":
        """Return the policy of a JSON form, ignoring its versions."""
        versions = ("shrink", "cut")
        return cls(**{name: value for name, value in document.items() if name not in versions})


class Admitted(NamedTuple):
    """An image as it is stored.

    Attributes:
      data, head: its bytes and what they say.
      size: (height, width) that its label must have, before shrinking.
      changes: what was done to it: `converted`, `turned`, `shrunk`.
      orientation: the EXIF orientation in which viewers show it, if its pixels were not turned.
      pixels: if it will be cut into tiles, uint8 (h, w) or (h, w, c); `data` is then the source's.
    """

    data: bytes
    head: "images.Header"
    size: tuple[int, int]
    changes: tuple[str, ...] = ()
    orientation: int = 1
    pixels: "np.ndarray | None" = None

    def fit(self, plane: "np.ndarray", soft: bool = False) -> "np.ndarray":
        """Return a plane of the label at the stored size: classes by nearest, `soft` by area."""
        from dsbuild import images

        size = (self.head.height, self.head.width)
        if plane.shape == size:
            return plane
        return images.shrink(plane, size) if soft else images.pick(plane, size)


def admit(data: bytes, policy: Policy) -> Admitted:
    """Return an image as a policy stores it; raise ImageError if the policy refuses it."""
    from dsbuild import images

    pixels, changes = None, list[str]()
    reason: str | None
    convertible = images.foreign(data)
    if convertible:
        reason = images.unread(data)
    else:
        head = images.header(data)
        orientation, size = head.orientation, (head.height, head.width)
        reason = images.refusal(head)
        convertible = images.convertible(head)
    if reason and policy.unreadable == "reject":
        remedy = ", or let --unreadable reencode do so" if convertible else ""
        raise ImageError(reason + remedy)
    if reason:
        pixels, orientation = images.convert(data)
        size = pixels.shape[:2]
        changes.append("converted")
    if orientation != 1 and policy.exif == "reject":
        raise ImageError(
            f"found an image with EXIF orientation {orientation}, which --exif reject refuses: "
            "viewers rotate it, but TensorFlow does not; rotate its pixels, or use --exif keep or "
            "apply",
            kind="exif",
        )
    turned = orientation != 1 and policy.exif == "apply"
    if turned:
        pixels = images.turn(images.own(data, head) if pixels is None else pixels, orientation)
        size = pixels.shape[:2]
        changes.append("turned")
    if policy.max_side is not None and max(size) > policy.max_side:
        pixels = images.own(data, head) if pixels is None else pixels
        pixels = images.shrink(pixels, _within(size, policy.max_side))
        changes.append("shrunk")
    if policy.tile is not None:
        pixels = images.own(data, head) if pixels is None else pixels
        head = images.of_pixels(pixels) if changes else head
        return Admitted(data, head, size, tuple(changes), 1 if turned else orientation, pixels)
    if pixels is not None:
        data = images.encode(pixels, policy.jpeg_quality)
        head = images.header(data)
    return Admitted(data, head, size, tuple(changes), 1 if turned else orientation)


def _within(size: tuple[int, int], most: int) -> tuple[int, int]:
    """Return a size with the same ratio whose longer side is `most`; rounded, at least 1."""
    longer = max(size)
    height, width = (max(1, (2 * side * most + longer) // (2 * longer)) for side in size)
    return height, width


def same_size(label: tuple[int, ...], image: Admitted) -> None:
    """Raise ImageError if a label has another size, (h, w), than its image."""
    if label == image.size:
        return
    height, width = image.size
    found = f"found a label of {label[1]} x {label[0]} pixels"
    expected = f"expected the image's {width} x {height}"
    if label == (width, height) and image.head.orientation >= 5:
        raise ImageError(
            f"{found}, {expected} as stored: the image has EXIF orientation "
            f"{image.head.orientation}, and the label was drawn on the rotated view; build with "
            "--exif apply, or rotate the label back",
            kind="size",
        )
    if label == (width, height) and "turned" in image.changes:
        raise ImageError(
            f"{found}, {expected} after its EXIF orientation is applied: the label was drawn on "
            "the pixels as stored; build with --exif keep, or rotate the label",
            kind="size",
        )
    raise ImageError(f"{found}, {expected}; is it the label of another image?", kind="size")
