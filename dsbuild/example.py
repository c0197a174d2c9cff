"""One sample to one record: the pure core of every build.

The one place that reads a sample's files, and that adds its key to an error.
"""

from typing import NamedTuple

import google_crc32c

from dsbuild import extras, images, storage, wire
from dsbuild.errors import ImageError, SampleError, StorageError
from dsbuild.layouts import Layout, Sample
from dsbuild.manifest import Statistics
from dsbuild.recipe import Recipe

NOTHING = (None, None, None)


class Encoded(NamedTuple):
    """A record, what is to be counted of it, and its sources: size, mtime, crc32c of each."""

    record: bytes
    statistics: Statistics
    sources: tuple[int | None, ...]


class Rejected(SampleError):
    """A sample that is no record: the message, and beside it the parts of a reject.

    Attributes: `key`; `file`, relative to the root; `reason`; `sources` as in Encoded.
    """

    def __init__(self, message: str, key="", file="", reason="", sources=NOTHING * 2):
        super().__init__(message)
        self.key, self.file, self.reason, self.sources = key, file, reason, sources


def encode(sample: Sample, root: str, recipe: Recipe) -> Encoded:
    """Read a sample's files and return its record.

    Raises Rejected, which names the sample, the file, what was found, what was
    expected and what to do.
    """
    layout = recipe.layout
    sources: list[int | None] = [*NOTHING, *NOTHING]
    file = sample.image
    try:
        image = _read(storage.join(root, file), sources, 0)
        head = images.header(image)
        values = _image(image, head, recipe)
        counts = {}
        if sample.label is not None:
            file = sample.label
            data = _read(storage.join(root, file), sources, 3)
            label, counts = _label(data, file, head, layout, recipe.verify)
            values |= {"label": label, "label.format": b"png"}
    except (ImageError, StorageError) as error:
        path = storage.join(root, file)
        reason = str(error).removeprefix(f"{path}: ")
        message = f"sample {sample.key}: {path}: {reason}"
        for at, unread in ((0, sample.image), (3, sample.label)):
            # What was not read is stamped too, so that a mended file is noticed.
            if sources[at] is None and isinstance(unread, str):
                stamp = storage.stamp(storage.join(root, unread))
                sources[at : at + 2] = stamp or NOTHING[:2]
        raise Rejected(message, sample.key, file, reason, tuple(sources)) from error
    values["key"] = sample.key.encode()
    statistics = Statistics(
        pixels=counts,
        images=dict.fromkeys(counts, 1),
        heights=(head.height, head.height),
        widths=(head.width, head.width),
        formats={head.format: 1},
        rotated=int(head.orientation != 1),
        labels=int(sample.label is not None),
    )
    record = wire.serialize(recipe.schema.named(values))
    return Encoded(record, statistics, tuple(sources))


def checksum(data: bytes) -> int:
    """Return the crc32c by which a source's content is known again."""
    return google_crc32c.value(data)


def _read(path: str, sources: list[int | None], at: int) -> bytes:
    data, stamp = storage.read(path)
    sources[at : at + 3] = stamp.size, stamp.mtime_ns, checksum(data)
    return data


def _image(data: bytes, head: images.Header, recipe: Recipe) -> dict:
    """Return role -> value of what the image alone decides."""
    reason = images.refusal(head)
    if reason:
        raise ImageError(reason)
    derived = {}
    if recipe.extras:
        derived = extras.features(recipe.extras, images.decode(data, head))
    elif recipe.verify == "full":
        images.check(data, head)
    return {
        "image": data,
        "format": head.format.encode(),
        "height": head.height,
        "width": head.width,
        "channels": head.channels,
        **derived,
    }


def _label(
    data: bytes, path: str, image: images.Header, layout: Layout, verify: str
) -> tuple[bytes, dict[int, int]]:
    """Return the label as a grey PNG, and its histogram where it was to be decoded."""
    stored, size = None, None
    if layout.indexed(path) and data.startswith(images.PNG):
        head = images.header(data)
        stored, size = images.grey(data, head), (head.height, head.width)
        _same_size(size, image)
    if stored is not None and verify == "header":
        return stored, {}
    plane = layout.plane(data, path)
    _same_size(plane.shape, image)
    counts = images.histogram(plane)
    refused = refused_values(counts, layout)
    if refused:
        raise ImageError(refused)
    if stored is None:
        stored = images.write_png(plane)
    return stored, {} if verify == "header" else counts


def _same_size(label: tuple[int, ...], image: images.Header) -> None:
    if label == (image.height, image.width):
        return
    found = f"found a label of {label[1]} x {label[0]} pixels"
    expected = f"expected the image's {image.width} x {image.height}"
    if label == (image.width, image.height) and image.orientation >= 5:
        raise ImageError(
            f"{found}, {expected} as stored: the image carries EXIF orientation "
            f"{image.orientation}, and the label was drawn on the rotated view; rotate the image's "
            "pixels and drop its orientation, or rotate the label back"
        )
    raise ImageError(f"{found}, {expected}; is it the label of another image?")


def refused_values(counts: dict[int, int], layout: Layout) -> str | None:
    """Return why a label with these counts of values is wrong, or None where it is right.

    Every value must be a class index or the ignore value. The layout names mistakes that
    it knows by their values.
    """
    classes, found = len(layout.classes), counts.keys()
    wrong = sorted(value for value in found if value >= classes and value != layout.ignore)
    if not wrong:
        return None
    expected = f"expected classes 0 to {classes - 1}"
    if layout.ignore is not None:
        expected += f" and {layout.ignore} for ignore"
    listed = ", ".join(f"{value} ({counts[value]:,} pixels)" for value in wrong[:5])
    if len(wrong) > 5:
        listed += f" and {len(wrong) - 5} more"
    mistake = layout.mistake(found)
    if mistake:
        return f"found label values {listed}, {expected}: {mistake}"
    return f"found label values {listed}, {expected}; map the label's values to class indices"
