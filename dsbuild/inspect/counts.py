"""What is counted over records: classes, sizes, colours, and fingerprints of images.

Everything is counted in integers and added up, so the result is exactly the same however the
records are divided, and in whatever order the parts are joined.
"""

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsbuild import images
from dsbuild.errors import ImageError, ShardError
from dsbuild.format import example, features
from dsbuild.format.folder import split_of
from dsbuild.images import hashing
from dsbuild.inspect import frame
from dsbuild.inspect.frame import Frame

Names = Mapping[str, Sequence[str]]  # role -> features that may play it


@dataclass(frozen=True)
class Counts:
    """What was counted over the records of a split; counts of two parts add up.

    Attributes:
      records: how many there are.
      images: how many have an image that could be read.
      labels: how many have a label, a plane or one class, that could be read.
      pixels: label value -> pixels of planes.
      holders: label value -> records with it.
      pairs: two label values of one plane, the smaller first -> records with both.
      sizes: (width, height) -> images.
      area: pixels of all images.
      frame: where the classes of planes lie, and their regions.
      sums, squares: channel of RGB -> sum of its values, and of their squares.
    """

    records: int = 0
    images: int = 0
    labels: int = 0
    pixels: Counter[int] = field(default_factory=Counter)
    holders: Counter[int] = field(default_factory=Counter)
    pairs: Counter[tuple[int, int]] = field(default_factory=Counter)
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    area: int = 0
    sums: Counter[int] = field(default_factory=Counter)
    squares: Counter[int] = field(default_factory=Counter)
    frame: Frame = field(default_factory=Frame)

    def __add__(self, other: "Counts") -> "Counts":
        names = [attribute.name for attribute in fields(self)]
        return Counts(*(getattr(self, name) + getattr(other, name) for name in names))


class Print(NamedTuple):
    """The fingerprint of an image: key of its sample, sha256 of its pixels, dHash."""

    key: str
    sha256: bytes
    dhash: int


Place = tuple[str, int]  # name of a file, number of a record; -1 means the file itself


@dataclass(frozen=True)
class Accumulated:
    """What was counted over some records; two such values add up, in any order.

    Attributes:
      splits: split -> its counts.
      prints: place -> fingerprint of each image that was decoded.
      faults: place -> why it could not be read.
    """

    splits: Mapping[str, Counts] = field(default_factory=dict)
    prints: Mapping[Place, Print] = field(default_factory=dict)
    faults: Mapping[Place, str] = field(default_factory=dict)

    def __add__(self, other: "Accumulated") -> "Accumulated":
        both = {
            name: self.splits.get(name, Counts()) + other.splits.get(name, Counts())
            for name in self.splits.keys() | other.splits.keys()
        }
        return Accumulated(both, {**self.prints, **other.prints}, {**self.faults, **other.faults})


def total(parts: Iterable[Accumulated]) -> Accumulated:
    """Return the sum of parts; neighbours are joined first, so that few large sums are copied."""
    parts = list(parts) or [Accumulated()]
    while len(parts) > 1:
        pairs = itertools.zip_longest(parts[::2], parts[1::2], fillvalue=Accumulated())
        parts = [one + other for one, other in pairs]
    return parts[0]


def of_record(file: str, number: int, data: bytes, names: Names) -> Accumulated:
    """Return what one record adds; `file` is the name of its file, which names the split."""
    place, counts, prints, faults = (file, number), Counts(records=1), {}, []
    try:
        values = example.parse(data)
        try:
            pixels = _decode(_bytes(values, names, "image"))
        except ImageError as error:
            faults.append(f"image: {error}")
        else:
            if pixels is not None:
                counts += _of_image(images.deep.narrowed(pixels))
                key = features.key(values, names)
                seen = images.deep.shown(pixels)
                prints[place] = Print(key, hashing.sha256(pixels), hashing.dhash(seen))
        try:
            counts += _of_label(values, names)
        except ImageError as error:
            faults.append(f"label: {error}")
    except ShardError as error:
        faults.append(str(error))
    split = split_of(file)
    return Accumulated({split: counts}, prints, {place: "; ".join(faults)} if faults else {})


def _bytes(values: Mapping[str, example.Parsed], names: Names, role: str) -> bytes:
    value = features.value(values, names, role)
    return value[0] if isinstance(value, list) else b""


def _decode(data: bytes) -> NDArray[np.uint8] | NDArray[np.uint16] | None:
    return images.deep.pixels(data) if data else None


def _of_image(pixels: NDArray[np.uint8]) -> Counts:
    height, width, _ = pixels.shape
    sums, squares = (Counter(dict(enumerate(values))) for values in hashing.moments(pixels))
    sizes = Counter({(width, height): 1})
    return Counts(images=1, sizes=sizes, area=height * width, sums=sums, squares=squares)


def _of_label(values: Mapping[str, example.Parsed], names: Names) -> Counts:
    plane = features.plane_of(values, names) if _bytes(values, names, "label") else None
    if plane is not None:
        pixels = Counter(images.histogram(plane))
        pairs = Counter(itertools.combinations(sorted(pixels), 2))
        holders = Counter(pixels.keys())
        return Counts(labels=1, pixels=pixels, holders=holders, pairs=pairs, frame=frame.of(plane))
    number = features.value(values, names, "class")
    if isinstance(number, np.ndarray) and len(number) == 1:
        return Counts(labels=1, holders=Counter(number.tolist()))
    return Counts()
