"""Validate TFRecords: a folder that dsbuild wrote, any other folder, or one file.

Nothing is changed.
"""

import functools
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from dsbuild import storage
from dsbuild.build import output, recipe
from dsbuild.build import plan_files as plans
from dsbuild.build.image_policy import Policy
from dsbuild.engines import Engine, Job, Local
from dsbuild.errors import DataError, LayoutError, PlanError
from dsbuild.format import names
from dsbuild.format.folder import Folder, PathLike, remedy
from dsbuild.format.manifest import Manifest
from dsbuild.format.schema import Schema, load
from dsbuild.layouts import Layout
from dsbuild.validate import control, index, slices
from dsbuild.validate.file import Look, check
from dsbuild.validate.problem import Problem
from dsbuild.validate.rules import LEVELS, Checked, Expected, Rules, Task

__all__ = ["LEVELS", "Validation", "validate"]

_SPEED = 1 << 30  # bytes of frames that are checked per second, roughly


@dataclass(frozen=True)
class Validation:
    """The result of a validation.

    Attributes:
      path, level: what was checked, and how deeply.
      problems: by file.
      notes: what is worth knowing, such as what could not be checked.
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
        """Return the result as a JSON document."""
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
    """Check a folder or a file as deeply as `level`, one of `LEVELS`, says.

    `frames`: lengths and checksums; `records`: also that each record is an Example that fits
    the schema, and the files' sha256; `pixels`: also that images and labels decode, match their
    features, and hold classes; `source`: also that each record is what the data set at `source`
    gives now. The engine is this process by default. Raises ShardError if there is no TFRecord
    at all.
    """
    if level not in LEVELS:
        raise PlanError(f"--level {level}: expected one of {', '.join(LEVELS)}")
    folder = Folder.of(path)
    path, home, whole = folder.path, folder.home, not folder.is_file
    problems: list[Problem] = []
    notes: list[str] = []
    manifest = _manifest(folder, problems)
    schema = _schema(folder, problems)
    rules = _rules(home, level, source, manifest, schema, notes)
    paths = folder.files
    look: Look | None = None
    if level != "frames":
        # Here, before workers are forked: importing NumPy and Pillow takes longer than checking
        # frames.
        from dsbuild.validate import cross_file, partial, record

        look = record.look
    in_control = list(control.problems(folder, manifest, notes)) if manifest is not None else []
    changed = {problem.file for problem in in_control}
    tasks = _tasks(home, paths, manifest if look else None, changed)
    size = storage.size(paths)
    work = functools.partial(check, rules=rules, look=look)
    seconds = size / _SPEED if level == "frames" else None
    job = Job(tasks, work, size, "validating", unit="bytes", seconds=seconds)
    checked = (engine or Local()).map(job)
    if manifest is not None:
        problems += _against_manifest(path, manifest, checked)
        problems += in_control
        if manifest.files is None:
            problems += _side_files(path, manifest, notes)
        if level in ("pixels", "source"):
            by_name = {os.path.basename(file.path): file for file in checked}
            problems += control.counted(path, manifest, by_name)
        if rules.source:
            problems += slices.problems(home, manifest.splits, *rules.source)
    elif whole:
        problems += _unnumbered(path, paths)
    if folder.unfinished:
        problems.append(Problem("unfinished", path, folder.unfinished))
    for file in checked:
        problems += file.problems
        if file.more:
            notes.append(f"{file.path}: {file.more:,} more problems")
    problems += index.problems(home, checked, manifest, level in ("pixels", "source"))
    empty = [os.path.basename(file.path) for file in checked if not file.bytes]
    if empty:
        several = f"{len(empty):,} files have no records, such as {empty[0]}"
        notes.append(several if len(empty) > 1 else f"{empty[0]} has no records")
    if look:
        problems += partial.problems(checked, schema)
        problems += cross_file.duplicates(checked, notes)
        notes += cross_file.classes(checked, manifest)
    return Validation(
        path,
        level,
        tuple(problems),
        tuple(notes),
        len(checked),
        sum(file.records for file in checked),
        sum(file.bytes for file in checked),
    )


def _manifest(folder: Folder, problems: list[Problem]) -> Manifest | None:
    try:
        return folder.manifest
    except DataError as error:
        name = storage.join(folder.path, names.NAME)
        problems.append(Problem("changed", name, str(error).removeprefix(f"{name}: ")))
        return None


def _schema(folder: Folder, problems: list[Problem]) -> Schema:
    """Return the schema beside the data; if it is damaged, that of DeepLab's records."""
    try:
        return folder.schema
    except DataError as error:
        name = storage.join(folder.home, names.SCHEMA)
        problems.append(Problem("changed", name, str(error).removeprefix(f"{name}: ")))
        return load("segmentation")


