"""Map the values of labels to classes: `--map` and `--zero`.

    car=vehicle,truck=vehicle,void=ignore      classes by name; the others keep their names
    1=0,2=1,3=2,0=ignore                       values by number; every value must be mapped

A file has one such pair per line, divided by `=`, a tab, a comma or a blank, or is a JSON object.
"""

import functools
import json
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from dsbuild import storage
from dsbuild.errors import PlanError, nearest
from dsbuild.format import planes
from dsbuild.layouts.folders import composed
from dsbuild.layouts.texts import lines, text

Entries = tuple[tuple[str, str], ...]
CLASS, IGNORE, NONE = "class", "ignore", "none"  # what 0 is
IGNORED = 255  # the value of pixels that a map ignores, with at most 255 classes
_NONE = -1  # in tables that are being made: no class
_HEADING = {"old", "from", "source", "raw", "old_id", "id", "value"}
_BETWEEN = re.compile(r"\s*=\s*|\t+\s*|\s*,\s*|\s*:\s+|\s+")


class Mapped(NamedTuple):
    """What a map makes of classes.

    Attributes:
      classes: names by index after the map.
      table: value in a file -> class index or `ignored`; other values are refused.
      firsts: class index -> the least value that becomes it; empty if values are numbers.
    """

    classes: tuple[str, ...]
    table: Mapping[int, int]
    firsts: tuple[int, ...]

    @property
    def ignored(self) -> int:
        """The value of pixels that the map ignores."""
        return IGNORED if len(self.classes) <= IGNORED else planes.unnamed(16)


def read_map(given: str) -> Entries:
    """Return the pairs of old and new in `old=new,...`, or in a file; raise PlanError."""
    if "=" in given and storage.stamp(given) is None:
        rows = [part.strip() for part in given.split(",") if part.strip()]
        pairs = [_pair(f"--map {given}", row, "=") for row in rows]
    elif given.endswith(".json"):
        pairs = _json(given)
    else:
        rows = [row for row in lines(given) if row[0] != "#"]
        between = next((b for b in "=\t," if rows and all(b in row for row in rows)), None)
        pairs = [_pair(given, row, between) for row in rows]
        if pairs and pairs[0][0].casefold() in _HEADING and not pairs[0][1].isdecimal():
            pairs = pairs[1:]
    seen: dict[str, str] = {}
    for old, new in pairs:
        if seen.setdefault(old, new) != new:
            raise PlanError(f"--map {given}: found {seen[old]!r} and {new!r} for {old!r}")
    if not seen:
        raise PlanError(f"--map {given}: found nothing, expected pairs such as car=vehicle")
    return tuple(seen.items())


def _pair(where: str, row: str, between: str | None) -> tuple[str, str]:
    parts = row.rsplit(between, 1) if between else _BETWEEN.split(row)
    old, new = (
        composed(part.strip().strip("\"'")) for part in (parts if len(parts) == 2 else ("", ""))
    )
    if not old or not new:
        raise PlanError(f"{where}: found {row!r}, expected old and new, such as car=vehicle")
    return old, new


def _json(path: str) -> list[tuple[str, str]]:
    try:
        document = json.loads(text(path))
        return [(composed(str(old)), composed(str(new))) for old, new in document.items()]
    except (ValueError, AttributeError, RecursionError) as error:
        raise PlanError(f'{path}: expected a JSON object such as {{"car": "vehicle"}}') from error


@functools.cache
def mapped(
    names: tuple[str, ...], entries: Entries, zero: str, ignored: int, fixed: bool = False
) -> Mapped:
    """Return the classes after a map, and the table of values.

    `names` are those of the values in the files, except that with numbers as new values, or unless
    `zero` is a class, they are those of the classes afterwards; a first name that is empty has no
    class. With `zero` IGNORE or NONE all other values are lowered by 1, and 0 is ignored or has no
    place. `ignored` is the value that files ignore, or -1.
    With `fixed`, values come from colours, and all have names.
    """
    found = _mapped(names, entries, zero, ignored, fixed)
    table = {old: found.ignored if new == _NONE else new for old, new in found.table.items()}
    return found._replace(table=table)


