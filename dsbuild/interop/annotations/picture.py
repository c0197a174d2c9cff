"""One record as targets take it: its image's bytes, and its label as a plane of classes."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsbuild import images
from dsbuild.errors import ImageError, ShardError
from dsbuild.format import example, features, index, panoptic, tfrecord
from dsbuild.interop.annotations.about import About
from dsbuild.interop.export.sample import Keys, sample
from dsbuild.storage import safe_text

Plane = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Picture:
    """A record.

    Attributes:
      split: that it is of.
      key: of the record.
      image: its bytes.
      head: their header.
      mask: the bytes of its label, a PNG; None if it has none.
      plane: the label's values, (h, w); None likewise.
      objects: of a panoptic record, the number of every pixel's object among those of its class,
        (h, w), 0 for none; None otherwise.
    """

    split: str
    key: str
    image: bytes
    head: images.Header
    mask: bytes | None
    plane: Plane | None
    objects: Plane | None = None

    @property
    def stem(self) -> str:
        """The path of its files without folder and extension."""
        return safe_text.path(self.key)

    @property
    def below_images(self) -> str:
        """The same for readers that find a label by the last folder named `images` in a path."""
        inner = "/images/" in f"/{self.stem}"
        return safe_text.stem(self.key) if inner else self.stem

    @property
    def ending(self) -> str:
        """The file extension of its image."""
        return "png" if self.head.format == "png" else "jpg"

    @property
    def labelled(self) -> tuple[bytes, Plane]:
        """Its mask and plane, of a record that has a label."""
        if self.mask is None or self.plane is None:
            raise ValueError(f"{self.key!r} has no label")
        return self.mask, self.plane

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.head.height, self.head.width


def pictures(source: str, split: str, keys: Keys, about: About, first: str) -> Iterator[Picture]:
    """Yield the records of a file; `first` begins the key of a record that has none.

    Raises ShardError, with file and record, for a record that is damaged, has no mask of the size
    of its image, or a label value that is no class.
    """
    for record in tfrecord.read(source):
        with tfrecord.located(source, record):
            one = _picture(record.data, split, keys, f"{first}-{record.number:06d}", False)
            if one.plane is not None:
                _check(one.plane, one.head, one.key, about)
            yield one


def again(
    source: str, split: str, keys: Keys, first: str, wanted: Mapping[int, str]
) -> Iterator[tuple[int, Picture]]:
    """Yield the records with some numbers of a file that `pictures` has read, and their numbers.

    `wanted` are their keys. Values of labels are not checked again, and panoptic ones have no PNG.
    Raises ShardError if another record is found.
    """
    for record in _records(source, sorted(wanted)):
        if record.number in wanted:
            with tfrecord.located(source, record):
                name = f"{first}-{record.number:06d}"
                one = _picture(record.data, split, keys, name, True)
                if one.key != wanted[record.number]:
                    raise ShardError(
                        f"found the record {one.key!r}, expected {wanted[record.number]!r}; the "
                        "file or its index has changed: repair it, then run the same command again"
                    )
                yield record.number, one


def _records(source: str, numbers: Sequence[int]) -> Iterable[tfrecord.Record]:
    """Return the records with some numbers, in their order, perhaps with some before them."""
    # Without an index, those before the first one have to be read.
    bounds = index.bounds(source) if numbers[0] else []
    if len(bounds) > numbers[-1]:
        return tfrecord.at(source, ((number, bounds[number][0]) for number in numbers))
    return itertools.takewhile(lambda one: one.number <= numbers[-1], tfrecord.read(source))


def _picture(data: bytes, split: str, keys: Keys, number: str, again: bool) -> Picture:
    found, objects = sample(data, keys, number), None
    if isinstance(found.label, int):
        raise ShardError(
            "its label is one class for the whole image; annotations need a mask: export it to "
            "webdataset, parquet or array_record"
        )
    try:
        head = images.header(found.image)
        mask = found.label
        plane = None if mask is None else images.plane(mask)
        if mask is None and keys.labels:
            plane, objects = _panoptic(data, keys.labels)
            mask = None if plane is None else b"" if again else images.write(plane)
    except ImageError as error:
        raise ShardError(f"{found.key!r}: {error}") from error
    return Picture(split, found.key, found.image, head, mask, plane, objects)


def _panoptic(data: bytes, labels: Sequence[str]) -> tuple[NDArray[np.uint8] | None, Plane | None]:
    """Return classes and numbers of objects of a panoptic record, (h, w); None of another one."""
    values = example.parse(data)
    name = next((one for one in labels if example.first(values.get(one))), None)
    if name is None:
        return None, None
    if not features.is_panoptic(values, name):
        raise ShardError(f"found no mask in {name}; run dsbuild validate")
    found, divisor = features.panoptic_map(values, name)
    return panoptic.semantic(found, divisor), found % divisor


def _check(plane: Plane, head: images.Header, key: str, about: About) -> None:
    if plane.shape != (head.height, head.width):
        raise ShardError(
            f"{key!r}: found a label of {plane.shape[1]} x {plane.shape[0]} pixels for an image of "
            f"{head.width} x {head.height}; run dsbuild validate"
        )
    beyond = plane >= len(about.classes)
    if about.ignore is not None:
        beyond &= plane != about.ignore
    if not beyond.any():
        return
    strange = [value for value in images.histogram(plane) if value not in about.values]
    if strange:
        named = f"expected one of the {len(about.classes):,} that --classes names, or 255"
        raise ShardError(
            f"{key!r}: found the label value {strange[0]}, which is no class; "
            + ("run dsbuild validate" if about.digest else named)
        )
