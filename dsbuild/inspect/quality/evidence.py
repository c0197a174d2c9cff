"""What a verdict rests on: a validation, statistics, values of labels, terms, a reference."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsbuild import storage
from dsbuild.engines import Engine
from dsbuild.errors import PlanError
from dsbuild.format import label_values, receipts
from dsbuild.format.folder import Folder, PathLike, split_of
from dsbuild.format.label_values import Presence
from dsbuild.inspect import statistics
from dsbuild.inspect.forms import StatisticsDocument
from dsbuild.inspect.quality import reference
from dsbuild.interop import terms
from dsbuild.interop.terms import Terms
from dsbuild.reader import classes
from dsbuild.validate.run import Validation, validate

BACKGROUND = ("background", "_background_", "__background__", "unlabeled", "unlabelled", "void")


@dataclass(frozen=True)
class Evidence:
    """All that the rules look at.

    Attributes:
      folder: what is checked.
      validation: every record held against schema and pixels.
      statistics: counts over all records.
      empty: split -> for each of its records, whether its label is a mask without any object;
        no entry for splits without masks.
      rejects: split -> samples that its build left out; empty if dsbuild did not build it.
      samples: how many samples the build was made from; one may be many records, cut into tiles.
      terms: licence and citation.
      reference: statistics of the build to compare with, if there is one.
    """

    folder: Folder
    validation: Validation
    statistics: StatisticsDocument
    empty: Mapping[str, NDArray[np.bool_]]
    rejects: Mapping[str, int]
    samples: int
    terms: Terms
    reference: StatisticsDocument | None


def gather(path: PathLike, level: str, against: PathLike | None, engine: Engine) -> Evidence:
    """Read a folder, or a file, completely.

    Statistics that the folder keeps are used if they are of its shards, and otherwise kept there.
    Raises ShardError if there is no TFRecord at all.
    """
    folder = Folder.of(path)
    other = None if against is None else Folder.of(against)
    if other is not None and other.path == folder.path:
        raise PlanError(f"{other.path}: found the same build on both sides, expected another one")
    counted = statistics.known(folder, engine)
    manifest = folder.manifest
    masks = {
        name
        for name, split in counted["splits"].items()
        if any("pixels" in row for row in split["classes"])
    }
    rejects = (
        {} if manifest is None else {name: one.rejects for name, one in manifest.splits.items()}
    )
    return Evidence(
        folder,
        validate(folder, level, engine=engine),
        counted,
        {} if counted["unreadable"] else _empty(folder, masks),
        rejects,
        _samples(folder) or sum(rejects.values()) + counted["all"]["records"],
        Terms() if folder.is_file else terms.load(folder.path),
        None if other is None else reference.counted(other, engine),
    )


def _samples(folder: Folder) -> int | None:
    """Return how many samples were cut into tiles, None if none were or if nothing says it."""
    manifest = folder.manifest
    if manifest is None or "tile" not in manifest.recipe.get("images", {}):
        return None
    found = [receipts.load(folder.path, storage.name(path)) for path in folder.files]
    kept = [one for one in found if one is not None]
    return sum(len(one.sources) for one in kept) if len(kept) == len(found) else None


def _empty(folder: Folder, masks: set[str]) -> dict[str, NDArray[np.bool_]]:
    """Return which records hold nothing but background and ignored pixels, by split."""
    manifest = folder.surrounding.manifest
    names = () if manifest is None else manifest.classes
    nothing = {value for value, name in enumerate(names) if name.lower() in BACKGROUND}
    if manifest is not None and manifest.ignore is not None:
        nothing.add(manifest.ignore)
    made: dict[str, list[NDArray[np.bool_]]] = {}
    for path in folder.files:
        split = split_of(path)
        if split in masks:
            made.setdefault(split, []).append(_without(_values(folder, path), sorted(nothing)))
    return {split: np.concatenate(parts) for split, parts in made.items()}


def _values(folder: Folder, path: str) -> Presence:
    listed = dict(classes.listed(folder, [path]))
    return (
        listed[path]
        if path in listed
        else label_values.parse(label_values.lines(path, folder.labels, 1))
    )


def _without(values: Presence, nothing: list[int]) -> NDArray[np.bool_]:
    """Return which records have a label, and no value in it but these: bool (records,)."""
    count = np.diff(values.starts)
    plain = np.concatenate(([0], np.cumsum(np.isin(values.values, nothing))))[values.starts]
    only: NDArray[np.bool_] = (count > 0) & (np.diff(plain) == count)
    return only
