"""Write again what is damaged in an output folder, by the plan and the recipe that it holds."""

import itertools
from collections.abc import Callable

from dsbuild import folder, receipts
from dsbuild.audit import Audit, Planned, Request
from dsbuild.build import Summary, build
from dsbuild.errors import PlanError
from dsbuild.plan import files
from dsbuild.spool import Spool


def repair(
    out: str,
    source: str | None = None,
    workers: int = 1,
    quiet: bool = True,
    note: Callable[[str], None] = lambda _: None,
) -> Summary:
    """Rebuild the shards that are missing or not as they were written, with what lies beside them.

    Shards that stand are kept, whatever became of their sources; the folder ends with the
    bytes of a fresh build. Raises PlanError where the folder has no plan of dsbuild.
    """
    request, audit = _request(out, source)
    return build(request, audit, workers, quiet, note)


def _request(out: str, source: str | None) -> tuple[Request, Audit]:
    splits = sorted(files.splits(out))
    if not splits:
        raise PlanError(
            f"{out}: found no plan of dsbuild, so it is not known what was in it; build it anew"
        )
    made, _ = folder.load_recipe(out)
    root = made.layout.find(source)
    planned = []
    skipped = False
    for split in splits:
        shards = files.samples(out, split)
        made_ = (receipts.load(out, name) for name in shards)
        skipped |= any(receipt and receipt.rejects for receipt in made_)
        samples = Spool(itertools.chain.from_iterable(shards.values()))
        planned.append(Planned(split, samples, len(shards), root, made, len(samples)))
    request = Request(
        recipe=made,
        root=root,
        out=out,
        splits=tuple(splits),
        sources="ignore",
        on_error="skip" if skipped else "stop",
    )
    return request, Audit(tuple(planned), ())
