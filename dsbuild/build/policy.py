"""What a build may do to an image before it stores it, as options; by default nothing."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dsbuild import fields
from dsbuild.errors import PlanError
from dsbuild.fields import field
from dsbuild.format import tiles

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
        found = fields.span(self.scale)
        if found is None:
            raise PlanError(
                f"scale: found {self.scale!r}, expected LOW:HIGH within 0 to 65535, such as 0:4095"
            )
        return found

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
