"""Convert a data set to another tool's form in one go: build TFRecords, export them, drop them.

OUT/.dsbuild/records/     the TFRecords, until the receipt is written
OUT/rejects.jsonl         samples that were left out, if there are any
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dsbuild import engines, storage
from dsbuild.build.public import Path, build
from dsbuild.build.summary import Built
from dsbuild.engines import Engine
from dsbuild.errors import PlanError
from dsbuild.format import manifest, names
from dsbuild.interop.annotations import run
from dsbuild.interop.annotations.receipt import Receipt


@dataclass(frozen=True)
class Converted:
    """What a conversion built on its way, and the receipt of what it wrote."""

    built: Built
    receipt: Receipt


def convert(
    layout: str,
    source: Path,
    out: Path,
    form: str,
    *,
    objects: str = "components",
    shapes: str = "",
    runner: str | Engine = "local",
    workers: int | None = None,
    quiet: bool = True,
    note: Callable[[str], None] = lambda _: None,
    **options: Any,
) -> Converted:
    """Build a data set and export it in a form, such as `coco`; the options are those of `build`.

    The same call finishes a conversion that was stopped. Raises what `build` and `export` raise.
    """
    out = os.fspath(out)
    run.asked(form, objects, shapes)
    run.check(out)
    given = options.get("split", ())
    splits = (given,) if isinstance(given, str) else tuple(given)
    run.same(out, splits)
    records = names.state(out, "records")
    engine = engines.chosen(runner, None, workers, quiet, note)
    built = build(
        layout, source, records, runner=engine, workers=workers, quiet=quiet, note=note, **options
    )
    try:
        receipt = run.export(
            records,
            out,
            form,
            objects=objects,
            shapes=shapes,
            splits=splits,
            engine=engine,
            note=note,
        )
    except PlanError:  # the form cannot hold them, so records are of no more use here
        storage.remove_folder(records)
        raise
    left = storage.join(out, manifest.REJECTS)
    storage.remove(left)
    if built.rejects:
        storage.write(left, storage.read(storage.join(records, manifest.REJECTS))[0])
    storage.remove_folder(records)
    return Converted(built, receipt)
