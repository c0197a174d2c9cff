"""Read TIFFs of 16 bits per channel with any number of bands, to the last bit.

Pillow opens no such file of four bands, and OpenCV drops bands or mixes them without a word. So the
tags are read here; Pillow only unpacks strips and tiles, as bytes of a grey picture that are put
together again as numbers.

Source: TIFF 6.0, sections 2, 8, 14 and 15.
"""

import itertools
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsbuild.errors import ImageError, words
from dsbuild.images.header import excuse
from dsbuild.images.opening import judging, opened

_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
_SIZES = {3: ("H", 2), 4: ("I", 4)}  # types of numbers: SHORT and LONG
_MOST = 1 << 20  # values of a tag
# Compressions without loss: none, LZW, deflate, PackBits, LZMA, Zstandard.
_LOSSLESS = (1, 5, 8, 32946, 32773, 34925, 50000)
_DIFFERING = (5, 8, 32946, 34925, 50000)  # those that a predictor goes with

_WIDTH, _HEIGHT, _BITS, _PACKED, _LIGHT, _FILL = 256, 257, 258, 259, 262, 266
_OFFSETS, _TURN, _BANDS, _ROWS, _COUNTS = 273, 274, 277, 278, 279
_PLANAR, _PREDICTOR, _TILE_WIDTH, _TILE_HEIGHT = 284, 317, 322, 323
_TILE_OFFSETS, _TILE_COUNTS, _FORMAT = 324, 325, 339
_DEFAULTS = {_BITS: (1,), _PACKED: (1,), _TURN: (1,), _BANDS: (1,), _PLANAR: (1,)}
_NUMBERS = {2: "signed", 3: "floating-point", 5: "complex", 6: "complex"}


@dataclass(frozen=True)
class Tiff:
    """The first page of a TIFF, by its tags.

    Attributes:
      data: the file.
      order: `<` or `>`, the order of bytes.
      tags: by number.
    """

    data: bytes
    order: str
    tags: Mapping[int, tuple[int, ...]]

    def one(self, tag: int, default: int = 0) -> int:
        """Return the first value of a tag."""
        return (self.tags.get(tag) or _DEFAULTS.get(tag) or (default,))[0]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.one(_HEIGHT), self.one(_WIDTH)

    @property
    def bands(self) -> int:
        """How many numbers a pixel has."""
        return self.one(_BANDS)

    @property
    def bits(self) -> int:
        """The largest number of bits that a band has."""
        return max(self.tags.get(_BITS) or (1,))


def read_tags(data: bytes) -> Tiff | None:
    """Return the tags of a TIFF's first page; None if it is no TIFF, or damaged."""
    order = _ORDERS.get(data[:4])
    if order is None:
        return None
    try:
        (at,) = struct.unpack_from(f"{order}I", data, 4)
        (count,) = struct.unpack_from(f"{order}H", data, at)
        tags = {}
        for entry in range(at + 2, at + 2 + 12 * count, 12):
            tag, kind, length = struct.unpack_from(f"{order}HHI", data, entry)
            if kind not in _SIZES or length > _MOST:
                continue
            code, size = _SIZES[kind]
            place = entry + 8
            if length * size > 4:
                (place,) = struct.unpack_from(f"{order}I", data, place)
            tags[tag] = struct.unpack_from(f"{order}{length}{code}", data, place)
    except struct.error:
        return None
    return Tiff(data, order, tags)


def refusal(tiff: Tiff) -> str | None:
    """Return why the 16-bit numbers of a TIFF cannot be read, or None if they can."""
    formats = set(tiff.tags.get(_FORMAT, (1,)))
    what = None
    depths = set(tiff.tags.get(_BITS, ()))
    if formats - {1, 4}:
        what = f"{_NUMBERS.get(max(formats), 'unknown')} numbers"
    elif depths != {16}:
        what = f"bands of {' and '.join(map(str, sorted(depths)))} bits"
    elif tiff.one(_PACKED) not in _LOSSLESS:
        what = "a compression with loss, or an unknown one"
    elif _predicted(tiff) not in (1, 2):
        what = "an unknown predictor"
    elif tiff.one(_LIGHT) == 0 and tiff.bands == 1:
        what = "white stored as 0"
    elif tiff.one(_LIGHT) not in (0, 1, 2):
        what = "colours that are neither grey nor RGB"
    elif tiff.one(_FILL, 1) != 1:
        what = "bits in reverse order (FillOrder)"
    elif tiff.one(_TURN) != 1:
        what = "rows in another order than from the top (an orientation)"
    return f"found a TIFF with {what}, expected plain 16-bit numbers; convert it" if what else None


def _predicted(tiff: Tiff) -> int:
    return tiff.one(_PREDICTOR, 1) if tiff.one(_PACKED) in _DIFFERING else 1


