"""Turn one sample into one record: the core of every build.

Only this module reads a sample's files.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from dsbuild import extras, images, storage
from dsbuild.build import listing, panoptic, signatures, slices
from dsbuild.build.image_policy import Admitted, admit, same_size
from dsbuild.build.planes import Aligned, fitted
from dsbuild.build.recipe import Recipe
from dsbuild.build.rejected import NOTHING as NOTHING
from dsbuild.build.rejected import Rejected as Rejected
from dsbuild.build.rejected import named as named
from dsbuild.errors import ImageError, NoFileError, StorageError
from dsbuild.format import example
from dsbuild.format.manifest import Statistics
from dsbuild.images import labels, lossless
from dsbuild.images.palette import RGB
from dsbuild.layouts import Sample
from dsbuild.layouts.sample import Part, Slice

# Kinds of samples with a missing file.
MISSING = ("image-missing", "label-missing", "plane-missing")
_TROUBLE = (StorageError, OSError, MemoryError)
Check = Callable[[bytes, images.Header, int], None]  # as images.check


class Loaded(NamedTuple):
    """A sample that can become a record.

    Attributes:
      image: the image as it is stored.
      pixels: its pixels, RGB uint8 (h, w, 3), if an extra needs them and it is not cut.
      label: role -> value of the label; empty in an unlabelled split.
      planes: if decoded, `label` uint8 or uint16, `alpha` uint8, `panoptic` int32, each (h, w).
      counts: value -> pixels of the label, likewise.
      sources: size, mtime and crc32c of the image and of each part of the label.
      colours: the meaning of the colours of the label's palette, as far as it can be known.
      mapped: whether the label was read by colour because its palette has another order.
      aligned: the planes that the build names.
    """

    image: Admitted
    pixels: np.ndarray | None
    label: Mapping[str, bytes | int]
    planes: Mapping[str, np.ndarray]
    counts: Mapping[int, int]
    sources: tuple[int | None, ...]
    colours: Mapping[RGB, int]
    mapped: bool
    aligned: Mapping[str, Aligned] = {}


class Encoded(NamedTuple):
    """A record with its statistics; sources and colours are those of Loaded."""

    record: bytes
    statistics: Statistics
    sources: tuple[int | None, ...]
    colours: Mapping[RGB, int]


def paths(samples: Iterable[Sample], root: str) -> Iterator[str]:
    """Yield the paths of the samples' files in the order in which they are read."""
    for sample in samples:
        for path in sample.files:
            yield storage.join(root, path)


def load(
    sample: Sample,
    root: str,
    recipe: Recipe,
    read: storage.Read = storage.read,
    check: Check = images.check,
) -> Loaded:
    """Read and check a sample's files; `check` gets the image if its pixels are not needed.

    Raises Rejected if the sample is bad, that is, a file is missing or not what it should be. Other
    errors, such as those of a disk, are raised as by `named`, and never make a sample bad.
    """
    parts, data = sample.parts, []
    first = 1 + max(1, len(parts))  # of the planes
    sources: list[int | None] = [*NOTHING * (first + len(sample.planes))]
    aligned: dict[str, Aligned] = {}
    file = sample.image
    try:
        unnamed = listing.refusal(sample.key)
        if unnamed:
            raise ImageError(unnamed, kind="names")
        image = admit(_read(read, storage.join(root, file), sources, 0), recipe.policy)
        pixels = _pixels(image, recipe, check)
        label: dict[str, Any] = {}
        planes: dict[str, np.ndarray] = {}
        read_as: labels.Label | None = None
        counts: Mapping[int, int] = {}
        for at, part in enumerate(parts, start=1):
            file = str(part)
            if isinstance(part, Slice):
                data.append(_content(part, sources, 3 * at))
            else:
                data.append(_read(read, storage.join(root, file), sources, 3 * at))
        if data:
            file = str(parts[0])
            label, planes, counts, read_as = _label(data, parts, image, recipe)
        elif isinstance(sample.label, int):
            name = recipe.layout.classes[sample.label]
            label = {"class": sample.label, "class.text": name.encode()}
        for at, (plane, file) in enumerate(zip(recipe.aligned, sample.planes, strict=True), first):
            found = _read(read, storage.join(root, file), sources, 3 * at)
            aligned[plane.name] = fitted(found, plane, image)
    except (ImageError, NoFileError) as error:
        with named(sample, storage.join(root, file)):
            raise _rejected(sample, root, file, sources, error) from error
    except _TROUBLE as error:
        with named(sample, storage.join(root, file)):
            raise error
    colours, mapped = (read_as.colours, read_as.mapped) if read_as else ({}, False)
    return Loaded(image, pixels, label, planes, counts, tuple(sources), colours, mapped, aligned)


def _rejected(
    sample: Sample,
    root: str,
    file: str,
    sources: list[int | None],
    error: ImageError | NoFileError,
) -> Rejected:
    """Return the error of a bad sample, after checking that its files were read completely.

    Raises StorageError if the store lists a file that it does not return, or returns with another
    size.
    """
    path = storage.join(root, file)
    reason = str(error).removeprefix(f"{path}: ")
    place = 2 if file in sample.planes else int(file != sample.image)
    kind = error.kind if isinstance(error, ImageError) else MISSING[place]
    for place, name in enumerate(sample.sources):
        at = 3 * place
        if name is None:
            continue
        if isinstance(name, Slice):
            _content(name, sources, at)
            continue
        full = storage.join(root, name)
        size = sources[at]
        if size is not None:
            storage.hold(full, size)
            continue
        # Files that were not read are stamped too, so that a fixed file is noticed.
        stamp = storage.stamp(full)
        sources[at : at + 2] = stamp or NOTHING[:2]
        there = stamp is not None and stamp.size <= storage.LARGEST
        if there and name == file and kind in MISSING and storage.is_remote(full):
            raise StorageError(
                f"{full}: the store says that there is no such file, yet gives its size; run the "
                "same command again"
            )
    message = f"sample {sample.key}: {path}: {reason}"
    return Rejected(message, sample.key, file, kind, reason, tuple(sources))


