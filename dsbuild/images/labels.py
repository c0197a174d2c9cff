"""Read the pixels of a label as its makers' tools see them, whatever form its PNG has.

The same mask may be grey with 1 to 16 bits, three equal channels, or a palette in any order:
lossless tools turn each form into the others. What decoders show counts, so the form never changes
the class of a pixel. A label that can be read in two ways is refused.
"""

import collections
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from dsbuild.errors import ImageError
from dsbuild.images import codec, palette, png
from dsbuild.images.header import Header
from dsbuild.images.palette import RGB
from dsbuild.images.png import Plane

COLORMAP = "dsbuild pairs --colormap FILE, with lines such as `cat, 64, 64, 64`"


class Label(NamedTuple):
    """A label as read from its file.

    Attributes:
      plane: its values, usually class indices: uint8 (h, w), or uint16 with 16 bits.
      counts: value -> number of pixels.
      alpha: the soft alpha that the label was made from, uint8 (h, w), if any.
      stored: whether the plane holds the file's own samples of 8 or 16 bits.
      mapped: whether values were found by colour, because the palette has another order.
      colours: colour -> value, as far as this file alone shows what its colours mean.
      reading: which of two readings was chosen: `scaled` grey with fewer than 8 bits; grey
        `levels` of a palette; or the `indices` of a palette, though only greys occur.
      other: the values by the other reading.
    """

    plane: Plane
    counts: Mapping[int, int]
    alpha: NDArray[np.uint8] | None = None
    stored: bool = False
    mapped: bool = False
    colours: Mapping[RGB, int] = {}
    reading: str = ""
    other: frozenset[int] = frozenset()

    def through(self, table: Plane) -> "Label":
        """Return the label with every value replaced by its entry in a table of all values."""
        counts: dict[int, int] = {}
        for value, count in self.counts.items():
            new = int(table[value])
            counts[new] = counts.get(new, 0) + count
        plane, counts = table[self.plane], dict(sorted(counts.items()))
        return self._replace(plane=plane, counts=counts, stored=False, reading="")

    def of_bits(self, bits: int) -> "Label":
        """Return the label with a plane of 8 or 16 bits, which its values fit."""
        kind = np.uint16 if bits == 16 else np.uint8
        if self.plane.dtype == kind:
            return self
        return self._replace(plane=self.plane.astype(kind), stored=False)


def of(plane: Plane, alpha: NDArray[np.uint8] | None = None) -> Label:
    """Return a plane of certain values as a label."""
    return Label(plane, codec.histogram(plane), alpha)


def read(data: bytes, known: Mapping[int, RGB], bits: int = 8) -> Label:
    """Return the values of a label PNG as decoders see them, for a data set of 8 or 16 bits.

    Grey of any depth and three equal channels give the level, 0 to 255; with 16 `bits` grey of 16
    bits gives all of its values. A palette gives the value that has the entry's colour in
    `known`, the colours of the data set; entries in other colours give their index. Raises
    ImageError for anything else: colours and lossy pixels are not classes.
    """
    head = codec.class_header(data)
    codec.refuse_label(head, wide=True)
    if head.model == "grey" and head.bits == bits == 16:
        wide = png.indices(data, head)
        return Label(wide, codec.histogram(wide), stored=True)
    if bits == 16:
        return read(data, known).of_bits(16)
    if head.model == "palette":
        return _of_palette(png.indices(data, head), *palette.read(data), head.bits == 8, known)
    if head.model == "grey":
        return _of_grey(data, head)
    return _of_channels(codec.own(data, head), head)


def is_plain(data: bytes, head: Header, known: Mapping[int, RGB], bits: int = 8) -> bool:
    """Tell from the header and palette of a PNG whether its stored samples are its values."""
    if head.bits != 8 or head.model != "palette":
        return head.bits == bits and head.model == "grey"
    return palette.is_numbered(data, known)