def _rules(
    home: str,
    level: str,
    source: str | None,
    manifest: Manifest | None,
    schema: Schema,
    notes: list[str],
) -> Rules:
    if manifest is None:
        if level == "source":
            raise PlanError(
                f"{home}: found no manifest, so the sources are not known; choose another --level"
            )
        if level == "pixels":
            notes.append("there is no manifest: label values, counts and sha256 were not checked")
        return Rules(level, schema)
    try:
        policy = Policy.load(manifest.recipe["images"])
    except (KeyError, TypeError, AttributeError, PlanError):
        policy = None  # of another version
    if level in ("frames", "records"):
        return Rules(level, schema, True, policy=policy)
    try:
        built_by = recipe.load(manifest.recipe)
    except (DataError, PlanError) as error:
        if level == "source":
            raise
        notes.append(f"extras were not computed again: {error}")
        built_by = None
    chosen = built_by.chosen if built_by else ()
    if any(extra.extra.of == "alpha" for extra in chosen) and level == "pixels":
        notes.append("alpha and trimap were not computed again, since that needs their sources")
    again = tuple(extra for extra in chosen if extra.extra.of in ("image", "label"))
    things = None if manifest.divisor is None else frozenset(manifest.things)
    depth = policy.depth if policy else 8
    expected = Expected(len(manifest.classes), manifest.ignore, again, things, depth)
    if level == "source" and built_by is not None:
        root = _root(home, built_by.layout, source)
        return Rules(level, schema, True, expected, (root, built_by), policy)
    return Rules(level, schema, True, expected, policy=policy)


def _root(home: str, layout: Layout, source: str | None) -> str:
    """Return the root of the sources; raise LayoutError if there is no such data set."""
    try:
        return layout.find(source)
    except LayoutError as error:
        if source is not None:
            raise
        raise LayoutError(
            f"--level source: found no data set ({layout.title}) to compare with; name the one "
            f"that the folder was built from: dsbuild validate {home} SOURCE --level source"
        ) from error


def _tasks(
    home: str, paths: Sequence[str], manifest: Manifest | None, changed: Collection[str]
) -> list[Task]:
    """Return one task per file, with the place of its plan unless its plan file is `changed`."""
    places: dict[str, plans.Place] = {}
    for split in manifest.splits if manifest else ():
        path = plans.path(home, split)
        readable = path not in changed and storage.stamp(path)
        planned = list(plans.places(path)) if readable else []
        for i, place in enumerate(planned):
            places[names.shard_name(split, i, len(planned))] = place
    return [Task(path, home, places.get(os.path.basename(path))) for path in paths]


def _against_manifest(path: str, manifest: Manifest, checked: Sequence[Checked]) -> list[Problem]:
    """Return shards that are missing, extra, or differ in records or bytes from the manifest."""
    listed = {shard.name: shard for shard in manifest.shards}
    files = {os.path.basename(file.path): file for file in checked}
    problems = []
    for name, shard in listed.items():
        place = storage.join(path, name)
        file = files.get(name)
        if file is None:
            twins = [other for other, twin in files.items() if twin.sha256 == shard.sha256]
            twins = [other for other in twins if other not in listed]
            text = f"{twins[0]} has its bytes: rename it" if twins else remedy(place)
            text = f"the manifest lists this shard, but it is missing; {text}"
            problems.append(Problem("missing", place, text))
            continue
        if file.records != shard.records:
            text = f"found {file.records:,} whole records, but the manifest lists {shard.records:,}"
            problems.append(Problem("count", place, f"{text}; build it again"))
        if file.bytes != shard.bytes:
            text = f"found {file.bytes:,} bytes, but the manifest lists {shard.bytes:,}"
            problems.append(Problem("changed", place, f"{text}; build it again"))
        elif file.sha256 and file.sha256 != shard.sha256:
            text = "the file differs from what was written: it has another sha256"
            problems.append(Problem("changed", place, f"{text}; build it again"))
    gone = listed.keys() - files.keys()
    for name, file in files.items():
        if name not in listed and names.unpacked(name) not in gone:
            twins = [other for other, shard in listed.items() if file.sha256 == shard.sha256]
            text = f" (its bytes are those of {twins[0]})" if twins and file.sha256 else ""
            text = f"the manifest does not list this file{text}; move it away"
            problems.append(Problem("extra", file.path, text))
    return problems


def _side_files(path: str, manifest: Manifest, notes: list[str]) -> list[Problem]:
    """Return files beside the shards that are missing or differ from what was written."""
    try:
        if manifest.version != names.WRITTEN_AS:
            raise PlanError(f"dsbuild {manifest.version} wrote the folder")
        built_by = recipe.load(manifest.recipe)
        unlike = output.unlike(path, output.side_files(path, built_by, manifest.document))
    except (DataError, PlanError) as error:
        notes.append(f"files beside the shards were not compared: {error}")
        return []
    text = "the file is missing or differs from what was written; dsbuild repair writes it again"
    return [Problem("changed", storage.join(path, name), text) for name in unlike]


def _unnumbered(path: str, paths: Sequence[str]) -> list[Problem]:
    """Return shards that are missing, judging by the numbers in the other shards' names."""
    present = [os.path.basename(name) for name in paths]
    expected = {
        names.unpacked(sibling): sibling for name in present for sibling in names.siblings(name)
    }
    missing = expected.keys() - set(map(names.unpacked, present))
    text = (
        "judging by the names of the other shards, this one is missing; download or build it again"
    )
    return [
        Problem("missing", storage.join(path, expected[name]), text) for name in sorted(missing)
    ]