def _mapped(
    names: tuple[str, ...], entries: Entries, zero: str, ignored: int, fixed: bool = False
) -> Mapped:
    own = {ignored: _NONE} if ignored >= 0 else {}
    if zero != CLASS:
        rest = names[1:] if names[:1] == ("",) else names
        table = {0: _NONE} if zero == IGNORE else {}
        table |= {i + 1: i for i in range(len(rest))}
        if own.keys() & {*range(1, len(rest) + 1)} or len(rest) >= planes.WIDEST:
            raise PlanError(
                f"--zero {zero}: {len(rest)} classes are the values 1 to {len(rest)}, and --ignore "
                f"{ignored} is among them or beyond 16 bits; expected another --ignore, or -1"
            )
        table |= own
        if not entries:
            return Mapped(rest, table, tuple(range(1, len(rest) + 1)))
        if any(old.isdecimal() for old, _ in entries):
            raise PlanError(
                f"--zero {zero}: --map has values too; write 0=ignore in the map instead"
            )
        after = _mapped(rest, entries, CLASS, -1)
        table = {value: after.table.get(new, _NONE) for value, new in table.items()}
        return Mapped(after.classes, table, tuple(first + 1 for first in after.firsts))
    if all(new.isdecimal() or new == IGNORE for _, new in entries):
        return _by_number(names, entries, own, fixed)
    return _by_name(names, entries, own)


def _by_number(
    names: tuple[str, ...], entries: Entries, own: Mapping[int, int], fixed: bool
) -> Mapped:
    if any(new != IGNORE for _, new in entries):
        strange = [old for old, _ in entries if not old.isdecimal()]
        if strange or fixed:
            raise PlanError(
                f"--map: found {strange[0] if strange else 'a colormap'!r} beside numbers as new "
                "values, expected new names, or numbers on both sides, as in 1=0,2=1"
            )
        numbers = {int(old): _NONE if new == IGNORE else int(new) for old, new in entries}
        table = {**own, **numbers}
        wrong = [n for n in numbers.values() if n >= len(names) and n != _NONE]
        if wrong:
            raise PlanError(
                f"--map: found the new value {wrong[0]}, expected 0 to {len(names) - 1}, the "
                f"indices of the {len(names)} classes"
            )
        _check_values(numbers)
        firsts = (
            min((v for v, n in table.items() if n == i), default=-1) for i in range(len(names))
        )
        return Mapped(names, table, tuple(firsts))
    return _by_name(names, entries, own)


def _by_name(names: tuple[str, ...], entries: Entries, own: Mapping[int, int]) -> Mapped:
    new_of: dict[int, str] = {}
    for old, new in entries:
        if not old.isdecimal() and old not in names:
            raise PlanError(
                f"--map: found {old!r}, expected a class or a value{nearest(old, names)}; there "
                f"are {', '.join(names[:5])}{', ...' if names[5:] else ''}"
            )
        value = names.index(old) if old in names else int(old)
        if new_of.setdefault(value, new) != new:
            raise PlanError(f"--map: found {new_of[value]!r} and {new!r} for value {value}")
    _check_values(new_of)
    for value, name in enumerate(names):
        if value not in own and (name or value in new_of):
            new_of.setdefault(value, name)
    classes: dict[str, int] = {}
    table, firsts = dict(own), []
    for value, name in sorted(new_of.items()):
        if name == IGNORE:
            table[value] = _NONE
            continue
        if name not in classes:
            classes[name] = len(classes)
            firsts.append(value)
        table[value] = classes[name]
    if not classes:
        raise PlanError("--map: it ignores every class, expected at least one to be left")
    return Mapped(tuple(classes), table, tuple(firsts))


def _check_values(values: Mapping[int, object]) -> None:
    most = planes.WIDEST - 1
    if max(values) > most:
        raise PlanError(f"--map: found the old value {max(values)}, expected 0 to {most}")


def unmapped(values: Sequence[int], table: Mapping[int, int]) -> list[int]:
    """Return the values that a table does not have."""
    return [value for value in values if value not in table]