def colours(data: bytes) -> NDArray[np.uint8]:
    """Return the colours of a label, RGB uint8 (h, w, 3), its alpha dropped; raise ImageError."""
    head = codec.label_header(data)
    codec.refuse_label(head)
    if head.channels in (2, 4):
        pixels = codec.own(data, head)
        if _varies(pixels[..., -1]) and not _varies(pixels[..., :-1]):
            raise _in_alpha()
    return codec.decode(data, head)


def above(label: Label, threshold: int) -> Label:
    """Return 1 where a label is above a threshold, else 0; raise ImageError if that is unclear."""
    for colour, value in label.colours.items():
        if value not in label.counts:
            continue
        luma = (299 * colour[0] + 587 * colour[1] + 114 * colour[2]) // 1000
        if (luma > threshold) != (value > threshold):
            raise ImageError(
                f"found a palette in which {colour} is number {value}: its brightness and its "
                f"number are on different sides of {threshold}, and it is unclear which one is "
                f"meant; save the mask as grey, or build it by {COLORMAP}",
                kind="palettes",
            )
    table = (np.arange(256) > threshold).astype(np.uint8)
    return label.through(table)._replace(colours={})


def _of_grey(data: bytes, head: Header) -> Label:
    if head.bits == 16:
        plane = _of_16_bits(np.asarray(png.load(data, head)))
        return _levels(plane, codec.histogram(plane))
    plane = png.indices(data, head)
    counts = codec.histogram(plane)
    if head.bits == 8:
        return _levels(plane, counts)._replace(stored=True)
    step = 255 // ((1 << head.bits) - 1)
    scaled = {value * step: count for value, count in counts.items()}
    label = _levels(plane * np.uint8(step), scaled)
    return label._replace(reading="scaled", other=frozenset(counts))


def _of_16_bits(wide: NDArray[np.integer[Any]]) -> NDArray[np.uint8]:
    """Return 16-bit values below 256 as they are, and 8-bit values that were widened narrowed."""
    if wide.max() < 256:
        return wide.astype(np.uint8)
    plane = (wide >> 8).astype(np.uint8)
    if (plane.astype(wide.dtype) * 257 != wide).any():
        raise ImageError(
            f"found a 16-bit label with values up to {wide.max()}, expected values below 256, "
            "since higher ones need more than 255 classes; name all classes, or map the values to "
            "class indices and save them as an 8-bit PNG"
        )
    return plane


def _levels(plane: NDArray[np.uint8], counts: Mapping[int, int]) -> Label:
    """Return grey levels as a label; other files may have the same greys in a palette."""
    return Label(plane, counts, colours={(value, value, value): value for value in counts})


def _of_channels(pixels: NDArray[np.uint8], head: Header) -> Label:
    """Return the level that all channels, uint8 (h, w, c), have; alpha may not vary."""
    alpha = pixels[..., -1] if head.channels in (2, 4) else None
    shades = pixels if alpha is None else pixels[..., :-1]
    if alpha is not None and _varies(alpha):
        if not _varies(shades):
            raise _in_alpha()
        raise ImageError(
            f"found an {head.model.upper()} label in which alpha and colours both vary, expected "
            "one channel of class indices; save the channel that holds the classes as grey",
            kind="alpha-mask",
        )
    if shades.shape[2] == 3 and (shades != shades[..., :1]).any():
        raise ImageError(
            f"found an {head.model.upper()} label, expected one channel of class indices: map its "
            f"colours to indices first, or build it by {COLORMAP}",
            kind="colours",
        )
    plane = np.ascontiguousarray(shades[..., 0])
    return _levels(plane, codec.histogram(plane))


