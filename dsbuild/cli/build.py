"""One command per layout, its options made from the fields of the layout and the request."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from dsbuild.build.image_policy import Policy
from dsbuild.build.recipe import Recipe
from dsbuild.build.request import Request
from dsbuild.cli import array, next_command, renamed
from dsbuild.cli import command as commands
from dsbuild.cli.field_options import Option, option, options
from dsbuild.cli.kinds import Names, Path, divided, extras, splits
from dsbuild.cli.options import FOUND, Bytes, all_option, echo, echo_json, errors, note, say, show
from dsbuild.cli.runner import (
    Runner,
    RunnerCommand,
    runner_option,
    scheduler_option,
    workers_option,
)
from dsbuild.cli.text.view import view
from dsbuild.errors import SampleError
from dsbuild.fields import named
from dsbuild.layouts import Layout

if TYPE_CHECKING:
    from dsbuild.build.audit import Audit
    from dsbuild.build.summary import Built

_RESUME = "finished shards are kept; run the same command again to resume"
_AGAIN = (
    "finished shards are kept; run the same command again to start over, or without --overwrite "
    "to continue"
)


_SHARED = "tile_overlap"
BUILD_OPTIONS: tuple[Option, ...] = (
    option(Request, "split", names=Names(splits)),
    click.option(
        "--out",
        commands.OUT,
        type=Path(folder=True),
        metavar="FOLDER",
        help="The folder to write: the same as OUT.",
    ),
    option(Request, "shards", ranges=True),
    click.option(
        "--shard-size",
        type=Bytes(),
        default="128MB",
        show_default=True,
        help=named(Request)["shard_size"].metadata["help"],
    ),
    option(Request, "order"),
    option(Request, "seed"),
    click.option(
        "--extra",
        multiple=True,
        type=Names(extras),
        callback=divided,
        metavar="NAME[:FORM][:KEY=N]",
        help=named(Recipe)["extra"].metadata["help"],
    ),
    option(Recipe, "plane"),
    option(Recipe, "verify"),
    option(Request, "on_error"),
    *(option(Policy, name, ranges=True) for name in named(Policy) if name != _SHARED),
    click.option("--check-duplicates", is_flag=True, help="Audit: find images of equal content."),
    click.option("--strict", is_flag=True, help="Audit: every finding is an error."),
    option(Request, "accept"),
    option(Request, "limit", ranges=True),
    runner_option,
    scheduler_option,
    workers_option,
    *array.array_options,
    click.option("--rehash", is_flag=True, help="When resuming, compare sources by content too."),
    option(Request, "overwrite"),
    click.option(
        "--dry-run",
        is_flag=True,
        help="Open every sample, print plan and findings, write nothing.",
    ),
    all_option,
    click.option("--quiet", is_flag=True, help="Print errors only."),
    click.option(
        "--json", "as_json", is_flag=True, help="Print the summary and all findings as JSON."
    ),
)


def shared_option(*layouts: type[Layout]) -> Option:
    """Return --tile-overlap, also called --overlap unless that is an option of a layout."""
    free = not any("overlap" in named(layout) for layout in layouts)
    return option(Policy, _SHARED, ranges=True, aliases=("--overlap",) if free else ())


@functools.cache
def build_command(layout: type[Layout]) -> click.Command:
    """Return the command that builds a layout, its options made from its fields."""

    def command(source: str | None, out: str, **options: Any) -> None:
        build_layout(layout.name, source, out, **renamed.taken(layout, options))

    command.__doc__ = (
        f"Build TFRecords from {layout.title}.\n\n"
        f"SOURCE is {layout.source}; without it, {layout.default}. "
        "OUT is the folder to write, ./tfrecord by default. The same command "
        "finishes a build that was stopped.\n\n"
        f"\b\nExample:\n  dsbuild {layout.name}{layout.example} --shards 4\n"
        f"  dsbuild {layout.name} data/{layout.name} out{layout.example} --split train"
    )
    arguments = (
        click.argument("source", required=False, type=Path()),
        click.argument("out", default="tfrecord", type=Path(folder=True)),
    )
    for decorate in reversed(
        [
            *arguments,
            *options(layout),
            *renamed.options(layout),
            shared_option(layout),
            *BUILD_OPTIONS,
        ]
    ):
        command = decorate(command)
    return click.command(layout.name, cls=RunnerCommand)(command)


def build_layout(layout: str, source: str | None, out: str, **options: Any) -> None:
    """Build a layout as its command does; `options` are those of the command."""
    with errors(_AGAIN if options["overwrite"] else _RESUME):
        _build(layout, source, out, **options)


def _build(
    layout: str,
    source: str | None,
    out: str,
    *,
    runner: Runner,
    quiet: bool,
    as_json: bool,
    every: bool,
    **options: Any,
) -> None:
    from dsbuild.build.audit import Audit
    from dsbuild.build.public import audited, build, requested
    from dsbuild.build.summary import Built

    shares = array.taken(options, runner)
    talks = not (quiet or as_json)
    talk = _urgent if quiet else note
    # Wrong options of a runner are named before anything is read.
    engine, here = runner.engine(not talks, talk), runner.here(not talks)
    opened = options["dry_run"] or options["strict"]
    shown = _Shown(talks, options["dry_run"], as_json, opened, every)
    if not any(shares.values()):
        with shown.stopping():
            built = build(
                layout,
                source,
                out,
                runner=engine,
                workers=runner.workers,
                quiet=not talks,
                note=talk,
                planned=shown.planned,
                examined=shown.examined,
                **options,
            )
        _tell(built, quiet, as_json)
        return
    begin = time.monotonic()
    looks = {name: options.pop(name) for name in ("check_duplicates", "strict", "dry_run")}
    request = requested(layout, source, out, note=talk, **options)
    if shares["task"]:
        array.share(request, shares["task"], runner, quiet, as_json)
    elif shares["finish"]:
        summary = array.finish(request, runner, not talks, talk)
        seconds = time.monotonic() - begin
        found = Audit((), ())
        _tell(
            Built(root=request.root, out=out, audit=found, summary=summary, seconds=seconds),
            quiet,
            as_json,
        )
    else:
        with shown.stopping():
            found = audited(request, here, planned=shown.planned, examined=shown.examined, **looks)
        if not looks["dry_run"]:
            array.plan(request, found, quiet, as_json, talk)


def _tell(built: Built, quiet: bool, as_json: bool) -> None:
    """Print what came of a build."""
    from dsbuild.cli.text.build import rejects_text, summary_text

    if built.summary is None:
        return
    if as_json:
        echo_json(built.document())
    elif not quiet:
        echo("\n" + summary_text(built.summary_document()))
    if built.rejects and not quiet:
        note(rejects_text(built.rejects, built.out))
    next_command.show("validate" if built.written else "inspect", built.out)


@dataclasses.dataclass
class _Shown:
    """Prints what a build plans and finds before it writes: as text, or as JSON for a dry run.

    Attributes:
      talks, dry_run, as_json: whether to print text, nothing is written, and to print JSON.
      opened: whether all samples were opened.
      every: whether to list all findings.
    """

    talks: bool
    dry_run: bool
    as_json: bool
    opened: bool
    every: bool
    found: bool = False

    @contextlib.contextmanager
    def stopping(self) -> Iterator[None]:
        """End with the exit code for findings if they stop what only looks for them."""
        try:
            yield
        except SampleError as error:
            if not (self.opened and self.found):
                raise
            say(f"error: {error}", "red")
            sys.exit(FOUND)

    def planned(self, audit: Audit, root: str) -> None:
        from dsbuild.build.summary import plan_document
        from dsbuild.cli.text.build import plan_text

        if self.talks:
            echo(plan_text(plan_document(audit, root), view(sys.stdout)))

    def examined(self, audit: Audit, root: str) -> None:
        from dsbuild.build.preflight import FEW
        from dsbuild.build.summary import plan_document
        from dsbuild.cli.text.build import findings_text
        from dsbuild.inspect.tables import count

        self.found = bool(audit.findings)
        if audit.findings and self.talks:
            few, fitted = None if self.opened else FEW, view(sys.stderr, self.every)
            show("\n" + findings_text(audit.findings, few, root, fitted), "yellow")
        if self.dry_run and self.as_json:
            echo_json(plan_document(audit, root))
        if self.dry_run and self.talks:
            found = count(len(audit.findings), "finding")
            echo(f"\n{found}; nothing was written, this was a dry run")
            if not any(finding.fatal for finding in audit.findings):
                next_command.show(*next_command.again("--dry-run"))


def _urgent(line: str) -> None:
    """Print a note despite --quiet if nothing else would say why the build waits."""
    from dsbuild import storage

    if isinstance(line, storage.Urgent):
        note(line)
