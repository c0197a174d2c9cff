"""Give a reader a cache of decoded samples, by the options that all ways to read have."""

import os
from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from dsbuild.errors import PlanError
from dsbuild.reader import decoded
from dsbuild.reader.reader import Reader


class Caching(NamedTuple):
    """The options of a cache, those of `dsbuild.open`."""

    cache: str | None = None
    folder: str | os.PathLike[str] | None = None
    size: int | None = None


NONE = Caching()


def kept(
    reader: Reader,
    planes: Iterable[str],
    cache: str | None,
    folder: str | os.PathLike[str] | None = None,
    size: int | None = None,
) -> Reader:
    """Return a reader that keeps image, label and some extras of its samples, if asked to.

    The options are those of `dsbuild.open`. Raises PlanError if they do not fit each other or the
    data.
    """
    if cache is None:
        given = {"cache_folder": folder, "cache_size": size}
        names = [name for name, value in given.items() if value is not None]
        if names:
            raise PlanError(f"{', '.join(names)}: expected only with cache={decoded.DECODED!r}")
        return reader
    if cache != decoded.DECODED:
        raise PlanError(f"cache: found {cache!r}, expected {decoded.DECODED!r}, or nothing")
    if size is not None and size < 1:
        raise PlanError(f"cache_size: found {size}, expected 1 byte or more")
    found = decoded.of(
        reader.folder, reader.records.paths, reader.extras, tuple(planes), folder, size
    )
    return replace(reader, decoded=found)