def _of_palette(
    indices: NDArray[np.uint8],
    entries: tuple[RGB, ...],
    alphas: bytes,
    whole: bool,
    known: Mapping[int, RGB],
) -> Label:
    """Return indices into a palette as a label; only the colours of values that occur count.

    `whole` means that indices have 8 bits.
    """
    counts = codec.histogram(indices)
    as_stored = Label(indices, counts, stored=whole)
    used = {value: entries[value] if value < len(entries) else None for value in counts}
    if all(known.get(value) == colour for value, colour in used.items()):
        return as_stored
    places: dict[RGB, int | None] = {}
    for value, colour in known.items():
        places[colour] = None if colour in places else value
    shown = {value: colour for value, colour in used.items() if colour is not None}
    own = {value for value, colour in shown.items() if known.get(value) == colour}
    moved = {v: places[c] for v, c in shown.items() if v not in own and c in places}
    greys = {v: c[0] for v, c in shown.items() if len({*c}) == 1}
    if len(moved) + len(own) == len(used):
        values = {v: places[c] for v, c in shown.items()}  # None: two numbers have the colour
        homes = {v: value for v, value in values.items() if value is not None}
        if len(homes) < len(used) or (len(greys) == len(used) and homes != greys):
            _unclear(used, "which the data set has under other numbers")
        return _through(as_stored, homes)._replace(mapped=True)
    _refuse_twins(used, own, alphas)
    if len(greys) == len(used):
        if all(value == level for value, level in greys.items()):
            return as_stored._replace(colours={c: v for v, c in shown.items()})
        if all(len({*colour}) == 1 for colour in entries):
            by_level = {c: c[0] for c in shown.values()}
            return _through(as_stored, greys)._replace(
                colours=by_level, reading="levels", other=frozenset(counts)
            )
        meanings = _meanings(entries, shown, own)
        other = frozenset(greys.values())
        return as_stored._replace(colours=meanings, reading="indices", other=other)
    if moved:
        _unclear(used, "some of which the data set has under other numbers, some not at all")
    return as_stored._replace(colours=_meanings(entries, shown, own))


def _meanings(
    entries: tuple[RGB, ...], shown: Mapping[int, RGB], own: Collection[int]
) -> dict[RGB, int]:
    """Return what a palette says about its colours; unused ones show its order too."""
    twice = {colour for colour, count in collections.Counter(entries).items() if count > 1}
    unused = {c: v for v, c in enumerate(entries) if c not in twice and v not in own}
    return unused | {c: v for v, c in shown.items() if v not in own}


def _through(label: Label, homes: Mapping[int, int]) -> Label:
    table = np.zeros(256, np.uint8)
    table[list(homes)] = list(homes.values())
    return label.through(table)


def _refuse_twins(used: Mapping[int, RGB | None], own: set[int], alphas: bytes) -> None:
    """Raise ImageError if two values that occur have the same colour: decoders see one class."""
    seen: dict[RGB, int] = {}
    for value, colour in used.items():
        if colour is None or (value in own and seen.get(colour) in own):
            continue
        twin = seen.setdefault(colour, value)
        if twin == value:
            continue
        if len({alphas[i] if i < len(alphas) else 255 for i in (twin, value)}) > 1:
            raise _in_alpha()
        raise ImageError(
            f"found a palette in which {twin} and {value} both have the colour {colour}, so "
            "decoders see one class where the file has two; save its values as 8-bit grey",
            kind="palettes",
        )


def _unclear(used: Mapping[int, RGB | None], what: str) -> NoReturn:
    listed = ", ".join(f"{value} is {colour}" for value, colour in [*used.items()][:3])
    raise ImageError(
        f"found a palette of colours, {what}: {listed}; it is unclear whether values or colours "
        f"give the class: save the values as 8-bit grey, or build the mask by {COLORMAP}",
        kind="palettes",
    )


def _in_alpha() -> ImageError:
    return ImageError(
        "found a label of one colour whose alpha varies: the mask is in the alpha channel, which "
        "is not read as a label by itself; build with dsbuild pairs --channel alpha --binary 127, "
        "or save the alpha as a grey PNG",
        kind="alpha-mask",
    )


def _varies(pixels: NDArray[np.uint8]) -> bool:
    """Tell whether the pixels of one or several channels differ."""
    return bool((pixels != pixels[:1, :1]).any())
