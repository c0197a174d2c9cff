"""Bring the classes of several builds to one list: pure functions of names and values."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from dsbuild.build.merge.tables import Table
from dsbuild.errors import PlanError, nearest
from dsbuild.format import planes
from dsbuild.layouts.base import RGB

IGNORED = 255  # the value of pixels that a merge ignores, with at most 255 classes
_SHOWN = 6  # classes that a message lists


def count(number: int, what: str, plural: str = "") -> str:
    """Return a number of things as text."""
    return f"{number:,} {what if number == 1 else plural or what + 's'}"


class Space(NamedTuple):
    """The label values of one build.

    Attributes:
      name: of the build.
      classes: names by value; none if the build does not say.
      ignore: the value that is not a class, or None.
      palette: RGB by value.
      values: the values that occur -> how many records have them.
    """

    name: str
    classes: tuple[str, ...]
    ignore: int | None
    palette: Mapping[int, RGB]
    values: Mapping[int, int]

    def called(self, value: int) -> str:
        """Return what messages call a value."""
        if value < len(self.classes):
            return f"{self.classes[value]} ({value})"
        return str(value)


class Joined(NamedTuple):
    """One list of classes for several builds.

    Attributes:
      classes: names by value.
      ignore: the value that is not a class, or None.
      palette: RGB by value; empty if the builds do not give every class a colour of its own.
      tables: for each build, value in it -> value in the merge.
      notes: what a user should know.
    """

    classes: tuple[str, ...]
    ignore: int | None
    palette: tuple[RGB, ...]
    tables: tuple[Mapping[int, int], ...]
    notes: tuple[str, ...] = ()

    @property
    def ignored(self) -> int:
        """The value of pixels that are ignored, if any are."""
        return _ignored(len(self.classes))


def _ignored(classes: int) -> int:
    return IGNORED if classes <= IGNORED else planes.unnamed(16)


def join(spaces: Sequence[Space], table: Table | None) -> Joined:
    """Return the classes of a merge, and what becomes of each value of each build.

    Without a table all builds must have the same classes. Raises PlanError for a table that does
    not fit, and for a value that occurs in a build and has no place in the merge.
    """
    classes, columns, notes = _by_table(spaces, table) if table else _by_name(spaces)
    if not classes:
        raise PlanError(f"{table.path if table else 'merge'}: it leaves no class; expected one")
    places, ignored = {name: i for i, name in enumerate(classes)}, _ignored(len(classes))
    tables = [
        {value: ignored if new is None else places[new] for value, new in column.items()}
        for column in columns
    ]
    ignores = any(new == ignored for one in tables for new in one.values())
    if len(classes) >= planes.WIDEST:
        raise PlanError(f"found {len(classes):,} classes; expected fewer than {planes.WIDEST:,}")
    for space, known in zip(spaces, tables, strict=True):
        _refuse_unmapped(space, known, table)
    palette = _palette(spaces, tables, len(classes))
    return Joined(classes, ignored if ignores else None, palette, tuple(tables), tuple(notes))


def _by_name(
    spaces: Sequence[Space],
) -> tuple[tuple[str, ...], list[dict[int, str | None]], list[str]]:
    first, *others = spaces
    notes = []
    for space in spaces:
        if not space.classes:
            raise PlanError(
                f"{space.name}: it does not name its classes; say by --map FILE which class each "
                "of its values becomes"
            )
    for space in others:
        if set(space.classes) != set(first.classes):
            only = [
                f"only {one.name} has {_listed(sorted(set(one.classes) - set(other.classes)))}"
                for one, other in ((first, space), (space, first))
                if set(one.classes) - set(other.classes)
            ]
            raise PlanError(
                f"{first.name} and {space.name} have different classes: {'; '.join(only)}; say by "
                "--map FILE which class each of them becomes"
            )
        if space.classes != first.classes:
            notes.append(
                f"{space.name} has the classes of {first.name} in another order; its labels are "
                "mapped by the names of the classes"
            )
    columns = [_with_ignore(space, dict(enumerate(space.classes))) for space in spaces]
    return first.classes, columns, notes


def _by_table(
    spaces: Sequence[Space], table: Table
) -> tuple[tuple[str, ...], list[dict[int, str | None]], list[str]]:
    notes, columns = [], []
    names = [space.name for space in spaces]
    strangers = [name for name in table.columns if name not in names]
    if table.closed and strangers:
        raise PlanError(
            f"{table.path}: found a section {strangers[0]}, but no build of this name"
            f"{nearest(strangers[0], names)}; the builds are {', '.join(names)}; name them as in "
            f"{strangers[0]}=FOLDER"
        )
    for space in spaces:
        if space.name not in table.columns:
            raise PlanError(
                f"{table.path}: found nothing for build {space.name}"
                f"{nearest(space.name, table.columns)}; there are {_listed(table.columns)}; name "
                f"the build as its column is called: COLUMN=FOLDER"
            )
        column, unknown = _column(space, table)
        columns.append(_with_ignore(space, column))
        if unknown and table.closed:
            raise PlanError(
                f"{table.path}: {space.name} has no class {unknown[0]!r}"
                f"{nearest(unknown[0], space.classes)}; expected classes or values of the build"
            )
        if unknown:
            few = count(len(unknown), "class", "classes")
            notes.append(
                f"{table.path}: column {space.name} names {few} that the build does not have: "
                f"{_listed(unknown)}"
            )
    return table.classes, columns, notes


def _column(space: Space, table: Table) -> tuple[dict[int, str | None], list[str]]:
    """Return value -> new class or None for ignore, and the old classes that there are not."""
    for (name, old), line in table.clashes.items():
        if name == space.name:
            raise PlanError(
                f"{table.path}, line {line}: found {old!r} of {name} a second time, in the row of "
                "another class; expected each old class in one row"
            )
    made: dict[int, str | None] = {}
    given: dict[int, str] = {}
    unknown = []
    for old, new in table.columns[space.name].items():
        named = [value for value, name in enumerate(space.classes) if name == old]
        if old.isascii() and old.isdecimal() and int(old) not in named:
            named.append(int(old))
        if len(named) > 1:
            raise PlanError(
                f"{table.path}: {space.name}: {old!r} is the name of class {named[0]} and also "
                "another value; expected the name of that class instead"
            )
        if not named:
            unknown.append(old)
            continue
        (value,) = named
        if value in made and made[value] != new:
            raise PlanError(
                f"{table.path}: {space.name}: found {given[value]!r} and {old!r}, which are both "
                f"{space.called(value)}, with two new classes; expected one"
            )
        made[value], given[value] = new, old
    return made, unknown


def _with_ignore(space: Space, column: Mapping[int, str | None]) -> dict[int, str | None]:
    own: dict[int, str | None] = {} if space.ignore is None else {space.ignore: None}
    return {**own, **column}


def _refuse_unmapped(space: Space, known: Mapping[int, int], table: Table | None) -> None:
    lost = sorted(value for value in space.values if value not in known)
    if not lost:
        return
    listed = [f"{space.called(value)} in {count(space.values[value], 'record')}" for value in lost]
    remedy = (
        f"add them to {space.name} in {table.path}, or map them to ignore"
        if table
        else f"say by --map FILE what they become, or look at {space.name} with dsbuild validate"
    )
    raise PlanError(
        f"{space.name}: its labels hold {_listed(listed)}, which have no place in the merge; "
        f"{remedy}"
    )


def _listed(names: Sequence[str] | Mapping[str, object]) -> str:
    shown = [*names][:_SHOWN]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def _palette(
    spaces: Sequence[Space], tables: Sequence[Mapping[int, int]], count: int
) -> tuple[RGB, ...]:
    """Return a colour for each class, that of the first build that has one; () if any is missing.

    Also if two classes would have the same colour.
    """
    found: dict[int, RGB] = {}
    for space, table in zip(spaces, tables, strict=True):
        for value, new in sorted(table.items()):
            if new < count and value in space.palette:
                found.setdefault(new, space.palette[value])
    if len(found) < count or len(set(found.values())) < count:
        return ()
    return tuple(found[value] for value in range(count))
