"""Read the labels of pairs: indices, colours or two values, from any lossless file.

Which of them a layout reads is checked when it is made: `check` names options that contradict.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from dsbuild import storage
from dsbuild.errors import ImageError, PlanError, StorageError
from dsbuild.format import planes
from dsbuild.layouts.finding import Finding
from dsbuild.layouts.label_maps import CLASS, IGNORED, NONE, unmapped

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dsbuild.images.labels import Label
    from dsbuild.layouts.base import RGB, Sample

    class _Pairs(Protocol):
        """What reading needs of a layout of pairs."""

        @property
        def names(self) -> tuple[str, ...]: ...
        @property
        def colours(self) -> tuple[tuple[str, int, int, int], ...]: ...
        @property
        def binary(self) -> int: ...
        @property
        def channel(self) -> str: ...
        @property
        def ignored(self) -> int: ...
        @property
        def zero(self) -> str: ...
        @property
        def mapping(self) -> tuple[tuple[str, str], ...]: ...

        @property
        def maps(self) -> Mapping[int, int]: ...
        @property
        def classes(self) -> tuple[str, ...]: ...
        @property
        def ignore(self) -> int | None: ...
        @property
        def bits(self) -> int: ...
        def known(self, path: str) -> Mapping[int, RGB]: ...


_LOSSLESS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"BM", b"GIF8")  # TIFF, BMP, GIF
_ZERO = (
    "--zero ignore if it means nothing; if it is a class, put its name first in --classes; if the "
    "largest value is no class, name it with --ignore"
)
_OPENED = 64  # labels that are opened to tell whether their 0 is ignored already
_DARK = 26  # values of a JPEG up to this one may be a black that was blurred
_UNSURE = 0.1  # share of pixels of a JPEG that may be far from both of its values


def check(layout: "_Pairs") -> None:
    """Raise PlanError for options that contradict, or if none says what labels mean."""
    names, colours, binary = layout.names, layout.colours, layout.binary
    if not names and not colours and binary < 0:
        raise PlanError(
            "found nothing that says what the labels mean, expected --classes FILE for class "
            "indices, --colormap FILE for colours, or --binary T for two values"
        )
    if colours and binary >= 0:
        raise PlanError("--colormap and --binary: found both, expected one of them")
    if colours and layout.channel == "alpha":
        raise PlanError("--channel alpha: found --colormap too, but an alpha has no colours")
    if colours and names:
        raise PlanError("--colormap and --classes: found both, expected one: each has names")
    if binary >= 0 and len(names) not in (0, 2):
        raise PlanError(f"--binary {binary}: found {len(names)} names in --classes, expected 2")
    if layout.ignored not in (-1, 255) and (colours or binary >= 0):
        raise PlanError(
            f"--ignore {layout.ignored}: colours and two values leave nothing to ignore, "
            "expected it beside --classes alone"
        )
    most = planes.WIDEST + (layout.zero != CLASS)
    if len(names) > most:
        raise PlanError(
            f"--classes: found {len(names):,} names, expected {most:,} at most, since labels have "
            "no more than 16 bits"
        )
    if len(names) > 256 and layout.ignored < len(names) and layout.ignored >= 0:
        raise PlanError(
            f"--ignore {layout.ignored}: it is the class {names[layout.ignored]!r}, expected "
            f"{planes.WIDEST - 1}, another value above {len(names) - 1}, or -1 for none"
        )
    if (layout.mapping or layout.zero != CLASS) and binary >= 0:
        raise PlanError("--binary: found --map or --zero too, but two values leave nothing to map")
    if layout.zero != CLASS and colours:
        raise PlanError(
            f"--zero {layout.zero}: found --colormap too; map the class: --map 'NAME=ignore'"
        )
    if names[:1] == ("",) and layout.zero == CLASS and not layout.mapping:
        raise PlanError(
            f"--classes: found a file that counts from 1 ({names[1]}), so 0 has no name; if 0 is "
            "to be ignored, and 1 is the first class: --zero ignore; if it does not occur: --zero "
            "none; if it is a class, add it to the file"
        )
    _ = layout.maps  # raises PlanError for a map that cannot be


def read(data: bytes, layout: "_Pairs", stored: bool = False) -> "Label":
    """Return the class indices of a label, or its values as `stored`, before they are mapped.

    Raises ImageError for anything but exact values.
    """
    from dsbuild.images import arrays, labels, lossless, mattes

    if arrays.is_array(data):
        data = arrays.as_png(data)
    elif data.startswith(_LOSSLESS):
        data = lossless.as_png(data)
    if layout.channel == "alpha":
        label = labels.of(mattes.channel(data))
        label = labels.above(label, layout.binary) if layout.binary >= 0 else label
    elif layout.colours:
        colours = tuple((r, g, b) for _, r, g, b in layout.colours)
        label = labels.of(_by_colour(labels.colours(data), colours))
    elif layout.binary >= 0:
        jpeg = data.startswith(b"\xff\xd8\xff")
        label = labels.of(_of_jpeg(data, layout.binary)) if jpeg else labels.read(data, {})
        return label if jpeg else labels.above(label, layout.binary)
    else:
        wide = layout.bits == 16 or max(layout.maps, default=0) > IGNORED
        label = labels.read(data, layout.known(""), 16 if wide else 8)
    if stored or not layout.maps:
        return label
    if layout.zero == NONE and 0 in label.counts:
        raise ImageError(
            f"found the label value 0 ({label.counts[0]:,} pixels), though classes are counted "
            f"from 1 here and 0 has no meaning (--zero {NONE}): {_ZERO}",
            kind="values",
        )
    return through(label, layout.maps, layout.bits)


def zero_twice(
    root: str, split: str, samples: "Iterable[Sample]", layout: "_Pairs"
) -> "Iterator[Finding]":
    """Find labels whose 0 was ignored before, from some of a split's labels as they are stored.

    Labels in which 0 is to be ignored, as ADE20K's, hold no 255, or 65535 with more classes; once
    it was done they do, and the last class has moved down.
    """
    ignored = planes.unnamed(layout.bits)
    rows = list(samples)
    values: set[int] = set()
    for sample in rows[:: max(1, len(rows) // _OPENED)]:
        try:
            data = storage.read(storage.join(root, str(sample.label)))[0]
            values |= read(data, layout, stored=True).counts.keys()
        except (ImageError, StorageError):
            continue  # the build names it
    last = max(layout.maps.keys() - {ignored})
    if ignored in values and 1 in values and last not in values:
        yield Finding(
            "zero-twice",
            split,
            f"labels hold {ignored}, and not {last}, the value of the last class, so 0 seems to be "
            "ignored in them already; --zero ignore would take away another class; leave it out, "
            "or if the labels are as published: --accept zero-twice",
            fatal=True,
        )


def through(label: "Label", table: Mapping[int, int], bits: int = 8) -> "Label":
    """Return a label whose values are mapped; raise ImageError for values without a place."""
    import numpy as np

    lost = unmapped([*label.counts], table)
    if lost:
        listed = ", ".join(f"{value} ({label.counts[value]:,} pixels)" for value in lost[:5])
        raise ImageError(
            f"found label values {listed}, which --map and --zero leave without a class; add them "
            f"to --map, as in {lost[0]}=ignore",
            kind="values",
        )
    whole = np.zeros(1 + max(table), np.uint16)
    whole[list(table)] = list(table.values())
    return label.through(whole if bits == 16 else whole.astype(np.uint8))


def _of_jpeg(data: bytes, threshold: int) -> "NDArray[np.uint8]":
    """Return 1 where a JPEG is above a threshold, uint8 (h, w); its greys must be two, blurred."""
    import numpy as np

    from dsbuild import images
    from dsbuild.images import codec

    head = images.header(data)
    codec.refuse_label(head)
    pixels = images.decode(data, head, strict=True).astype(np.int16)
    coloured = np.mean(np.ptp(pixels, axis=2) > 48)
    grey = pixels.mean(2)
    brightest = float(grey.max())
    if threshold < _DARK or _DARK < brightest < threshold / 0.8:
        raise ImageError(
            f"found a JPEG label, whose values are blurred between 0 and {brightest:.0f}, and "
            f"--binary {threshold}, which is not between dark and bright; expected --binary "
            f"{max(_DARK, round(brightest / 2))}, or the masks as PNG",
            kind="jpeg",
        )
    high = max(brightest, 128.0)
    between = np.mean((grey > 0.2 * high) & (grey < 0.8 * high))
    if max(coloured, between) > _UNSURE:
        share = f"{max(coloured, between):.0%}"
        raise ImageError(
            f"found a JPEG label in which {share} of the pixels are neither dark nor bright, "
            "expected a mask of two values; export the masks as PNG",
            kind="jpeg",
        )
    return np.asarray(grey > threshold, np.uint8)


def _by_colour(pixels: "NDArray[np.uint8]", palette: "Sequence[RGB]") -> "NDArray[np.uint8]":
    """Return the palette index of every pixel's colour, (h, w, 3): uint8 (h, w)."""
    import numpy as np

    weights = np.array([1 << 16, 1 << 8, 1])
    codes, wanted = pixels @ weights, np.array(palette) @ weights
    ranked = np.argsort(wanted)
    place = np.searchsorted(wanted[ranked], codes).clip(max=len(wanted) - 1)
    plane = ranked[place]
    wrong = wanted[plane] != codes
    if wrong.any():
        colour = tuple(pixels[wrong][0].tolist())
        raise ImageError(
            f"found the colour {colour} among {np.count_nonzero(wrong):,} pixels in colours that "
            "the colormap does not have; add them, or export the masks without blur and lossy "
            "compression"
        )
    return np.asarray(plane, np.uint8)
