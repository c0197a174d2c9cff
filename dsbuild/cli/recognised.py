"""`dsbuild build`: recognise what a folder is, say so, and build it as its layout's command."""

import shlex
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from dsbuild.cli.build import BUILD_OPTIONS, build_command, build_layout, shared_option
from dsbuild.cli.kinds import Choice
from dsbuild.cli.options import echo, errors, say, show
from dsbuild.cli.runner import RunnerCommand
from dsbuild.fields import named
from dsbuild.layouts import LAYOUTS

if TYPE_CHECKING:
    from dsbuild.build.recognition import Sight
    from dsbuild.layouts.recognition import Recognised

_COMMANDS = {name: build_command(layout) for name, layout in LAYOUTS.items()}


class _Late(click.Option):
    """An option of some layouts; its value is read when the layout is known."""

    def type_cast_value(self, ctx: click.Context, value: Any) -> Any:
        """Return the value as it was written."""
        return value


def _own(layout: str) -> dict[str, click.Option]:
    """Return the options that only some layouts have, by the names of their parameters."""
    names = named(LAYOUTS[layout])
    return {
        param.name: param
        for param in _COMMANDS[layout].params
        if isinstance(param, click.Option) and param.name in names
    }


def _late() -> list[click.Option]:
    """Return one option for each that some layouts have, with the help of each."""
    found: dict[str, dict[str, click.Option]] = {}
    for layout in LAYOUTS:
        for name, option in _own(layout).items():
            found.setdefault(name, {})[layout] = option
    return [_merged(name, owners) for name, owners in found.items()]


def _merged(name: str, owners: Mapping[str, click.Option]) -> click.Option:
    """Return the option that stands for those of several layouts."""
    options = list(owners.values())
    first = options[0]
    same = len({_values(option) for option in options}) == 1
    texts: dict[str, dict[str, click.Option]] = {}
    for layout, option in owners.items():
        text = (option.help or "").replace("SOURCE", "PATH")
        texts.setdefault(text, {})[layout] = option
    return _Late(
        [max(first.opts, key=len), name],
        type=first.type if same else None,
        is_flag=first.is_flag,
        default=None,
        metavar=first.metavar if same else None,
        help="  ".join(
            f"{', '.join(given)}: {text}{_notes(given, same)}" for text, given in texts.items()
        ),
    )


def _values(option: click.Option) -> tuple[object, ...]:
    """Return what an option takes, to compare it with another."""
    return (option.type.name, option.metavar, *getattr(option.type, "choices", ()))


def _notes(owners: Mapping[str, click.Option], same: bool) -> str:
    """Return the defaults of an option, and its choices if those of other layouts differ."""
    first = next(iter(owners.values()))
    choices = [] if same else [str(one) for one in getattr(first.type, "choices", ())]
    defaults: dict[str, list[str]] = {}
    for layout, option in owners.items():
        if option.show_default and not option.is_flag:
            defaults.setdefault(str(option.default), []).append(layout)
    notes = [f"one of {', '.join(choices)}"] if choices else []
    if len(defaults) == 1:
        notes += [f"default: {value}" for value in defaults]
    elif defaults:
        said = (f"{value} for {' and '.join(layouts)}" for value, layouts in defaults.items())
        notes.append(f"default: {', '.join(said)}")
    return f"  [{'; '.join(notes)}]" if notes else ""


def _build(path: str, out: str, layout: str | None, **options: Any) -> None:
    """Recognise a data set, and build TFRecords from it.

    PATH is a folder with a data set in a layout that dsbuild knows: Pascal VOC, Cityscapes, human
    matting, folders of images and labels, or folders of images by class. OUT is the folder to
    write, ./tfrecord by default. The layout's own command builds the same bytes.

    \b
    Example:
      dsbuild build data/VOCdevkit
      dsbuild build data/camvid out --classes names.txt --split train
      dsbuild build data --layout cityscapes
    """
    given = {name: value for name in NAMES if (value := options.pop(name)) is not None}
    with errors():
        from dsbuild.build import recognition

        texts = {name: str(value) for name, value in given.items()}
        sight = recognition.look(path, texts, layout)
    found = one(sight, layout)
    chosen = {**given, **(found.options if found else {})}
    name = found.layout if found else str(layout)
    if not (options["quiet"] or options["as_json"]):
        echo(f"{path}: {found.text}" if found else f"{path}: not recognised as {name}")
        others = ", with your other options" if _others() else ""
        echo(f"building it as `{_command(name, path, out, chosen)}` does{others}\n")
    build_layout(name, path, out, **read(name, chosen), **options)


def one(sight: "Sight", layout: str | None) -> "Recognised | None":
    """Return what was recognised; None if it was not, but the layout is named.

    Ends the command if it is unclear, or needs an option.
    """
    if len(sight.best) == 1 or layout:
        found = next(iter(sight.best), None)
        if found and found.needs:
            say(f"error: {sight.path}: {found.text}; name {found.needs}", "red")
            sys.exit(2)
        return found
    say(f"error: {sight.headline()}", "red")
    width = max(map(len, LAYOUTS))
    for name, text in sight.rows():
        show(f"  {name:{width}}  {text}")
    if sight.remedy():
        show(sight.remedy())
    sys.exit(2)


def _command(layout: str, path: str, out: str, chosen: Mapping[str, Any]) -> str:
    """Return the command of a layout, with its own options."""
    words = ["dsbuild", layout, path, out]
    for name, value in chosen.items():
        option = f"--{name.replace('_', '-')}"
        words += [option] if value is True else [option, str(value)]
    return shlex.join(words)


def _others() -> bool:
    """Return whether the command line has options that are the same for all layouts."""
    context = click.get_current_context()
    given = {
        name
        for name in context.params
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    }
    return not given <= {"path", "out", "layout", *NAMES}


def read(layout: str, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Return options as the layout's command reads them; raise UsageError for wrong values."""
    context, own = click.get_current_context(), _own(layout)
    return {
        name: value if value is True else own[name].type.convert(value, own[name], context)
        for name, value in chosen.items()
    }


LATE = _late()
NAMES = tuple(str(option.name) for option in LATE)
_PLACES = {param.name: param.type for param in next(iter(_COMMANDS.values())).params}
_OPTIONS = (
    click.argument("path", type=_PLACES["source"]),
    click.argument("out", default="tfrecord", type=_PLACES["out"]),
    click.option(
        "--layout",
        type=Choice(list(LAYOUTS)),
        metavar="LAYOUT",
        help=f"Take this layout, recognised or not: {', '.join(LAYOUTS)}.",
    ),
    shared_option(*LAYOUTS.values()),
    *BUILD_OPTIONS,
)
for _decorate in reversed(_OPTIONS):
    _build = _decorate(_build)
build = click.command("build", cls=RunnerCommand)(_build)
build.params[3:3] = LATE
