"""`dsbuild.build`: a whole build as one call."""

import os
import time
from collections.abc import Callable, Collection, Iterable
from typing import Any

from dsbuild import engines, storage
from dsbuild.build import audit, chosen, class_weights, layout_options, preflight, run
from dsbuild.build.audit import Audit
from dsbuild.build.image_policy import Policy
from dsbuild.build.layout_options import AUTO
from dsbuild.build.recipe import Recipe
from dsbuild.build.request import SHARD_SIZE, Request
from dsbuild.build.request import shard_size as in_bytes
from dsbuild.build.run import Note
from dsbuild.build.summary import Built, remedies
from dsbuild.engines import Engine
from dsbuild.errors import PlanError

Path = str | os.PathLike[str]
Seen = Callable[[Audit, str], None]  # called with an audit and the data set's root


def _silent(_: object) -> None:
    """Say nothing."""


def build(
    layout: str,
    source: Path | None = None,
    out: Path = "tfrecord",
    *,
    split: str | Collection[str] = (),
    shards: int | None = None,
    shard_size: int | str = SHARD_SIZE,
    order: str = "listed",
    seed: int = 0,
    extra: str | Collection[str] = (),
    plane: str | Collection[str] = (),
    verify: str = "full",
    on_error: str = "stop",
    exif: str = "keep",
    unreadable: str = "reject",
    max_side: int | None = None,
    jpeg_quality: int | None = None,
    tile: int | None = None,
    tile_overlap: int = 0,
    depth: int = 8,
    scale: str = "",
    check_duplicates: bool = False,
    strict: bool = False,
    accept: str | Collection[str] = (),
    limit: int | None = None,
    runner: str | Engine = "local",
    scheduler: str | None = None,
    workers: int | None = None,
    rehash: bool = False,
    overwrite: bool = False,
    dry_run: bool = False,
    quiet: bool = True,
    note: Note = _silent,
    planned: Seen | None = None,
    examined: Seen | None = None,
    **options: Any,
) -> Built:
    """Build TFRecords as `dsbuild LAYOUT SOURCE OUT` does, with the same options and defaults.

    The same call finishes a build that was stopped. Nothing is printed.

    Args:
      layout: name of the command, such as "voc"; "auto" to recognise it, as `dsbuild build` does.
      source: the data set; None to look for it as the command does.
      out: the folder to write.
      split: the splits to build, one or several; all by default.
      shards: shards per split; None for as many as `shard_size` gives.
      shard_size: approximate bytes per shard: a number, or a text such as "128MB".
      order: "listed" or "shuffled".
      seed: seed for order="shuffled".
      extra: derived features to store, one or several, such as "laplacian:png16".
      plane: planes from files of their own, such as "depth=depth/{key}.png:png16".
      verify: "full" or "header".
      on_error: "stop" or "skip".
      exif: "keep", "apply" or "reject".
      unreadable: "reject" or "reencode".
      max_side: shrink larger images to this longer side.
      jpeg_quality: quality for images that are re-encoded; None for PNG.
      tile: cut images and labels into tiles of this side, one record each.
      tile_overlap: pixels that neighbouring tiles share.
      depth: bits per channel of the stored images, 8 or 16.
      scale: the range of 16-bit images that is scaled to 8 bits, such as "0:4095".
      check_duplicates: whether to find images of equal content.
      strict: whether every finding is an error.
      accept: kinds of findings that do not stop a split, one or several.
      limit: only the first samples of each split.
      runner: "local"; "dask", with its `scheduler`; or an engine.
      scheduler: address of a Dask scheduler, such as "tcp://host:8786".
      workers: processes; None for all cores.
      rehash: whether a resumed build compares sources by content too.
      overwrite: whether to remove all that dsbuild wrote to `out` before.
      dry_run: whether to open every sample and write nothing.
      quiet: whether to hide the progress bar.
      note: called with each line that the command prints as a note.
      planned: called with the audit and the data set's root when all samples are listed, before
        a pixel is read.
      examined: called likewise when samples have been opened, before findings stop the build; by
        default their remedies are noted.
      options: the layout's own options, such as classes="names.txt".

    Returns:
      What was planned, found and written.

    Raises:
      PlanError: for options that are wrong, or contradict each other or the folder `out`.
      LayoutError: if `source` is not a data set of the layout.
      SampleError: for a bad sample, and for findings that stop a build; finished shards are kept.
      StorageError: if something cannot be read or written.

    Example:
      >>> built = dsbuild.build("voc", "data", "small", split="val", limit=4, workers=1)
      >>> built.written, dsbuild.open("small", "val")[0].key
      (1, '2007_000012')
    """
    begin = time.monotonic()
    here = engines.chosen("local", None, workers, quiet)
    engine = engines.chosen(runner, scheduler, workers, quiet, note)
    with storage.listed_once():
        request = requested(
            layout,
            source,
            out,
            split=split,
            shards=shards,
            shard_size=shard_size,
            order=order,
            seed=seed,
            extra=extra,
            plane=plane,
            verify=verify,
            on_error=on_error,
            exif=exif,
            unreadable=unreadable,
            max_side=max_side,
            jpeg_quality=jpeg_quality,
            tile=tile,
            tile_overlap=tile_overlap,
            depth=depth,
            scale=scale,
            accept=accept,
            limit=limit,
            rehash=rehash,
            overwrite=overwrite,
            note=note,
            **options,
        )
        found = audited(
            request,
            here,
            check_duplicates=check_duplicates,
            strict=strict,
            dry_run=dry_run,
            note=note,
            planned=planned,
            examined=examined,
        )
    summary = None if dry_run else run.build(request, found, engine, note)
    seconds = time.monotonic() - begin
    return Built(root=request.root, out=request.out, audit=found, summary=summary, seconds=seconds)


