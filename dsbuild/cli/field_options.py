"""Options made of the fields of frozen values: layouts, requests, settings."""

import functools
import types
import typing
from collections.abc import Callable, Iterable
from typing import Any

import click

from dsbuild import fields
from dsbuild.cli import command
from dsbuild.cli.kinds import Choice, Listed, Names, Path, divided

Option = Callable[[Any], Any]  # what decorates a command
_WIDE = 60  # letters of choices that an option shows itself


class Several(click.ParamType):  # type: ignore[type-arg]  # generic since Click 8.2 alone
    """Values with commas between, such as `6,12,18`."""

    def __init__(self, kind: type) -> None:
        self.kind, self.name = kind, "text" if kind is str else f"{kind.__name__},..."
        self.example = {int: "6,12,18", float: "0.5,1,1.5", str: "aspp,decoder"}[kind]

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[Any, ...]:
        """Return the values as a tuple."""
        if isinstance(value, tuple):
            return value
        try:
            return tuple(self.kind(word.strip()) for word in value.split(",") if word.strip())
        except ValueError:
            self.fail(f"found {value!r}; expected something like {self.example}", param, ctx)


class Whole(Choice):
    """One of several whole numbers."""

    def __init__(self, numbers: Iterable[int]) -> None:
        super().__init__([str(number) for number in numbers])

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return the number."""
        return int(super().convert(str(value), param, ctx))


def options(cls: type, **how: Any) -> list[Option]:
    """Return one option per field of a frozen value; see `option`."""
    return [option(cls, name, **how) for name in fields.named(cls)]


def option(
    cls: type,
    name: str,
    *,
    given: bool = False,
    ranges: bool = False,
    aliases: Iterable[str] = (),
    names: Names | None = None,
    default: Any = None,
) -> Option:
    """Return the option of a field, by the name that users have for it.

    With `given` an option that is not given is None, so that a default may come from elsewhere,
    and a flag can be denied. With `ranges` the help shows the bounds, and a number beyond them is
    refused as wrong usage. `aliases` are further names, beside the field's own alias, that the
    help does not show; `names` completes a text; `default` is shown instead of the field's own.
    """
    one = fields.named(cls)[name]
    kind, bounds = fields.kinds(cls)[one.name], one.metadata
    word = f"--{name.replace('_', '-')}"
    others = [f"--{other.replace('_', '-')}" for other in _words(bounds.get("alias"))]
    made = functools.partial(click.option, cls=command.Option, aliases=(*others, *aliases))
    text, default = bounds["help"], one.default if default is None else default
    if "read" in bounds:
        return made(word, name, metavar="FILE", type=Path(), help=text)
    if kind is bool and not given:
        return made(word, name, is_flag=True, help=text)
    if kind is bool:
        denied = f"{word}/--no-{word[2:]}"
        return made(denied, name, default=None, help=f"{text}{_said(default)}")
    if given:
        metavar, words = _listed(bounds.get("choices", ()))
        text = f"{text}{words}{_said(default)}"
        return made(word, name, type=names or _type(kind, bounds), metavar=metavar, help=text)
    if typing.get_origin(kind) is tuple:
        several = names or (Listed(bounds["choices"]) if "choices" in bounds else None)
        metavar, words = _listed(bounds.get("choices", ()))
        told: dict[str, Any] = {"metavar": metavar, "help": text + words}
        return made(word, name, multiple=True, type=several, callback=divided, **told)
    return made(
        word,
        name,
        type=_ranged(kind, bounds) if ranges else _type(kind, bounds),
        default=default,
        show_default=default not in ("", None, -1),
        help=text,
    )


def _words(alias: str | Iterable[str] | None) -> Iterable[str]:
    """Return the other names of a field: one, several or none."""
    return (alias,) if isinstance(alias, str) else alias or ()


def _type(kind: Any, bounds: typing.Mapping[str, Any]) -> Any:
    """Return the type of an option for that of a field."""
    if typing.get_origin(kind) is tuple:
        return Several(typing.get_args(kind)[0])
    if "choices" in bounds:
        return (Whole if kind is int else Choice)(bounds["choices"])
    if typing.get_origin(kind) is types.UnionType:
        return typing.get_args(kind)[0]
    return kind


def _listed(choices: Iterable[object]) -> tuple[str | None, str]:
    """Return how the help shows many choices: a placeholder, and their names in the text.

    Few are shown by the option itself: None, and nothing.
    """
    words = [str(choice) for choice in choices]
    return ("NAME", f" One of {', '.join(words)}.") if len("|".join(words)) > _WIDE else (None, "")


def _ranged(kind: Any, bounds: typing.Mapping[str, Any]) -> Any:
    """Return the type of an option, for a whole number with its bounds."""
    if "least" in bounds and _type(kind, bounds) is int:
        return click.IntRange(bounds["least"], bounds.get("most"))
    return _type(kind, bounds)


def _said(default: Any) -> str:
    """Return a default as the help shows it."""
    if default in (None, "", ()):
        return ""
    text = default
    if isinstance(default, bool):
        text = "yes" if default else "no"
    if isinstance(default, tuple):
        text = ",".join(f"{one:g}" for one in default)
    return f"  [default: {text}]"
