"""The layout that a build reads: recognised, found, and settled by its files."""

import os
from collections.abc import Callable, Mapping
from typing import Any

from dsbuild import storage
from dsbuild.build import recognition
from dsbuild.build.layout_options import AUTO
from dsbuild.errors import LayoutError, PlanError
from dsbuild.layouts import Layout


def recognised(
    source: str | os.PathLike[str] | None, options: Mapping[str, Any]
) -> tuple[str, dict[str, Any]]:
    """Return the layout of a source, and the options that it is built with."""
    if source is None:
        raise PlanError(f"layout {AUTO}: found no source, expected the folder to recognise")
    found = recognition.recognise(source, **options)
    if found.needs:
        raise PlanError(f"{os.fspath(source)}: {found.text}; name {found.needs}")
    return found.layout, {**options, **found.options}


def root(layout: Layout, source: str | None) -> str:
    """Return the root of a source; raise LayoutError, which says if it has another layout."""
    try:
        return layout.find(source)
    except LayoutError as error:
        if source is None or not storage.is_folder(source):
            raise
        best = [one for one in recognition.look(source).best if one.layout != layout.name]
        if len(best) != 1:
            raise
        raise LayoutError(
            f"{error}; this folder looks like {best[0].text}: dsbuild build {source}"
        ) from None


def settled(layout: Layout, root: str, on_error: str, note: Callable[[str], None]) -> Layout:
    """Return a layout with the options that its files settle, and note which.

    If bad samples are skipped, nothing is settled: those that contradict would be left out, and
    the others would be built wrong.
    """
    if on_error == "skip":
        return layout
    found, said = layout.settled(root)
    if said:
        note(f"{root}: {said}")
    return found
