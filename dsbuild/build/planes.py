"""Planes that `--plane` names: where the file of each sample is, and what becomes of it.

    depth=depth/{key}.png:png16

In a pattern `{key}` is the sample's key, `{stem}` the name of its image without folder and ending,
`{folder}` the folder of its image without the first one, and `{1}`, `{2}`, ... the folders of its
image one by one. Patterns are relative to the data set's root.
"""

import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from dsbuild.errors import ImageError, LayoutError, PlanError
from dsbuild.extras import EXTRAS
from dsbuild.format import aligned
from dsbuild.layouts import Sample

if TYPE_CHECKING:
    import numpy as np

    from dsbuild.build.image_policy import Admitted

_WORD = re.compile(r"\{([^{}]*)\}")
_WORDS = ("key", "stem", "folder", *map(str, range(1, 10)))


@dataclass(frozen=True)
class Plane:
    """A plane: its name, the pattern of its files, its kind."""

    name: str
    pattern: str
    kind: str

    def path(self, sample: Sample) -> str:
        """Return the path of a sample's file; raise LayoutError if there are too few folders."""
        folders = posixpath.dirname(sample.image).split("/")
        stem = posixpath.splitext(posixpath.basename(sample.image))[0]
        words = {"key": sample.key, "stem": stem, "folder": "/".join(folders[1:])}
        words |= {str(i): folder for i, folder in enumerate(folders, start=1) if folder}
        missing = [word for word in _WORD.findall(self.pattern) if word not in words]
        if missing:
            raise LayoutError(
                f"--plane {self.name}: found {{{missing[0]}}} in the pattern, but the image "
                f"{sample.image} has fewer folders"
            )
        return posixpath.normpath(_WORD.sub(lambda match: words[match[1]], self.pattern))


def parse(text: str) -> Plane:
    """Return the plane of `NAME=PATTERN:KIND`; raise PlanError for anything else."""
    name, equals, rest = text.partition("=")
    pattern, colon, kind = rest.rpartition(":")
    if not (equals and colon and pattern) or kind not in aligned.KINDS:
        kinds = ", ".join(aligned.KINDS)
        raise PlanError(
            f"--plane {text}: expected NAME=PATTERN:KIND with a kind of {kinds}, such as "
            "depth=depth/{key}.png:png16"
        )
    if not aligned.NAME.fullmatch(name) or name in aligned.TAKEN or name in EXTRAS:
        raise PlanError(
            f"--plane {text}: found the name {name!r}, expected small letters, digits and _, and "
            "none that records have already"
        )
    strange = [word for word in _WORD.findall(pattern) if word not in _WORDS]
    if (
        strange
        or ".." in pattern.split("/")
        or pattern.startswith("/")
        or not _WORD.search(pattern)
    ):
        raise PlanError(
            f"--plane {text}: found the pattern {pattern!r}, expected a path below the data set's "
            "root with {key}, {stem}, {folder} or {1} to {9}"
        )
    return Plane(name, pattern, kind)


def named(samples: Iterable[Sample], chosen: tuple[Plane, ...]) -> Iterable[Sample]:
    """Yield samples with the paths of their planes."""
    if not chosen:
        return samples
    return (one._replace(planes=tuple(plane.path(one) for plane in chosen)) for one in samples)


class Aligned(NamedTuple):
    """A plane of a sample: its pixels at the stored size, and its bytes if they are stored."""

    pixels: "np.ndarray"
    data: bytes | None

    @property
    def stored(self) -> bytes:
        """The bytes that a record stores."""
        from dsbuild.images import planes

        return planes.write(self.pixels) if self.data is None else self.data


def fitted(data: bytes, plane: Plane, image: "Admitted") -> Aligned:
    """Return a plane at the size at which its image is stored, by nearest neighbour.

    Raises ImageError if it is of another kind, or not of the image's size.
    """
    from dsbuild import images
    from dsbuild.images import planes

    pixels, whole = planes.read(data, plane.kind)
    if pixels.shape[:2] != image.size:
        found, expected = (
            f"{width} x {height}" for height, width in (pixels.shape[:2], image.size)
        )
        raise ImageError(
            f"found a plane {plane.name} of {found} pixels, expected the image's {expected}",
            kind="plane",
        )
    size = (image.head.height, image.head.width)
    if image.size == size:
        return Aligned(pixels, data if whole else None)
    return Aligned(images.pick(pixels, size), None)
