"""One command a layout, its options made from the layout's fields."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from dsbuild.cli.options import Bytes, echo, echo_json, errors, note, show
from dsbuild.cli.runner import DASK, Runner, RunnerCommand, dask_option, runner_option
from dsbuild.layouts import Layout
from dsbuild.layouts.finding import ACCEPTABLE

if TYPE_CHECKING:
    from dsbuild.build.audit import Audit, Request
    from dsbuild.build.public import Writer
    from dsbuild.build.run import Note, Summary

_RESUME = "finished shards are kept; run the same command again to resume"
_ANEW = (
    "finished shards are kept; run the same command again, which starts anew as --overwrite asks; "
    "without it, a build that had begun goes on"
)
BUILD_OPTIONS = (
    click.argument("source", required=False),
    click.argument("out", default="tfrecord"),
    click.option(
        "--split",
        multiple=True,
        help="Build this split only; repeatable. Default: all.",
    ),
    click.option("--shards", type=click.IntRange(1, 99999), help="Shards a split."),
    click.option(
        "--shard-size",
        type=Bytes(),
        default="128MB",
        show_default=True,
        help="About how large a shard shall be, where --shards does not say how many.",
    ),
    click.option(
        "--order",
        type=click.Choice(["listed", "shuffled"]),
        default="listed",
        show_default=True,
        help="listed: the order of the list. shuffled: by a hash of seed and key.",
    ),
    click.option("--seed", type=int, default=0, show_default=True, help="Of --order shuffled."),
    click.option(
        "--extra",
        multiple=True,
        metavar="NAME[:FORM][:KEY=N]",
        help="Also store a derived feature; repeatable: laplacian, laplacian:png16, "
        "laplacian:raw16, sobel, sobel:raw16, canny, edges, distance, alpha, trimap, weights; "
        "with parameters as in edges:width=2.",
    ),
    click.option(
        "--verify",
        type=click.Choice(["full", "header"]),
        default="full",
        show_default=True,
        help="full: decode every image and label. header: trust what headers say.",
    ),
    click.option(
        "--on-error",
        type=click.Choice(["stop", "skip"]),
        default="stop",
        show_default=True,
        help="At a bad sample: stop, or leave it out and list it in rejects.jsonl.",
    ),
    click.option(
        "--exif",
        type=click.Choice(["keep", "apply", "reject"]),
        default="keep",
        show_default=True,
        help="EXIF orientation: keep: bytes as they are, which is what TensorFlow sees. apply: "
        "turn the pixels.",
    ),
    click.option(
        "--unreadable",
        type=click.Choice(["reject", "reencode"]),
        default="reject",
        show_default=True,
        help="Images that TensorFlow cannot read (CMYK, 16 bits, TIFF, WebP, BMP, ...).",
    ),
    click.option(
        "--max-side",
        type=click.IntRange(1),
        help="Shrink larger images to this longer side, by area; labels by nearest.",
    ),
    click.option(
        "--jpeg-quality",
        type=click.IntRange(1, 100),
        help="Of images that are encoded anew. Default: PNG, which loses nothing.",
    ),
    click.option("--check-duplicates", is_flag=True, help="Audit: find images of equal content."),
    click.option("--strict", is_flag=True, help="Audit: whatever is found is an error."),
    click.option(
        "--accept",
        multiple=True,
        type=click.Choice(ACCEPTABLE),
        help="Build a split though this was found of all its labels together; repeatable.",
    ),
    click.option("--limit", type=click.IntRange(1), help="Only the first N samples of a split."),
    runner_option,
    dask_option,
    click.option("--workers", type=click.IntRange(1), help="Processes. Default: all cores."),
    click.option("--rehash", is_flag=True, help="On resume, compare sources by content too."),
    click.option(
        "--overwrite", is_flag=True, help="Start anew: remove all that dsbuild wrote to OUT."
    ),
    click.option(
        "--dry-run",
        is_flag=True,
        help="Audit every sample, print plan and findings, write nothing.",
    ),
    click.option("--quiet", is_flag=True, help="Print errors only."),
    click.option(
        "--json", "as_json", is_flag=True, help="Print the summary and all findings as JSON."
    ),
)


def _layout_option(field: dataclasses.Field[Any]) -> Callable[[Any], Any]:
    """Return the option that a layout's field describes."""
    choices = field.metadata.get("choices")
    option = field.metadata.get("option", f"--{field.name.replace('_', '-')}")
    if "read" in field.metadata:
        return click.option(option, metavar="FILE", help=field.metadata["help"])
    if isinstance(field.default, bool):
        return click.option(option, is_flag=True, help=field.metadata["help"])
    return click.option(
        option,
        type=click.Choice(choices) if choices else type(field.default),
        default=field.default,
        show_default=field.default != "",
        help=field.metadata["help"],
    )


