"""Validate TFRecords: a folder that dsbuild wrote, any other, or one file. Nothing is changed."""

import functools
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from dsbuild import __version__, storage
from dsbuild.build import output, recipe
from dsbuild.build import plan_files as plans
from dsbuild.engines import Engine, Job, Local
from dsbuild.errors import DataError, PlanError
from dsbuild.format import manifest
from dsbuild.format.folder import Folder, PathLike
from dsbuild.format.manifest import Manifest
from dsbuild.format.schema import Schema, load
from dsbuild.validate import control, index
from dsbuild.validate.file import Look, check
from dsbuild.validate.problem import Problem
from dsbuild.validate.rules import LEVELS, Checked, Expected, Rules, Task

__all__ = ["LEVELS", "Validation", "validate"]

_SPEED = 1 << 30  # bytes of frames that are checked in a second, roughly


@dataclass(frozen=True)
class Validation:
    """What a validation found.

    Attributes:
      path, level: what was checked, and how deep.
      problems: by file.
      notes: also on what could not be checked.
      files, records, bytes: how much was checked.
    """

    path: str
    level: str
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
    files: int
    records: int
    bytes: int

    def document(self) -> dict[str, Any]:
        """Return what was found, as a JSON document."""
        return {
            "path": self.path,
            "level": self.level,
            "files": self.files,
            "records": self.records,
            "bytes": self.bytes,
            "problems": [vars(problem) | {"text": str(problem)} for problem in self.problems],
            "notes": list(self.notes),
        }


def validate(
    path: PathLike,
    level: str = "pixels",
    source: str | None = None,
    engine: Engine | None = None,
) -> Validation:
    """Check a folder or a file as deep as a level of `LEVELS` says.

    `frames`: lengths and checksums; `records`: also that each is an Example that fits the
    schema, and the files' sha256; `pixels`: also that images and labels decode, fit their
    features, and hold classes; `source`: also that every record is what `source`, the
    data set, gives now. The engine is this process by default. Raises ShardError if there is no
    TFRecord at all.
    """
    if level not in LEVELS:
        raise PlanError(f"--level {level}: expected one of {', '.join(LEVELS)}")
    folder = Folder.of(path)
    path, home, whole = folder.path, folder.home, not folder.is_file
    problems: list[Problem] = []
    notes: list[str] = []
    known = _manifest(folder, problems)
    schema = _schema(folder, problems)
    rules = _rules(home, level, source, known, schema, notes)
    paths = folder.files
    look: Look | None = None
    if level != "frames":
        # Here, before workers are forked: NumPy and Pillow take longer to import than frames to
        # check.
        from dsbuild.validate import cross_file, partial, record

        look = record.look
    mine = list(control.problems(folder, known, notes)) if known is not None else []
    tasks = _tasks(home, paths, known if look else None, {one.file for one in mine})
    size = storage.size(paths)
    work = functools.partial(check, rules=rules, look=look)
    seconds = size / _SPEED if level == "frames" else None
    job = Job(tasks, work, size, "validating", unit="bytes", seconds=seconds)
    checked = (engine or Local()).map(job)
    if known is not None:
        problems += _against_manifest(path, known, checked)
        problems += mine
        if known.files is None:
            problems += _side_files(path, known, notes)
        if level in ("pixels", "source"):
            by_name = {os.path.basename(one.path): one for one in checked}
            problems += control.counted(path, known, by_name)
    elif whole:
        problems += _unnumbered(path, paths)
    there = storage.stamp(storage.join(path, manifest.NAME))
    if not there and whole and storage.is_folder(storage.join(path, manifest.STATE)):
        text = "found no manifest.json, so this build is unfinished; run its command again"
        problems.append(Problem("unfinished", path, text))
    for one in checked:
        problems += one.problems
        if one.more:
            notes.append(f"{one.path}: {one.more:,} problems more")
    problems += index.problems(home, checked, known, level in ("pixels", "source"))
    empty = [os.path.basename(one.path) for one in checked if not one.bytes]
    if empty:
        notes.append(f"{len(empty):,} files have no record, such as {empty[0]}")
    if look:
        problems += partial.problems(checked, schema)
        problems += cross_file.duplicates(checked, notes)
        notes += cross_file.classes(checked, known)
    return Validation(
        path,
        level,
        tuple(problems),
        tuple(notes),
        len(checked),
        sum(one.records for one in checked),
        sum(one.bytes for one in checked),
    )


def _manifest(folder: Folder, problems: list[Problem]) -> Manifest | None:
    try:
        return folder.manifest
    except DataError as error:
        name = storage.join(folder.path, manifest.NAME)
        problems.append(Problem("changed", name, str(error).removeprefix(f"{name}: ")))
        return None


