"""What builds plan, find and write, as text."""

from collections.abc import Sequence

from dsbuild.build.summary import PlanDocument, SummaryDocument
from dsbuild.cli.text.table import table
from dsbuild.format.manifest import Reject
from dsbuild.inspect.tables import count, size, span
from dsbuild.layouts.finding import KINDS, Finding
from dsbuild.storage import safe_text


def plan_text(document: PlanDocument) -> str:
    """Return what a build will write: one row per split."""
    rows = [["split", "samples", "labels from", "shards", "records per shard", "sources"]]
    for name, split in document["splits"].items():
        rows.append(
            [
                name,
                f"{split['samples']:,}",
                split["labels"] or "none",
                str(len(split["shards"])),
                span([shard["records"] for shard in split["shards"]]),
                size(split["bytes"]),
            ]
        )
    return "\n".join([safe_text.text(document["root"]), "", *table(rows, "<><>>>")])


def findings_text(findings: Sequence[Finding], few: int | None = None) -> str:
    """Return findings: one row per kind and split, with the first of them.

    `few` is how many samples of a split were opened, None for all.
    """
    rows: dict[tuple[str, str], list[Finding]] = {}
    for kind in KINDS:
        for finding in findings:
            if finding.kind == kind:
                rows.setdefault((kind, finding.split), []).append(finding)
    lines = [["found", "split", "count", "first"]]
    for (kind, split), found in rows.items():
        lines.append([KINDS[kind], split, f"{len(found):,}", found[0].key or found[0].text])
    text = "\n".join(table(lines, "<<><"))
    if few and any(finding.key for finding in findings):
        text += f"\n  {few} samples of each split were opened; --dry-run opens all"
    return text


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
    kept = f", {document['kept']:,} shards kept" if document["kept"] else ""
    return f"{out}: {what}{kept}, in {document['seconds']:.1f} s"


def rejects_text(rejects: Sequence[Reject], out: str) -> str:
    """Return how many samples were left out, and the first of them, in one line."""
    first = rejects[0]
    return (
        f"left out {count(len(rejects), 'sample')}, listed in {out}/rejects.jsonl; first: "
        f"sample {first.key}: {first.file}: {first.reason}"
    )
