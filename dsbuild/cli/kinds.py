"""Kinds of values on the command line, and how each completes in the shell.

A kind checks nothing that the library checks: its errors name more. Completion never fails, prints
nothing, and leaves object stores alone.
"""

import glob
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from dsbuild import fields, storage
from dsbuild.errors import DsbuildError, nearest
from dsbuild.layouts import LAYOUTS

if TYPE_CHECKING:
    from dsbuild.format.folder import Folder

_MOST = 1000  # names that are offered
_RUNNERS = ("local", "dask", "beam", "DirectRunner", "DataflowRunner", "FlinkRunner", "SparkRunner")


class Path(click.ParamType):  # type: ignore[type-arg]  # generic since Click 8.2 alone
    """A file or a folder, or its URL."""

    name = "path"

    def __init__(self, folder: bool = False) -> None:
        self.folder = folder

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return the path, or fail; an empty one would be the current folder to some calls."""
        if value == "":
            self.fail("found an empty text, expected a path; is a variable empty?", param, ctx)
        return value

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Let the shell complete names of files."""
        return [CompletionItem(incomplete, type="dir" if self.folder else "file")]


class Run(Path):
    """The folder of a run of `dsbuild train`."""

    def __init__(self) -> None:
        super().__init__(folder=True)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return runs nearby; if there are none, let the shell complete folders."""
        start = glob.escape(incomplete)
        patterns = (f"{start}*/settings.json", f"{start}*/*/settings.json")
        found = sorted({os.path.dirname(path) for each in patterns for path in glob.iglob(each)})
        runs = [CompletionItem(path) for path in found[:_MOST]]
        return runs or super().shell_complete(ctx, param, incomplete)


class Names(click.ParamType):  # type: ignore[type-arg]  # likewise
    """One name or several with commas between, out of those that a function finds.

    The function is called with the parameters of the command, as far as they are typed.
    """

    def __init__(self, find: Callable[[click.Context], Iterable[str]], name: str = "name") -> None:
        self.find, self.name = find, name

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return the names that begin like the last of those that are typed."""
        before, comma, last = incomplete.rpartition(",")
        try:
            found = [name for name in self.find(ctx) if name.startswith(last)]
        except (DsbuildError, OSError, ValueError, TypeError):
            return []
        return [CompletionItem(f"{before}{comma}{name}") for name in found[:_MOST]]


class Choice(click.Choice):  # type: ignore[type-arg]  # likewise
    """One of a few words; another one is refused with the nearest."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return the word, or fail."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            words = [str(one) for one in self.choices]
            near = nearest(str(value), words)
            self.fail(f"found {value!r}; expected one of {', '.join(words)}{near}", param, ctx)


class Listed(Choice):
    """One of a few words, or several with commas between; for options with `divided`."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return the words as one text, or fail."""
        convert = super().convert
        return ",".join(str(convert(word.strip(), param, ctx)) for word in value.split(","))


def divided(_: click.Context, __: click.Parameter, value: Sequence[str]) -> tuple[str, ...]:
    """Return names, of which several may have commas between, as one tuple: a callback."""
    return tuple(word.strip() for part in value for word in part.split(",") if word.strip())


def once(ctx: click.Context, param: click.Parameter, value: Sequence[str]) -> tuple[str, ...]:
    """Return what `divided` does, each name once: a callback."""
    return tuple(dict.fromkeys(divided(ctx, param, value)))


def splits(ctx: click.Context) -> Iterable[str]:
    """Return the splits of the data set, or of the folder, that a command names."""
    given, name = ctx.params, ctx.command.name or ""
    if name in LAYOUTS:
        source = given.get("source")
        if source and storage.is_remote(source):
            return ()
        known = fields.named(LAYOUTS[name])
        options = {
            one.name: given[word]
            for word, one in known.items()
            if given.get(word) is not None and "read" not in one.metadata
        }
        layout = LAYOUTS[name](**options)
        return layout.splits(layout.find(source))
    folder = _folder(ctx)
    return folder.manifest.splits if folder and folder.manifest else ()


def classes(ctx: click.Context) -> Iterable[str]:
    """Return the names of the classes of the folder that a command names."""
    folder = _folder(ctx)
    return folder.classes if folder else ()


def _folder(ctx: click.Context) -> "Folder | None":
    """Return the folder of TFRecords that a command names, if it is on this machine."""
    from dsbuild.format.folder import Folder

    path = ctx.params.get("path") or _trained_on(ctx.params) or "tfrecord"
    return None if storage.is_remote(path) else Folder.of(path)


def _trained_on(given: Mapping[str, Any]) -> str:
    """Return the folder of TFRecords that a command on a run works on: a named one, or its data."""
    if given.get("paths"):
        return str(given["paths"][0])
    run = given.get("run") or given.get("model")
    if not run or storage.is_remote(run):
        return ""
    with open(os.path.join(run, "run.json"), "rb") as file:
        return str(json.load(file).get("data", ""))


def extras(_: click.Context) -> Iterable[str]:
    """Return the extras, each in all of its forms."""
    from dsbuild.extras import EXTRAS

    for name, extra in EXTRAS.items():
        yield name
        yield from (f"{name}:{form}" for form in extra.forms[1:])
    yield "weights"


def runners(_: click.Context) -> Iterable[str]:
    """Return the names of common runners."""
    return _RUNNERS