def encode(
    sample: Sample,
    root: str,
    recipe: Recipe,
    read: storage.Read = storage.read,
    check: Check = images.check,
) -> Encoded:
    """Read a sample's files and return its record; check them and raise as `load` does."""
    loaded = load(sample, root, recipe, read, check)
    with named(sample, storage.join(root, sample.image)):
        return encoded(sample, loaded, recipe)


def encoded(sample: Sample, loaded: Loaded, recipe: Recipe) -> Encoded:
    """Return the record of a loaded sample, or of a tile of one."""
    head = loaded.image.head
    values = {
        "key": sample.key.encode(),
        "image": loaded.image.data,
        "format": head.format.encode(),
        "height": head.height,
        "width": head.width,
        "channels": head.channels,
        **loaded.label,
        **{f"{name}.encoded": one.stored for name, one in loaded.aligned.items()},
        **{f"{name}.format": b"png" for name in loaded.aligned},
        **extras.features(recipe.chosen, {"image": loaded.pixels, **loaded.planes}),
    }
    counts, ignore = loaded.counts, recipe.layout.ignore
    ignored = 0 if ignore is None else counts.get(ignore, 0)
    statistics = Statistics(
        pixels=counts,
        images=dict.fromkeys([sample.label] if isinstance(sample.label, int) else counts, 1),
        around=dict.fromkeys(counts, sum(counts.values()) - ignored),
        heights=(head.height, head.height),
        widths=(head.width, head.width),
        formats={head.format: 1},
        rotated=int(head.orientation != 1),
        labels=int(sample.label is not None),
        segments=panoptic.counted(loaded.planes, recipe.layout) if counts else {},
        changes=dict.fromkeys((*loaded.image.changes, *(["mapped"] if loaded.mapped else [])), 1),
    )
    record = example.serialize(recipe.schema.named(values))
    return Encoded(record, statistics, loaded.sources, loaded.colours)


def _content(part: Slice, sources: list[int | None], at: int) -> bytes:
    data = slices.content(part)
    sources[at : at + 3] = len(data), None, slices.checksum(data)
    return data


def _read(read: storage.Read, path: str, sources: list[int | None], at: int) -> bytes:
    data, stamp = read(path)
    sources[at : at + 3] = stamp.size, stamp.mtime_ns, slices.checksum(data)
    return data


def _pixels(image: Admitted, recipe: Recipe, check: Check) -> np.ndarray | None:
    """Return the pixels of an image if an extra needs them; otherwise check that it decodes."""
    if image.pixels is not None:
        return None
    if recipe.roles("image"):
        return images.decode(image.data, image.head, strict=True)
    if recipe.verify == "full" and not image.changes:
        check(image.data, image.head, recipe.policy.depth)
    return None


def _label(
    parts: list[bytes], names: Sequence[Part], image: Admitted, recipe: Recipe
) -> tuple[dict[str, Any], dict[str, np.ndarray], Mapping[int, int], labels.Label | None]:
    """Return role -> value of a label; if it is decoded, planes, histogram, how it was read."""
    layout, whole = recipe.layout, image.pixels is None
    header_only = recipe.verify == "header" and whole
    if recipe.policy.unreadable == "reencode":
        parts = [
            lossless.as_png(data) if isinstance(name, str) and images.foreign(data) else data
            for data, name in zip(parts, names, strict=True)
        ]
    (data, *others), path = parts, str(names[0])
    if image.orientation in layout.oriented and not layout.indexed(path):
        raise ImageError(
            f"the image has EXIF orientation {image.orientation}, and its shapes were drawn on the "
            "rotated view; build with --exif apply",
            kind="exif",
        )
    kept, plain = None, False
    if whole and not others and layout.indexed(path) and data.startswith(images.PNG):
        head = images.header(data)
        same_size((head.height, head.width), image)
        if "shrunk" not in image.changes:
            kept = images.grey(data, head, layout.bits)
            plain = header_only and kept is not None
            plain = plain and labels.is_plain(data, head, layout.known(path), layout.bits)
    if plain and not recipe.roles("label", "alpha"):
        return {"label": kept, "label.format": b"png"}, {}, {}, None
    label = layout.compose(parts, names, image.size)
    same_size(label.plane.shape, image)
    refused = signatures.refusal(label, layout)
    if refused:
        raise refused
    if layout.divisor is not None:
        return *panoptic.stored(label, image, layout.divisor, header_only), label
    label = label.of_bits(layout.bits)
    counts, planes = label.counts, {"label": image.fit(label.plane)}
    if planes["label"] is not label.plane:
        counts = images.histogram(planes["label"])
    if recipe.roles("alpha") and label.alpha is not None:
        planes["alpha"] = image.fit(label.alpha, soft=True)
    if not whole:
        return {}, planes, counts, label
    stored = kept if kept is not None and label.stored else images.write(planes["label"])
    return {"label": stored, "label.format": b"png"}, planes, {} if header_only else counts, label