def read(tiff: Tiff) -> NDArray[np.uint16]:
    """Return the pixels of a TIFF that `refusal` has nothing against: uint16 (h, w, bands).

    Raises ImageError if it is damaged.
    """
    judging()
    (height, width), bands = tiff.size, tiff.bands
    apart = bands if tiff.one(_PLANAR) == 2 else 1  # planes that are stored one after another
    together = bands // apart
    tiled = _TILE_OFFSETS in tiff.tags
    starts = tiff.tags.get(_TILE_OFFSETS if tiled else _OFFSETS, ())
    counts = tiff.tags.get(_TILE_COUNTS if tiled else _COUNTS, ())
    try:
        if not starts or len(starts) != len(counts) or len(starts) % apart:
            raise ValueError("its strips are not listed")
        if any(start + count > len(tiff.data) for start, count in zip(starts, counts, strict=True)):
            raise ValueError("it ends before its last strip")
        each = len(starts) // apart
        _hold(tiff, together, each, counts)
        planes = [
            _plane(tiff, together, starts[at : at + each], counts[at : at + each])
            for at in range(0, len(starts), each)
        ]
    except Exception as error:  # Pillow's reader raises many kinds for damaged files
        excuse(error)
        raise ImageError(
            f"found a damaged TIFF: {words(error)}; fetch or export the file again"
        ) from error
    return np.concatenate(planes, axis=2).reshape(height, width, bands)


def _hold(tiff: Tiff, bands: int, each: int, counts: Sequence[int]) -> None:
    """Raise ValueError if a strip or tile is missing, or too short: other bytes would be read.

    `each` of them are listed for the bands that are stored together. GDAL leaves out those that
    hold nothing but 0 (SPARSE_OK).
    """
    height, width = tiff.size
    tiled = _TILE_OFFSETS in tiff.tags
    rows = tiff.one(_TILE_HEIGHT) if tiled else min(tiff.one(_ROWS, height), height)
    across = tiff.one(_TILE_WIDTH) if tiled else width
    if rows < 1 or across < 1 or each != -(-height // rows) * -(-width // across):
        raise ValueError("its strips do not cover it")
    if not all(counts):
        raise ValueError("it is sparse: some of its strips or tiles are left out")
    for at, count in enumerate(counts):
        held = rows if tiled else min(rows, height - at % each * rows)
        if tiff.one(_PACKED) == 1 and count < 2 * bands * held * across:
            raise ValueError("a strip has fewer bytes than its pixels take")


def _plane(
    tiff: Tiff, bands: int, starts: Sequence[int], counts: Sequence[int]
) -> NDArray[np.uint16]:
    """Return the bands that are stored together, uint16 (h, w, bands)."""
    height, width = tiff.size
    rows = _unpacked(tiff, bands, starts, counts)
    numbers = rows.view(f"{tiff.order}u2").reshape(height, width, bands).astype(np.uint16)
    if _predicted(tiff) == 2:  # each number is stored as the difference to the one before
        step = tiff.one(_TILE_WIDTH) or width
        for left in range(0, width, step):
            part = numbers[:, left : left + step]
            np.cumsum(part, axis=1, dtype=np.uint16, out=part)
    return numbers


def _unpacked(
    tiff: Tiff, bands: int, starts: Sequence[int], counts: Sequence[int]
) -> NDArray[np.uint8]:
    """Return the unpacked bytes of each row, uint8 (h, 2 bands w), by Pillow as a grey picture."""
    height, width = tiff.size
    across = 2 * bands
    tags: dict[int, tuple[int, ...]] = {
        _WIDTH: (width * across,),
        _HEIGHT: (height,),
        _BITS: (8,),
        _PACKED: (tiff.one(_PACKED),),
        _LIGHT: (1,),
        _BANDS: (1,),
        _PLANAR: (1,),
    }
    if _TILE_OFFSETS in tiff.tags:
        tags |= {_TILE_WIDTH: (tiff.one(_TILE_WIDTH) * across,)}
        tags |= {_TILE_HEIGHT: (tiff.one(_TILE_HEIGHT),)}
        tags |= {_TILE_OFFSETS: tuple(starts), _TILE_COUNTS: tuple(counts)}
    else:
        tags |= {_ROWS: (min(tiff.one(_ROWS, height), height),)}
        tags |= {_OFFSETS: tuple(starts), _COUNTS: tuple(counts)}
    image = opened(_with_tags(tiff, tags), "TIFF")
    image.load()
    found = np.asarray(image, np.uint8)
    if found.shape != (height, width * across):
        raise ValueError("its strips have another size than it says")
    return np.ascontiguousarray(found)


def _with_tags(tiff: Tiff, tags: Mapping[int, tuple[int, ...]]) -> bytes:
    """Return a TIFF with other tags, which are appended to the file; its strips stay in place."""
    data = tiff.data + b"\0" * (len(tiff.data) % 2)
    order, at = tiff.order, len(data)
    beside = at + 2 + 12 * len(tags) + 4
    entries: list[bytes] = []
    lists: list[bytes] = []
    for tag, values in sorted(tags.items()):
        packed = struct.pack(f"{order}{len(values)}I", *values)
        if len(values) > 1:
            place = beside + sum(map(len, lists))
            lists.append(packed)
            packed = struct.pack(f"{order}I", place)
        entries.append(struct.pack(f"{order}HHI", tag, 4, len(values)) + packed)
    table = struct.pack(f"{order}H", len(tags)) + b"".join(entries) + bytes(4)
    parts = itertools.chain([data[:4], struct.pack(f"{order}I", at), data[8:], table], lists)
    return b"".join(parts)
