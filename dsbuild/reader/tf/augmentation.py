"""The settings of DeepLab's augmentation, checked once."""

from dataclasses import dataclass

from dsbuild import fields
from dsbuild.errors import PlanError
from dsbuild.fields import field
from dsbuild.format import planes

_LONGEST = (1 << 20) - 1  # pixels of a side
SOFT = ("alpha", "distance", "laplacian", "sobel")


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """What is done to samples; the defaults are DeepLab's for Pascal VOC.

    Each field says what it is by its help. Raises PlanError for a value that is not within a
    field's bounds.
    """

    crop: tuple[int, int] | None = field(
        (513, 513),
        "Height and width of the result. None: keep the size that the scale gives, without padding "
        "or cropping.",
        least=1,
        most=_LONGEST,
        what="height and width",
    )
    scales: tuple[float, float] = field(
        (0.5, 2.0), "Smallest and largest factor for the size.", above=0
    )
    scale_step: float = field(
        0.25, "Step between factors, all equally likely; 0 for any factor in between.", least=0
    )
    flip: float = field(
        0.5, "Probability that an image is mirrored, left to right.", least=0, most=1
    )
    fill: tuple[float, float, float] = field(
        (127.5, 127.5, 127.5),
        "R, G and B for padding, such as the mean that a model subtracts.",
        least=0,
        most=255,
    )
    ignore: int | None = field(
        None,
        "Value for padding a label; other planes are padded with 0. None: 255, or 65535 for labels "
        "of 16 bits.",
        least=0,
        most=65535,
    )
    resize: tuple[int, int, int] | None = field(
        None,
        "Smaller side, largest side and n, applied first: the smaller side gets its length, unless "
        "the larger one would exceed the largest side, which then decides; then both sides are "
        "raised to a multiple of n plus 1 (n = 1: unchanged). The largest side itself is lowered "
        "to a multiple of n plus 1 before. As DeepLab's `resize_to_range`.",
        least=1,
        most=_LONGEST,
    )
    image_range: tuple[int, int] = field(
        (0, 65535),
        "Values of images of 16 bits that become 0 and 255; those beyond become 0 or 255, too.",
        least=0,
        most=65535,
    )
    soft: tuple[str, ...] = field(SOFT, "Names of planes that are interpolated bilinearly.")
    brightness: float = field(
        0.0, "Largest shift of all channels, as a share of 255.", least=0, most=1
    )
    contrast: float = field(
        0.0, "Largest change of the factor 1, about each channel's mean.", least=0, most=1
    )
    saturation: float = field(0.0, "Largest change of the factor 1, in HSV.", least=0, most=1)
    hue: float = field(
        0.0, "Largest turn of the hue, where 0.5 is half the circle.", least=0, most=0.5
    )
    rotation: float = field(
        0.0,
        "Largest angle in degrees, either way, by which the crop is rotated about its centre; "
        "corners from outside are filled.",
        least=0,
        most=180,
    )
    blur: float = field(
        0.0,
        "Largest standard deviation of a Gaussian blur of the image, in pixels of the crop.",
        least=0,
        most=50,
    )
    cat_max_ratio: float = field(
        1.0,
        "Largest share of one class in a crop, of pixels that are not ignored: otherwise another "
        "place is tried, up to ten times, as in MMSegmentation; 1 for any share.",
        above=0,
        most=1,
    )

    def __post_init__(self) -> None:
        fields.check(self, PlanError)
        low, high = self.scales
        self._hold("scales", low <= high, "the smaller factor first")
        if self.scale_step:
            steps = (high - low) / self.scale_step
            expected = f"0 or a step that divides the range of scales, {low} to {high}"
            self._hold("scale_step", abs(steps - round(steps)) <= 1e-6, expected)
        if self.resize:
            expected = "a smaller side that is at most the largest side"
            self._hold("resize", self.resize[0] <= self.resize[1], expected)
        dark, bright = self.image_range
        self._hold("image_range", dark < bright, "the smaller value first")
        planes = {"image", "label"}.isdisjoint(self.soft)
        self._hold("soft", planes, "names of planes other than image and label")

    def padding(self, most: int) -> int:
        """Return the value for padding labels whose type holds at most `most`.

        Raises PlanError for a value that it does not hold.
        """
        if self.ignore is None:
            return planes.unnamed(16 if most == planes.unnamed(16) else 8)
        self._hold("ignore", self.ignore <= most, f"0 to {most}, as the type of the labels holds")
        return self.ignore

    def _hold(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            fields.refuse(self, name, expected, PlanError)