def requested(
    layout: str,
    source: Path | None,
    out: Path,
    *,
    split: str | Collection[str],
    extra: str | Collection[str],
    plane: str | Collection[str],
    verify: str,
    exif: str,
    unreadable: str,
    max_side: int | None,
    jpeg_quality: int | None,
    tile: int | None,
    tile_overlap: int,
    depth: int,
    scale: str,
    accept: str | Collection[str],
    rehash: bool,
    shards: int | None,
    shard_size: int | str,
    order: str,
    seed: int,
    on_error: str,
    limit: int | None,
    overwrite: bool,
    note: Note = _silent,
    **options: Any,
) -> Request:
    """Return the request of a build, by the parameters of `build`."""
    if layout == AUTO:
        layout, options = chosen.recognised(source, options)
    unbound = layout_options.taken(layout, options)
    root = chosen.root(unbound, None if source is None else os.fspath(source))
    policy = Policy(
        exif=exif,
        unreadable=unreadable,
        max_side=max_side,
        jpeg_quality=jpeg_quality,
        tile=tile,
        tile_overlap=tile_overlap,
        depth=depth,
        scale=scale,
    )
    extras, weights = class_weights.divided(_several("extra", extra))
    recipe = Recipe(
        layout=chosen.settled(unbound.bind(root), root, on_error, note),
        extras=extras,
        planes=_several("plane", plane),
        verify=verify,
        policy=policy,
    )
    return Request(
        recipe=recipe,
        root=root,
        out=os.fspath(out),
        splits=_several("split", split),
        shards=shards,
        shard_size=in_bytes(shard_size),
        order=order,
        seed=seed,
        limit=limit,
        on_error=on_error,
        sources="content" if rehash else "stamp",
        overwrite=overwrite,
        weights=weights,
        accept=_several("accept", accept),
    )


def audited(
    request: Request,
    here: Engine,
    *,
    check_duplicates: bool,
    strict: bool,
    dry_run: bool,
    note: Note = _silent,
    planned: Seen | None = None,
    examined: Seen | None = None,
) -> Audit:
    """Return what is to be built, with all findings; raise a DsbuildError if some stop the build.

    `here` is an engine of this machine, which has the sources.
    """
    found = audit.audit(request)
    if planned:
        planned(found, request.root)
    found = preflight.examine(request, found, here, every=dry_run or strict)
    if check_duplicates:
        found = preflight.duplicates(request, found, here)
    if examined:
        examined(found, request.root)
    else:
        for line in remedies(found.findings):
            note(line)
    found.refuse(strict, request.on_error == "skip", request.accept)
    return found


def _several(name: str, given: str | Collection[str]) -> tuple[str, ...]:
    """Return one text or several as a tuple; raise PlanError for anything else."""
    if not isinstance(given, str | Iterable):
        raise PlanError(f"{name}: found {given!r}, expected a text or several")
    return (given,) if isinstance(given, str) else tuple(given)