def build_command(layout: type[Layout]) -> click.Command:
    """Return the command that builds a layout, its options made from its fields."""

    def command(source: str | None, out: str, **options: Any) -> None:
        with errors(_ANEW if options["overwrite"] else _RESUME):
            _build(layout.name, source, out, **options)

    command.__doc__ = (
        f"Build TFRecords from {layout.title}.\n\n"
        f"SOURCE is {layout.source}; without it, {layout.default}. "
        "OUT is the folder to write, ./tfrecord by default. A build that was broken off is "
        "finished by the same command.\n\n"
        f"\b\nExample:\n  dsbuild {layout.name}{layout.example} --shards 4\n"
        f"  dsbuild {layout.name} data/{layout.name} out{layout.example} --split train"
    )
    fields = dataclasses.fields(layout)
    options = [*BUILD_OPTIONS[:2], *map(_layout_option, fields), *BUILD_OPTIONS[2:]]
    for option in reversed(options):
        command = option(command)
    return click.command(layout.name, cls=RunnerCommand)(command)


def _build(
    layout: str,
    source: str | None,
    out: str,
    *,
    runner: Runner,
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> None:
    from dsbuild.build.public import build
    from dsbuild.cli.text.build import rejects_text, summary_text

    talks = not (quiet or as_json)
    shown = _Shown(
        talks, options["dry_run"], as_json, every=options["dry_run"] or options["strict"]
    )
    built = build(
        layout,
        source,
        out,
        runner=_writer(runner),
        quiet=not talks,
        note=_urgent if quiet else note,
        planned=shown.planned,
        examined=shown.examined,
        **options,
    )
    if built.summary is None:
        return
    if as_json:
        echo_json(built.document())
    if talks:
        echo("\n" + summary_text(built.summary_document()))
    if built.rejects and not quiet:
        note(rejects_text(built.rejects, out))


@dataclasses.dataclass(frozen=True)
class _Shown:
    """What is printed on the way: plan and findings as text, or those of a dry run as JSON."""

    talks: bool
    dry_run: bool
    as_json: bool
    every: bool

    def planned(self, audit: Audit, root: str) -> None:
        from dsbuild.build.summary import plan_document
        from dsbuild.cli.text.build import plan_text

        if self.talks:
            echo(plan_text(plan_document(audit, root)))

    def examined(self, audit: Audit, root: str) -> None:
        from dsbuild.build.preflight import FEW
        from dsbuild.build.summary import plan_document, remedies
        from dsbuild.cli.text.build import findings_text
        from dsbuild.inspect.tables import count

        if audit.findings and self.talks:
            show("\n" + findings_text(audit.findings, None if self.every else FEW), "yellow")
            for line in remedies(audit.findings):
                note(line)
        if self.dry_run and self.as_json:
            echo_json(plan_document(audit, root))
        if self.dry_run and self.talks:
            found = count(len(audit.findings), "finding")
            echo(f"\n{found}; nothing was written, this was a dry run")


def _writer(runner: Runner) -> str | Writer:
    """Return what writes the shards; a pipeline's options are checked before anything is read."""
    if runner.local or runner.name == DASK:
        return runner.name
    flags = runner.beam()

    def write(request: Request, audit: Audit, note: Note) -> Summary | None:
        from dsbuild.pipelines.build import build

        return build(request, audit, flags, note)

    return write


def _urgent(line: str) -> None:
    """Print a note despite --quiet if nothing else would say why the build waits."""
    from dsbuild import storage

    if isinstance(line, storage.Urgent):
        note(line)
