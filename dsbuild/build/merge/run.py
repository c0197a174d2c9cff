"""Merge finished builds: look through them, bring classes to one list, write shard by shard.

Nothing is written before every label value of every build has a place in the merge. The folder is
opened, resumed and closed as one of a build; its manifest also says where its records come from:

    "merged": [{name, title, layout, manifest, license, citation}, ...]
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dsbuild import interop, storage
from dsbuild.build import output
from dsbuild.build.finishing import finish
from dsbuild.build.merge import builds as opening
from dsbuild.build.merge import contents, folder, shards, spaces, tables
from dsbuild.build.merge.builds import Build, Seen
from dsbuild.build.merge.shards import Task
from dsbuild.build.merge.spaces import Joined, Space
from dsbuild.build.recipe import Recipe
from dsbuild.build.request import check_out
from dsbuild.engines import Engine, Local
from dsbuild.errors import PlanError
from dsbuild.format import split_names
from dsbuild.layouts.finding import ACCEPTABLE

Note = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Merge:
    """What a merge made of builds.

    Attributes:
      out: the folder.
      builds: the names of the builds, in their order.
      classes: names of the classes, by value.
      origins: for each class, the classes or values of each build that became it.
      ignored: those of each build that became the ignore value.
      empty: the classes that no record has.
      manifest: what manifest.json holds; None after a dry run.
      written, kept: numbers of shards.
    """

    out: str
    builds: tuple[str, ...]
    classes: tuple[str, ...]
    origins: tuple[tuple[tuple[str, ...], ...], ...]
    ignored: tuple[tuple[str, ...], ...]
    empty: tuple[str, ...]
    manifest: Mapping[str, Any] | None = None
    written: int = 0
    kept: int = 0

    def __repr__(self) -> str:
        what = f"{len(self.builds):,} builds, {len(self.classes):,} classes"
        if self.manifest is None:
            return f"<Merge {self.out}: nothing was written, {what}>"
        shards = f"{self.written + self.kept:,} shards, of which {self.written:,} are new"
        return f"<Merge {self.out}: {what}, {shards}>"

    def document(self) -> dict[str, Any]:
        """Return what `dsbuild merge --json` prints."""
        return {
            "out": self.out,
            "builds": list(self.builds),
            "classes": [
                {"name": name, "from": dict(zip(self.builds, map(list, cells), strict=True))}
                for name, cells in zip(self.classes, self.origins, strict=True)
            ],
            "ignored": dict(zip(self.builds, map(list, self.ignored), strict=True)),
            "empty": list(self.empty),
            "written": self.written,
            "kept": self.kept,
            "manifest": self.manifest,
        }


def merge(
    given: Sequence[str],
    out: str,
    *,
    map: str | None = None,
    ignore: str = tables.IGNORE,
    drop: Collection[str] = (),
    overwrite: bool = False,
    dry_run: bool = False,
    engine: Engine | None = None,
    note: Note = lambda _: None,
) -> Merge:
    """Merge builds, each a path or `NAME=PATH`, into one; as the public function says."""
    engine = engine or Local()
    _ = engine.workers  # so that a cluster that is not ready is reported before any work
    table = tables.read(map, ignore) if map else None
    found = opening.opened(given)
    _check_place(found, out)
    seen = opening.look(found, engine)
    kind = contents.kind(found, seen)
    known = [_space(build, seen) for build in found]
    joined = spaces.join(known, table)
    if kind == "class" and any(
        table[value] == joined.ignored
        for space, table in zip(known, joined.tables, strict=True)
        for value in space.values
    ):
        raise PlanError("a class of whole images is mapped to ignore, and such records ignore none")
    prefixes, shared = opening.prefixes(found, seen)
    beta, left = contents.beta(found)
    recipe = _recipe(found, joined, prefixes, contents.extras(found, seen, drop), kind)
    planned = shards.planned(found, seen, joined.tables, prefixes, recipe)
    _check_splits(tuple(planned))
    result = _result(out, known, joined)
    hints = _hints(table, result, planned)
    for line in (*joined.notes, *shared, *left, *hints):
        note(line)
    if dry_run:
        return result
    terms, more = contents.terms(found), {"merged": contents.origins(found)}
    with storage.lock(output.state(out, "lock"), note):
        with storage.listed_once(*output.places(out)):
            folder.refuse(out, recipe, planned, overwrite, note)
            kept = folder.keep(out, recipe, planned, beta, engine, note)
        todo = [task for mine in planned.values() for task in mine if task.name not in kept]
        if todo:
            (terms | interop.load(out)).save(out)
        written = folder.write(todo, out, engine)
        with storage.listed_once(*output.places(out)):
            document, _ = finish(
                out,
                recipe,
                list(planned),
                [*written, *kept.values()],
                {},
                ACCEPTABLE,
                beta,
                more,
            )
    return Merge(
        **vars(result) | {"manifest": document, "written": len(written), "kept": len(kept)}
    )


def _space(build: Build, seen: Mapping[str, Seen]) -> Space:
    values: dict[int, int] = {}
    for source in build.sources:
        for value, count in seen[source.path].values.items():
            values[value] = values.get(value, 0) + count
    mine = build.folder
    return Space(build.name, mine.classes, mine.ignore, mine.palette, values)


def _check_place(found: Sequence[Build], out: str) -> None:
    check_out(out)
    for build in found:
        path = build.folder.path
        if storage.inside(out, path) or storage.normal(out) == storage.normal(path):
            raise PlanError(
                f"{out}: the output folder is in the build {path}, whose readers would take its "
                "shards for their own; name another OUT"
            )


def _check_splits(names: tuple[str, ...]) -> None:
    for name in names:
        if reason := split_names.refusal(name):
            raise PlanError(f"{reason}; rename its files")
    if alike := split_names.clash(names):
        raise PlanError(
            f"found the splits {alike[0]} and {alike[1]}, whose shards readers would take for one "
            "another's; rename the files of one of them"
        )


def _recipe(
    found: Sequence[Build],
    joined: Joined,
    prefixes: Sequence[str],
    extras: tuple[str, ...],
    kind: str,
) -> Recipe:
    rows = zip(found, prefixes, joined.tables, strict=True)
    made = contents.layout(kind == "pixels")(
        names=joined.classes,
        ignore_value=-1 if joined.ignore is None else joined.ignore,
        colours=joined.palette,
        builds=tuple(
            (build.name, build.title, prefix, tuple(sorted(table.items())))
            for build, prefix, table in rows
        ),
    )
    return Recipe(layout=made, extras=extras, policy=contents.policy(found))


def _result(out: str, known: Sequence[Space], joined: Joined) -> Merge:
    """Return what becomes of the classes, before anything is written."""
    cells: list[list[tuple[str, ...]]] = [[] for _ in (*joined.classes, "")]
    filled: set[int] = set()
    for space, table in zip(known, joined.tables, strict=True):
        filled |= {table[value] for value in space.values}
        for place, row in enumerate(cells):
            wanted = place if place < len(joined.classes) else joined.ignored
            old = [value for value, new in sorted(table.items()) if new == wanted]
            names = [
                space.classes[value] if value < len(space.classes) else str(value) for value in old
            ]
            row.append(tuple(names))
    return Merge(
        out=out,
        builds=tuple(space.name for space in known),
        classes=joined.classes,
        origins=tuple(map(tuple, cells[:-1])),
        ignored=tuple(cells[-1]),
        empty=tuple(name for i, name in enumerate(joined.classes) if i not in filled),
    )


def _hints(
    table: tables.Table | None, result: Merge, planned: Mapping[str, Sequence[Task]]
) -> list[str]:
    found = []
    if result.empty:
        few = spaces.count(len(result.empty), "class", "classes")
        found.append(f"no record has {few} of the merge: {', '.join(result.empty)}")
    if table and not any(result.ignored) and "unlabeled" in result.classes:
        found.append("unlabeled is a class like the others; --ignore unlabeled ignores its pixels")
    roles: dict[str, list[str]] = {}
    for split in planned:
        roles.setdefault(split_names.role(split) or split, []).append(split)
    for names in roles.values():
        alike = [name for name in names if split_names.same(name, names[0])]
        if len(alike) > 1:
            found.append(f"{' and '.join(alike)} stay different splits, as the builds name them")
    return found
