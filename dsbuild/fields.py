"""Fields of frozen values: help, choices and bounds, declared once and checked in one place.

    size: int = field(8, "Samples per step.", least=1)

The options of the command line are made of the same declarations.
"""

import dataclasses
import functools
import math
import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from dsbuild.errors import nearest

_NOUNS = {int: "whole number", float: "number"}
_OTHERS = {bool: "True or False", str: "a text"}


def field(
    default: Any,
    help: str,
    *,
    choices: Iterable[object] = (),
    least: float | None = None,
    most: float | None = None,
    above: float | None = None,
    below: float | None = None,
    option: str | None = None,
    alias: str | None = None,
    old: Iterable[str] = (),
    what: str | None = None,
    read: Callable[[str], Any] | None = None,
    omitted: bool = False,
) -> Any:
    """Declare a field of a frozen dataclass.

    `choices` and bounds hold for the value, or for each value of a tuple. `option` is what users
    call the field, by default its own name, `alias` another name for it, and `old` names that it
    had before, which still work; `what` says what the values of a tuple are; `read` turns the path
    that users give into the value. `omitted`
    means that `document` leaves the field out at its default.
    """
    given = {
        "choices": tuple(choices),
        "least": least,
        "most": most,
        "above": above,
        "below": below,
        "option": option,
        "alias": alias,
        "old": tuple(old),
        "what": what,
        "read": read,
        "omitted": omitted or None,
    }
    metadata = {key: value for key, value in given.items() if value not in (None, ())}
    return dataclasses.field(default=default, metadata={"help": help, **metadata})


_kinds = functools.cache(typing.get_type_hints)  # which takes as long as making the value


def kinds(cls: type) -> Mapping[str, Any]:
    """Return the types of a dataclass's fields by their names."""
    found: Mapping[str, Any] = _kinds(cls)
    return found


def shown(one: "dataclasses.Field[Any]") -> str:
    """Return what users call a field."""
    name: str = one.metadata.get("option", one.name)
    return name


def named(cls: type) -> "dict[str, dataclasses.Field[Any]]":
    """Return the fields of a dataclass by the names that users have for them."""
    return {shown(one): one for one in dataclasses.fields(cls)}


def renamed(cls: type) -> dict[str, str]:
    """Return the names that users had for fields before, each with the present one."""
    return {
        old: shown(one) for one in dataclasses.fields(cls) for old in one.metadata.get("old", ())
    }


def document(value: Any) -> dict[str, Any]:
    """Return the fields of a frozen value by their names.

    Fields that documents of earlier versions do not have are left out at their defaults.
    """
    later = {
        one.name: one.default for one in dataclasses.fields(value) if one.metadata.get("omitted")
    }
    return {
        name: found
        for name, found in dataclasses.asdict(value).items()
        if name not in later or found != later[name]
    }


def check(value: Any, error: type[Exception]) -> None:
    """Raise `error` for the first field that is not of its type, choices and bounds.

    The message names the field, what was found, and what is allowed.
    """
    for one in dataclasses.fields(value):
        kind, found = kinds(type(value))[one.name], getattr(value, one.name)
        if not fits(kind, found) or not all(_within(part, one.metadata) for part in _parts(found)):
            choices = one.metadata.get("choices", ())
            near = nearest(found, map(str, choices)) if choices and isinstance(found, str) else ""
            refuse(value, one.name, allowed(kind, one.metadata) + near, error)


def refuse(value: Any, name: str, expected: str, error: type[Exception]) -> typing.NoReturn:
    """Raise `error` for a field of a value."""
    (one,) = (one for one in dataclasses.fields(value) if one.name == name)
    raise error(f"{shown(one)}: found {getattr(value, name)!r}, expected {expected}")


def fits(kind: Any, value: Any) -> bool:
    """Tell whether a value is of a field's type: whole numbers are numbers, lists are tuples."""
    items = typing.get_args(kind)
    if typing.get_origin(kind) is tuple:
        if not isinstance(value, tuple | list):
            return False
        each = items[:1] * len(value) if items[-1:] == (...,) else items
        return len(each) == len(value) and all(map(fits, each, value))
    if items:
        return any(fits(one, value) for one in items)
    if kind is float:
        return type(value) in (int, float) and math.isfinite(value)
    return kind not in (bool, int, str, types.NoneType) or type(value) is kind


def _parts(value: Any) -> Iterable[Any]:
    return value if isinstance(value, tuple | list) else (value,)


def _within(part: Any, bounds: Mapping[str, Any]) -> bool:
    """Tell whether a value is one of the choices and within the bounds; None always is."""
    if part is None:
        return True
    return (
        ("choices" not in bounds or part in bounds["choices"])
        and ("least" not in bounds or part >= bounds["least"])
        and ("most" not in bounds or part <= bounds["most"])
        and ("above" not in bounds or part > bounds["above"])
        and ("below" not in bounds or part < bounds["below"])
    )


def allowed(kind: Any, bounds: Mapping[str, Any]) -> str:
    """Return what a field may be, in words.

    >>> allowed(int, {"least": 1, "most": 100}), allowed(tuple[float, float], {"above": 0})
    ('a whole number from 1 to 100', '2 numbers, above 0')
    """
    items = typing.get_args(kind)
    if type(None) in items:
        (rest,) = (one for one in items if one is not type(None))
        return f"{allowed(rest, bounds)}, or None"
    if "choices" in bounds:
        number = "some" if items[-1:] == (...,) else "one"
        return f"{number} of {', '.join(map(str, bounds['choices']))}"
    if typing.get_origin(kind) is tuple:
        what = f"{bounds['what']}, " if "what" in bounds else ""
        count = what + ("" if items[-1] is ... else f"{len(items)} ")
        return f"{count}{_NOUNS.get(items[0], 'text')}s{_range(bounds)}"
    noun = f"a {_NOUNS[kind]}" if kind in _NOUNS else _OTHERS.get(kind, "another value")
    return noun + _range(bounds)


def _range(bounds: Mapping[str, Any]) -> str:
    if "least" in bounds and "most" in bounds:
        return f" from {bounds['least']:.15g} to {bounds['most']:.15g}"
    words = {"least": "at least", "above": "above", "most": "at most", "below": "below"}
    found = [f"{word} {bounds[key]:.15g}" for key, word in words.items() if key in bounds]
    return f", {' and '.join(found)}" if found else ""


def span(text: str) -> tuple[int, int] | None:
    """Return the two numbers of LOW:HIGH, rising and within 0 to 65535; None for other texts.

    >>> span("0:4095"), span("9:3")
    ((0, 4095), None)
    """
    match = re.fullmatch(r"([0-9]{1,5}):([0-9]{1,5})", text)
    low, high = map(int, match.groups()) if match else (0, 0)
    return (low, high) if low < high <= 0xFFFF else None
