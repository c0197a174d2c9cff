"""Admit images by a policy: what is stored of each, and what was done to it."""

from typing import TYPE_CHECKING, NamedTuple

from dsbuild.build.policy import Policy as Policy
from dsbuild.errors import ImageError

if TYPE_CHECKING:
    import numpy as np

    from dsbuild import images


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
            upper = ", or keep the upper 8 with --unreadable reencode" if convertible else ""
            remedy = f", store all 16 bits with --depth 16, scale them with --scale LOW:HIGH{upper}"
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