def _schema(folder: Folder, problems: list[Problem]) -> Schema:
    """Return the schema that travels with the data; that of DeepLab's records if it is damaged."""
    try:
        return folder.schema
    except DataError as error:
        name = storage.join(folder.home, manifest.SCHEMA)
        problems.append(Problem("changed", name, str(error).removeprefix(f"{name}: ")))
        return load("segmentation")


def _rules(
    home: str,
    level: str,
    source: str | None,
    known: Manifest | None,
    schema: Schema,
    notes: list[str],
) -> Rules:
    if known is None:
        if level == "source":
            raise PlanError(f"{home}: found no manifest, so records have no source; name a level")
        if level == "pixels":
            notes.append("there is no manifest: label values, counts, sha256 were not checked")
        return Rules(level, schema)
    if level in ("frames", "records"):
        return Rules(level, schema, True)
    try:
        made = recipe.load(known.recipe)
    except (DataError, PlanError) as error:
        if level == "source":
            raise
        notes.append(f"extras were not computed again: {error}")
        made = None
    chosen = made.chosen if made else ()
    if any(one.extra.of == "alpha" for one in chosen) and level == "pixels":
        notes.append("alpha and trimap are made of their source, and were not computed again")
    again = tuple(one for one in chosen if one.extra.of in ("image", "label"))
    expected = Expected(len(known.classes), known.ignore, again)
    roots = (made.layout.find(source), made) if made and level == "source" else None
    return Rules(level, schema, True, expected, roots)


def _tasks(
    home: str, paths: Sequence[str], known: Manifest | None, changed: Collection[str]
) -> list[Task]:
    """Return the files with the places of their plans, of plan files that are not `changed`."""
    places: dict[str, plans.Place] = {}
    for split in known.splits if known else ():
        path = plans.path(home, split)
        there = path not in changed and storage.stamp(path)
        found = list(plans.places(path)) if there else []
        places |= {manifest.shard_name(split, i, len(found)): one for i, one in enumerate(found)}
    return [Task(path, home, places.get(os.path.basename(path))) for path in paths]


def _against_manifest(path: str, known: Manifest, checked: Sequence[Checked]) -> list[Problem]:
    """Return missing and extra shards, and those of other records or bytes than were written."""
    listed = {shard.name: shard for shard in known.shards}
    found = {os.path.basename(one.path): one for one in checked}
    problems = []
    for name, shard in listed.items():
        full = storage.join(path, name)
        one = found.get(name)
        if one is None:
            twins = [n for n, other in found.items() if other.sha256 == shard.sha256]
            twins = [name for name in twins if name not in listed]
            text = f"; {twins[0]} has its bytes: rename it" if twins else "; build it again"
            problems.append(Problem("missing", full, f"the manifest lists this shard{text}"))
            continue
        if one.records != shard.records:
            text = f"found {one.records:,} whole records, expected {shard.records:,}"
            problems.append(Problem("count", full, f"{text} by the manifest; build it again"))
        changed = one.bytes != shard.bytes or (one.sha256 or shard.sha256) != shard.sha256
        if changed:
            text = f"found {one.bytes:,} bytes of another content than the manifest says, expected"
            problems.append(Problem("changed", full, f"{text} {shard.bytes:,}; build it again"))
    for name, one in found.items():
        if name not in listed:
            twins = [n for n, shard in listed.items() if one.sha256 == shard.sha256]
            text = f" (its bytes are those of {twins[0]})" if twins and one.sha256 else ""
            problems.append(
                Problem("extra", one.path, f"the manifest does not list it{text}; move it away")
            )
    return problems


def _side_files(path: str, known: Manifest, notes: list[str]) -> list[Problem]:
    """Return the files beside the manifest that are missing, or not as they were written."""
    try:
        if known.version != __version__:
            raise PlanError(f"dsbuild {known.version} wrote the folder")
        made = recipe.load(known.recipe)
        unlike = output.unlike(path, output.side_files(path, made, known.document))
    except (DataError, PlanError) as error:
        notes.append(f"files beside the shards were not compared: {error}")
        return []
    text = "found another content than was written, or no such file; dsbuild repair writes it again"
    return [Problem("changed", storage.join(path, name), text) for name in unlike]


def _unnumbered(path: str, paths: Sequence[str]) -> list[Problem]:
    """Return the shards that lack by the numbers in the names of others."""
    there = {os.path.basename(name) for name in paths}
    expected = {name for one in there for name in manifest.siblings(one)}
    text = "other shards say by their names that there is this one; fetch or build it again"
    return [Problem("missing", storage.join(path, name), text) for name in sorted(expected - there)]
