"""Tables that say which class of a merge each class of a build becomes.

    classes = ["road", "vehicle"]      TOML, or JSON of the same form: a section for each build,
    [camvid]                           old class or value = new class; `classes` gives the order
    Car = "vehicle"                    of the new ones, and is optional
    11 = "ignore"

    class    camvid          voc       TSV or CSV, as MSeg's: a row for each new class, a column
    road     {Road, Road2}   -         for each build; several old classes stand in braces;
    vehicle  Car             7         further columns are passed over

Source of the second form: github.com/mseg-dataset/mseg-api, class_remapping_files.
"""

import csv
import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from dsbuild.errors import PlanError
from dsbuild.format.documents import RepeatedKeyError, once
from dsbuild.layouts.folders import composed
from dsbuild.layouts.texts import text

IGNORE = "ignore"
_HEADS = ("universal", "class", "new")  # of the column of new classes; otherwise the first
_NONE = ("", "-")  # cells without a class
_BETWEEN = ("\t", ";", ",")


@dataclass(frozen=True)
class Table:
    """A map of classes, as a file gives it.

    Attributes:
      path: of the file.
      classes: the new classes in their order, without those to ignore.
      columns: name of a build -> old class or value -> new class, None for ignore.
      closed: whether a column is for this merge alone, so that every name in it has to fit.
      clashes: column and old class -> line, where a second row of another class has it. Tables
        of many data sets have such columns; they are wrong only for a build that is merged.
    """

    path: str
    classes: tuple[str, ...]
    columns: Mapping[str, Mapping[str, str | None]]
    closed: bool
    clashes: Mapping[tuple[str, str], int] = field(default_factory=dict)


def read(path: str, ignore: str = IGNORE) -> Table:
    """Return the table in a file; raise PlanError if it is none, or maps a class twice.

    `ignore` is the name of the new class whose pixels are ignored.
    """
    if path.endswith((".toml", ".json")):
        return _sections(path, _document(path), ignore)
    return _grid(path, ignore)


def _document(path: str) -> Mapping[str, Any]:
    try:
        content = text(path)
        if path.endswith(".toml"):
            return tomllib.loads(content)
        document = json.loads(content, object_pairs_hook=once)
    except RepeatedKeyError as error:
        raise PlanError(
            f"{path}: found {error.key!r} twice, expected each name once; correct the file"
        ) from error
    except (ValueError, RecursionError) as error:
        raise PlanError(f"{path}: {error}; correct the file") from error
    if not isinstance(document, dict):
        raise PlanError(f"{path}: found a {type(document).__name__}, expected an object of builds")
    return document


def _sections(path: str, document: Mapping[str, Any], ignore: str) -> Table:
    given = document.get("classes", [])
    if not isinstance(given, list) or not all(isinstance(name, str) for name in given):
        raise PlanError(f'{path}: classes: expected a list of names, such as ["road", "car"]')
    order = dict.fromkeys(map(composed, given))
    if len(order) < len(given) or ignore in order:
        raise PlanError(
            f"{path}: classes: found {ignore!r} or a name twice, expected each class once"
        )
    columns: dict[str, dict[str, str | None]] = {}
    for name, section in document.items():
        if name == "classes":
            continue
        if not isinstance(section, dict):
            raise PlanError(
                f"{path}: found {name} outside a section; expected a section for each build, such "
                "as [voc], and the order of the classes as classes = [...]"
            )
        column = columns[composed(name)] = {}
        for old, new in section.items():
            if not isinstance(new, str) or not new.strip():
                raise PlanError(
                    f"{path}: {name}: {old} = {new!r}; expected the name of a class, or {ignore!r}"
                )
            new = composed(new.strip())
            column[composed(old)] = None if new == ignore else new
            if given and new not in (ignore, *order):
                raise PlanError(f"{path}: {name}: {old} = {new!r}, which is not among classes")
            if new != ignore:
                order.setdefault(new)
    return Table(path, tuple(order), columns, closed=True)


def _grid(path: str, ignore: str) -> Table:
    rows = list(_rows(path))
    if not rows:
        raise PlanError(f"{path}: the file is empty; expected a row of names of builds")
    (_, head), *body = rows
    heads = [composed(cell.strip()) for cell in head]
    folded = [name.casefold() for name in heads]
    at = next((folded.index(name) for name in _HEADS if name in folded), 0)
    twice = [name for i, name in enumerate(heads) if name and name in heads[:i]]
    if twice or len(heads) < 2:
        what = f"column {twice[0]} twice" if twice else f"one column, {heads[0]!r}"
        raise PlanError(
            f"{path}: found {what}; expected a column of classes and one for each build"
        )
    order: dict[str, None] = {}
    columns: dict[str, dict[str, str | None]] = {
        name: {} for i, name in enumerate(heads) if name and i != at
    }
    clashes: dict[tuple[str, str], int] = {}
    for number, row in body:
        cells = [composed(cell.strip()) for cell in (*row, *[""] * (len(heads) - len(row)))]
        new = cells[at]
        if len(row) > len(heads):
            raise PlanError(
                f"{path}, line {number}: found {len(row)} cells, expected {len(heads)}; put names "
                "with commas in quotes"
            )
        if not new:
            continue  # no build's classes are lost by this: they are not mapped
        if new != ignore:
            order.setdefault(new)
        for name, cell in zip(heads, cells, strict=True):
            if name not in columns:
                continue
            for old in _several(cell, f"{path}, line {number}, column {name}"):
                value = None if new == ignore else new
                if columns[name].setdefault(old, value) != value:
                    clashes[name, old] = number
    return Table(path, tuple(order), columns, closed=False, clashes=clashes)


def _rows(path: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and cells of every row that is not empty."""
    lines = text(path).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    first = next((line for line in lines if line.strip()), "")
    between = max(_BETWEEN, key=first.count)
    if not first.count(between):
        between = "\t"
    reader = csv.reader(lines, delimiter=between, skipinitialspace=True)
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                yield reader.line_num, row
    except csv.Error as error:
        raise PlanError(f"{path}, line {reader.line_num}: {error}; correct the line") from error


def _several(cell: str, where: str) -> list[str]:
    """Return the old classes of a cell: one name, or several in braces."""
    if cell.startswith("{") != cell.endswith("}"):
        raise PlanError(f"{where}: found {cell!r}, expected one class, or several in braces")
    names = cell[1:-1].split(",") if cell.startswith("{") else [cell]
    return [name.strip() for name in names if name.strip() not in _NONE]
