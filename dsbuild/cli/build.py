"""One command a layout, its options made from the layout's fields."""

import dataclasses
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from dsbuild.cli import array
from dsbuild.cli.options import Bytes, echo, echo_json, errors, note, show
from dsbuild.cli.runner import (
    Runner,
    RunnerCommand,
    runner_option,
    scheduler_option,
    workers_option,
)
from dsbuild.layouts import Layout
from dsbuild.layouts.finding import ACCEPTABLE

if TYPE_CHECKING:
    from dsbuild.build.audit import Audit
    from dsbuild.build.run import Summary

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
        "splits",
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
        "extras",
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
    scheduler_option,
    workers_option,
    *array.array_options,
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


def _layout_option(field: dataclasses.Field) -> Callable:
    """Return the option that a layout's field describes."""
    choices = field.metadata.get("choices")
    if "read" in field.metadata:
        return click.option(
            field.metadata["option"], field.name, metavar="FILE", help=field.metadata["help"]
        )
    if isinstance(field.default, bool):
        name = f"--{field.name.replace('_', '-')}"
        return click.option(name, field.name, is_flag=True, help=field.metadata["help"])
    return click.option(
        field.metadata.get("option", f"--{field.name.replace('_', '-')}"),
        field.name,
        type=click.Choice(choices) if choices else type(field.default),
        default=field.default,
        show_default=field.default != "",
        help=field.metadata["help"],
    )


def _value(field: dataclasses.Field, given: Any) -> Any:
    """Return a field's value; what is given as a file is read, so that its content counts."""
    if "read" not in field.metadata:
        return given
    return field.default if given is None else field.metadata["read"](given)


def build_command(layout: type[Layout]) -> click.Command:
    """Return the command that builds a layout, its options made from its fields."""
    fields = dataclasses.fields(layout)

    def command(source: str | None, out: str, **options: Any) -> None:
        with errors(_ANEW if options["overwrite"] else _RESUME):
            chosen = layout(
                **{field.name: _value(field, options.pop(field.name)) for field in fields}
            )
            _build(chosen, source, out, **options)

    command.__doc__ = (
        f"Build TFRecords from {layout.title}.\n\n"
        f"SOURCE is {layout.source}; without it, {layout.default}. "
        "OUT is the folder to write, ./tfrecord by default. A build that was broken off is "
        "finished by the same command.\n\n"
        f"\b\nExample:\n  dsbuild {layout.name}{layout.example} --shards 4\n"
        f"  dsbuild {layout.name} data/{layout.name} out{layout.example} --split train"
    )
    options = [*BUILD_OPTIONS[:2], *map(_layout_option, fields), *BUILD_OPTIONS[2:]]
    for option in reversed(options):
        command = option(command)
    return click.command(layout.name, cls=RunnerCommand)(command)


def _build(
    layout: Layout,
    source: str | None,
    out: str,
    *,
    extras: tuple[str, ...],
    verify: str,
    runner: Runner,
    check_duplicates: bool,
    strict: bool,
    rehash: bool,
    dry_run: bool,
    quiet: bool,
    as_json: bool,
    **request: Any,
) -> None:
    from dsbuild.build import preflight
    from dsbuild.build.audit import Request, audit
    from dsbuild.build.image_policy import Policy
    from dsbuild.build.recipe import Recipe
    from dsbuild.build.run import build
    from dsbuild.inspect import documents, tables

    shares = array.taken(request, runner, request["overwrite"])
    talks = not (quiet or as_json)
    talk = _silent if quiet else note
    # Wrong options of a runner are named before anything is read.
    engine, here = runner.engine(not talks, talk), runner.here(not talks)
    root = layout.find(source)
    policy = Policy(**{field.name: request.pop(field.name) for field in dataclasses.fields(Policy)})
    recipe = Recipe(layout=layout.bind(root), extras=extras, verify=verify, policy=policy)
    sources = "content" if rehash else "stamp"
    asked = Request(recipe=recipe, root=root, out=out, sources=sources, **request)
    begin = time.monotonic()
    if shares["task"]:
        array.share(asked, shares["task"], runner, quiet, as_json)
        return
    if shares["finish"]:
        _tell(array.finish(asked, runner, not talks, talk), None, out, begin, quiet, as_json)
        return
    found = audit(asked)
    if talks:
        echo(tables.plan_text(documents.plan_document(found, root)))
    every = dry_run or strict
    found = preflight.examine(asked, found, here, every=every)
    if check_duplicates:
        found = preflight.duplicates(asked, found, here)
    few = None if every else preflight.FEW
    if found.findings and talks:
        show("\n" + tables.findings_text(documents.findings(found), few), "yellow")
        for line in documents.remedies(found):
            note(line)
    if dry_run and as_json:
        echo_json(documents.plan_document(found, root))
    if dry_run and talks:
        count = tables.count(len(found.findings), "finding")
        echo(f"\n{count}; nothing was written, this was a dry run")
    found.refuse(strict, asked.on_error == "skip", asked.accept)
    if dry_run:
        return
    if shares["plan_only"]:
        array.plan(asked, found, quiet, as_json, talk)
        return
    summary = build(asked, found, engine, talk)
    if summary is not None:
        _tell(summary, found, out, begin, quiet, as_json)


def _tell(
    summary: "Summary", found: "Audit | None", out: str, begin: float, quiet: bool, as_json: bool
) -> None:
    """Print what came of a build."""
    from dsbuild.build.audit import Audit
    from dsbuild.inspect import documents, tables

    found = found or Audit((), ())
    document = documents.summary_document(summary, found, out, time.monotonic() - begin)
    if as_json:
        echo_json(document)
    elif not quiet:
        echo("\n" + tables.summary_text(document))
    if summary.rejects and not quiet:
        first = summary.rejects[0]
        note(
            f"left out {len(summary.rejects):,} samples, listed in {out}/rejects.jsonl; the first: "
            f"sample {first.key}: {first.file}: {first.reason}"
        )


def _silent(line: str) -> None:
    """Print a note though others are silenced, if nothing else would say why all stands still."""
    from dsbuild import storage

    if isinstance(line, storage.Urgent):
        note(line)
