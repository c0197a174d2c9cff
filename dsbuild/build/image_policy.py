"""The image policy: what a build may do to an image before storing it; by default nothing."""

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from dsbuild import fields
from dsbuild.errors import ImageError, PlanError
from dsbuild.fields import field
from dsbuild.format import tiles

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
    tile_overlap: int = field(
        0, "Pixels that neighbouring tiles share, with --tile.", least=0, omitted=True
    )

    depth: int = field(
        8,
        "Bits per channel of the stored images. 16: store 16-bit PNGs and TIFFs of 1, 3 or 4 bands "
        "as 16-bit PNG; all images must have 16 bits.",
        choices=(8, 16),
        omitted=True,
    )
    scale: str = field(
        "",
        "Scale images of 16 bits per channel from this range to 8 bits, such as 0:4095.",
        what="LOW:HIGH",
        omitted=True,
    )

    def __post_init__(self) -> None:
        fields.check(self, PlanError)
        _ = self.range
        for name in ("scale", "jpeg_quality"):
            if self.depth == 16 and getattr(self, name):
                raise PlanError(
                    f"{name}: found {getattr(self, name)} with --depth 16, which stores all 16 "
                    "bits; leave one of them out"
                )
        if self.tile is None and self.tile_overlap:
            raise PlanError(
                f"tile_overlap: found {self.tile_overlap}, but no tiles; expected --tile N too"
            )
        if self.tile is not None and self.tile_overlap >= self.tile:
            raise PlanError(
                f"tile_overlap: found {self.tile_overlap}, expected less than --tile {self.tile}"
            )
        encodes = self.exif == "apply" or self.unreadable == "reencode" or bool(self.scale)
        encodes = encodes or self.max_side is not None or self.tile is not None
        if self.jpeg_quality is not None and not encodes:
            raise PlanError(
                f"jpeg_quality: found {self.jpeg_quality}, but nothing is re-encoded; expected "
                "--exif apply, --unreadable reencode, --max-side N, --tile N or "
                "--scale LOW:HIGH too"
            )

    @property
    def range(self) -> tuple[int, int] | None:
        """The range of 16-bit values that becomes 0 to 255, None if nothing is scaled."""
        if not self.scale:
            return None
        match = re.fullmatch(r"(\d{1,5}):(\d{1,5})", self.scale)
        low, high = map(int, match.groups()) if match else (0, 0)
        if not low < high <= 0xFFFF:
            raise PlanError(
                f"scale: found {self.scale!r}, expected LOW:HIGH within 0 to 65535, such as 0:4095"
            )
        return low, high

    @property
    def plain(self) -> "Policy":
        """The policy by which images are admitted, but neither shrunk nor cut."""
        return dataclasses.replace(
            self, max_side=None, jpeg_quality=None, tile=None, tile_overlap=0
        )

    def grid(self, size: tuple[int, int]) -> list[tiles.Tile]:
        """Return the tiles of an image of this size, (h, w); one if it is not cut."""
        return tiles.grid(size, self.tile or max(size), self.tile_overlap)

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


class _Opened(NamedTuple):
    """An image as its file gives it.

    Attributes:
      head: what the bytes say; None if they are not stored as they are.
      pixels: in their own channels; None if they are not decoded yet.
      size: (height, width).
      orientation: of EXIF.
      change: what was done to it, or nothing.
    """

    head: "images.Header | None"
    pixels: "np.ndarray | None"
    size: tuple[int, int]
    orientation: int
    change: str = ""


def _open(data: bytes, policy: Policy) -> _Opened:
    """Open an image; raise ImageError if the policy refuses it."""
    from dsbuild import images

    wide = _open_wide(data, policy)
    if wide:
        return wide
    reason: str | None
    convertible = images.foreign(data)
    if convertible:
        reason = images.unread(data)
    else:
        head = images.header(data)
        reason = images.refusal(head)
        if not reason:
            return _Opened(head, None, (head.height, head.width), head.orientation)
        convertible = images.convertible(head)
    if policy.unreadable == "reject":
        remedy = ", or let --unreadable reencode do so" if convertible else ""
        wider = images.deep.look(data)
        if wider and not wider.reason:
            remedy = ", or store all 16 bits with --depth 16, or scale them with --scale LOW:HIGH"
        raise ImageError(f"{reason}{remedy}")
    pixels, orientation = images.convert(data)
    return _Opened(None, pixels, pixels.shape[:2], orientation, "converted")


def _open_wide(data: bytes, policy: Policy) -> _Opened | None:
    """Open an image of 16 bits per channel if the policy stores or scales it, else return None.

    Raises ImageError for another image if all must have 16 bits.
    """
    from dsbuild import images

    if policy.depth == 8 and not policy.scale:
        return None
    found = images.deep.look(data)
    if found is None:
        if policy.depth == 8 or not (images.foreign(data) or images.header(data)):
            return None
        raise ImageError(
            "found an image with fewer than 16 bits per channel, expected 16, since --depth 16 "
            "stores images of one depth; build such images on their own, without --depth 16"
        )
    if found.reason:
        raise ImageError(found.reason)
    head = found.head
    size, orientation = ((head.height, head.width), head.orientation) if head else ((0, 0), 1)
    if policy.range is None and head:
        return _Opened(head, None, size, orientation)
    pixels = images.deep.read(data, found)
    if policy.range is None:
        return _Opened(None, pixels, pixels.shape[:2], orientation, "converted")
    if pixels.shape[2:] == (4,):
        raise ImageError(
            "found 4 bands of 16 bits, expected 1 or 3 for --scale: readers of 8-bit images drop "
            "the fourth as alpha; keep all with --depth 16"
        )
    small = images.deep.scaled(pixels, *policy.range)
    return _Opened(None, small, small.shape[:2], orientation, "scaled")


def admit(data: bytes, policy: Policy) -> Admitted:
    """Return an image as a policy stores it; raise ImageError if the policy refuses it."""
    from dsbuild import images

    head, pixels, size, orientation, change = _open(data, policy)
    changes = [change] if change else []
    if orientation != 1 and policy.exif == "reject":
        raise ImageError(
            f"found an image with EXIF orientation {orientation}, which --exif reject refuses: "
            "viewers rotate it, but TensorFlow does not; rotate its pixels, or use --exif keep or "
            "apply",
            kind="exif",
        )
    turned = orientation != 1 and policy.exif == "apply"
    shrunk = policy.max_side is not None and max(size) > policy.max_side
    if head and (turned or shrunk or policy.tile is not None):
        pixels = images.own(data, head)
    if turned and pixels is not None:
        pixels = images.turn(pixels, orientation)
        size = pixels.shape[:2]
        changes.append("turned")
    if shrunk and pixels is not None:
        pixels = images.shrink(pixels, _within(size, policy.max_side or 1))
        changes.append("shrunk")
    if pixels is not None and policy.tile is None:
        data, head = images.deep.encode(pixels, policy.jpeg_quality), None
        pixels = None
    if head is None or changes:
        head = images.header(data) if pixels is None else images.of_pixels(pixels)
    return Admitted(data, head, size, tuple(changes), 1 if turned else orientation, pixels)


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
