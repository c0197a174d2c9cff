"""What builds plan, find and write, as text."""

from collections.abc import Sequence

from dsbuild.build.summary import PlanDocument, SummaryDocument
from dsbuild.cli.text.listing import below, listing
from dsbuild.cli.text.table import table
from dsbuild.cli.text.view import View
from dsbuild.format.manifest import Reject
from dsbuild.inspect.tables import count, duration, size, span
from dsbuild.layouts.finding import KINDS, Finding
from dsbuild.storage import safe_text

_ALL = View()


def plan_text(document: PlanDocument, view: View = _ALL) -> str:
    """Return what a build will write: one row per split."""
    rows = [["split", "samples", "labels from", "shards", "per shard", "sources"]]
    for name, split in document["splits"].items():
        rows.append(
            [
                name,
                f"{split['samples']:,}",
                split["labels"] or "none",
                f"{len(split['shards']):,}",
                span([shard["samples"] for shard in split["shards"]]),
                size(split["bytes"]),
            ]
        )
    lines = table(rows, "<><>>>", view.columns, "~0~021")
    if tiles := document.get("tiles"):
        side, shared = tiles["side"], tiles["overlap"]
        lines += ["", f"each image is cut into tiles of {side} x {side} pixels, one record each"]
        lines[-1] += f"; neighbours share {shared} pixels" if shared else ""
    return "\n".join([safe_text.text(document["root"]), "", *lines])


def findings_text(
    findings: Sequence[Finding], few: int | None = None, root: str = "", view: View = _ALL
) -> str:
    """Return findings with their reasons, up to ten of each kind, or all in a view of all.

    `few` is how many samples of a split were opened, None for all; `root` is the data set's folder.
    """
    groups = [
        (what, [f"{one.split}: {below(root, one.text)}" for one in findings if one.kind == kind])
        for kind, what in KINDS.items()
    ]
    lines = listing(groups, view)
    if few and any(finding.key for finding in findings):
        lines += ["", f"  {few} samples of each split were opened; --dry-run opens all"]
    return "\n".join(lines)


def summary_text(document: SummaryDocument) -> str:
    """Return what a build or a repair wrote, in one line."""
    splits = document["manifest"]["splits"].values()
    records = sum(split["records"] for split in splits)
    total = sum(split["bytes"] for split in splits)
    shards = sum(len(split["shards"]) for split in splits)
    what = f"{count(records, 'record')} in {count(shards, 'shard')}, {size(total)}"
    out = safe_text.text(document["out"])
    if not document["written"]:
        return f"{out} is complete: {what}; nothing to do"
    kept = f", {count(document['kept'], 'shard')} kept" if document["kept"] else ""
    return f"{out}: {what}{kept}, in {duration(document['seconds'])}"


def rejects_text(rejects: Sequence[Reject], out: str) -> str:
    """Return how many samples were left out, and the first of them, in one line."""
    first = rejects[0]
    return (
        f"left out {count(len(rejects), 'sample')}, listed in {out}/rejects.jsonl; first: "
        f"sample {first.key}: {first.file}: {first.reason}"
    )
