"""One record's image, label and extras, decoded and checked against its other features."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from dsbuild import extras, images
from dsbuild.errors import ImageError
from dsbuild.extras import Chosen
from dsbuild.format import panoptic
from dsbuild.format.aligned import names as planes_in
from dsbuild.format.example import Parsed
from dsbuild.format.manifest import Statistics
from dsbuild.images import planes
from dsbuild.validate.rules import Expected

_FORMATS = {"jpg": "jpeg"}  # as some writers spell it


@dataclass
class Content:
    """What a record holds: the image's header, its class, or its label's pixels by value.

    A panoptic label also has a number of segments by value.
    """

    head: images.Header | None = None
    number: int | None = None
    counts: Mapping[int, int] = field(default_factory=dict)
    segments: Mapping[int, int] = field(default_factory=dict)

    @property
    def values(self) -> list[int]:
        """The label values that occur."""
        return [*self.counts, *([] if self.number is None else [self.number])]

    def statistics(self, ignore: int | None, labels: int) -> Statistics:
        """Return what a build counts for the record; `labels` is 1 if it has a label, else 0."""
        if self.head is None:
            return Statistics(labels=labels)
        ignored = 0 if ignore is None else self.counts.get(ignore, 0)
        labelled = sum(self.counts.values()) - ignored
        return Statistics(
            pixels=self.counts,
            images=dict.fromkeys(self.values, 1),
            around=dict.fromkeys(self.counts, labelled),
            heights=(self.head.height, self.head.height),
            widths=(self.head.width, self.head.width),
            formats={self.head.format: 1},
            rotated=int(self.head.orientation != 1),
            labels=labels,
            segments=self.segments,
        )


def problems(
    values: Mapping[str, Parsed], expected: Expected, content: Content, again: bool
) -> Iterator[tuple[str, str]]:
    """Yield the kind and text of each problem in a record's values by role.

    Fills `content` with what the record holds; with `again`, computes its extras again.
    """
    data = _bytes(values, "image")
    size = None
    if data is not None:
        try:
            head = content.head = images.header(data)
            size = (head.height, head.width)
            images.check(data, head, expected.depth)
        except ImageError as error:
            yield "image", str(error)
        else:
            yield from (("header", text) for text in _of_header(values, head))
    for name in planes_in(values, tuple(extras.EXTRAS)):
        yield from _of_plane(name, _bytes(values, f"{name}.encoded"), size)
    number = _number(values, "class")
    if number is not None:
        content.number = number
        if expected.classes is not None and not 0 <= number < expected.classes:
            yield "values", f"found class {number}, expected 0 to {expected.classes - 1}"
    label = _bytes(values, "label")
    if label is None:
        return
    try:
        if _bytes(values, "label.format") == panoptic.RAW:
            plane = _of_panoptic(label, values, size, expected, content)
        else:
            plane = _plane(label, expected.bits)
    except ImageError as error:
        yield "label", str(error)
        return
    if size not in (None, plane.shape):
        label_size, image_size = (f"{width} x {height}" for height, width in (plane.shape, size))
        yield "label", f"found a label of {label_size} pixels, expected the image's {image_size}"
    counts = content.counts = images.histogram(plane)
    yield from _of_values(counts, expected)
    if again and expected.extras and data is not None and size is not None:
        yield from _of_extras(values, data, plane, expected.extras)


def _of_plane(
    name: str, data: bytes | None, size: tuple[int, int] | None
) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with a plane of a file of its own."""
    if data is None:
        return
    try:
        shape = planes.decode(data).shape[:2]
    except ImageError as error:
        yield "extra-feature", f"{name}: {error}"
        return
    if size not in (None, shape):
        yield "extra-feature", f"found a plane {name} of {shape[1]} x {shape[0]} pixels"


def _bytes(values: Mapping[str, Parsed], role: str) -> bytes | None:
    value = values.get(role)
    return value[0] if isinstance(value, list) and len(value) == 1 else None


def _number(values: Mapping[str, Parsed], role: str) -> int | None:
    value = values.get(role)
    return int(value[0]) if isinstance(value, np.ndarray) and len(value) == 1 else None


def _of_header(values: Mapping[str, Parsed], head: images.Header) -> Iterator[str]:
    stored = _bytes(values, "format")
    if stored is not None:
        text = stored.decode(errors="replace").lower()
        if _FORMATS.get(text, text) != head.format:
            yield f"found format {text!r}, but the image is a {head.format.upper()}"
    for role in ("height", "width", "channels"):
        number = _number(values, role)
        if number is not None and number != getattr(head, role):
            yield f"found {role} {number}, but the image has {getattr(head, role)}"


def _plane(data: bytes, bits: tuple[int, ...]) -> images.Plane:
    """Return the class indices of a stored label of these bits, as every reader sees them."""
    plane = images.plane(data)
    head = images.header(data)
    reason = images.refusal(dataclasses.replace(head, bits=8) if head.bits == 16 else head)
    if reason:
        raise ImageError(f"label: {reason}")
    if head.model != "grey" or head.bits not in bits:
        expected = " or ".join(map(str, bits))
        raise ImageError(
            f"found a label PNG of {head.bits} bits in {head.model}, expected {expected} bits in "
            "grey: TensorFlow would not decode it to its class indices; build it again"
        )
    return plane


def _of_panoptic(
    data: bytes,
    values: Mapping[str, Parsed],
    size: tuple[int, int] | None,
    expected: Expected,
    content: Content,
) -> images.Plane:
    """Return the class of every pixel of a panoptic label; note how many segments it has.

    Raises ImageError for a size other than the image's, a value beyond all classes, and void or
    stuff with an instance.
    """
    divisor = _number(values, "label.divisor")
    if size is None or divisor is None or divisor < 2:
        raise ImageError("found a panoptic label without an image or a divisor; build it again")
    made = panoptic.decode(data, size)
    classes = panoptic.semantic(made, divisor)
    for one in panoptic.segments(made, divisor):
        if one.instance and expected.things is not None and one.label not in expected.things:
            raise ImageError(
                f"found the value {one.value} ({one.area:,} pixels), instance {one.instance} of "
                f"class {one.label}; expected instances of things alone; build it again"
            )
    content.segments = panoptic.counted(made, divisor, expected.ignore)
    return classes


def _of_values(counts: Mapping[int, int], expected: Expected) -> Iterator[tuple[str, str]]:
    if expected.classes is None:
        return
    wrong = [v for v in counts if v >= expected.classes and v != expected.ignore]
    if wrong:
        listed = ", ".join(f"{value} ({counts[value]:,} pixels)" for value in wrong[:5])
        ignore = "" if expected.ignore is None else f" and {expected.ignore} for ignore"
        yield (
            "values",
            f"found label values {listed}, expected classes 0 to {expected.classes - 1}{ignore}",
        )


def _of_extras(
    values: Mapping[str, Parsed], image: bytes, label: images.Plane, chosen: Sequence[Chosen]
) -> Iterator[tuple[str, str]]:
    pixels = images.deep.narrowed(images.deep.pixels(image))
    computed = extras.features(chosen, {"image": pixels, "label": label})
    for role, value in computed.items():
        stored = values.get(role)
        if isinstance(value, bytes):
            same = stored == [value]
        else:
            same = isinstance(stored, np.ndarray) and np.array_equal(stored, value)
        if not same:
            yield "extra-feature", f"the feature of role {role!r} differs when computed again"
