"""What a build planned, found and wrote, as values and as JSON documents."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict

from dsbuild.build.audit import Audit
from dsbuild.build.run import Summary
from dsbuild.errors import PlanError
from dsbuild.format.manifest import Reject
from dsbuild.layouts.finding import Finding


class FindingDocument(TypedDict):
    """One finding; see `Finding`."""

    kind: str
    split: str
    text: str
    fatal: bool
    key: str


class ShardDocument(TypedDict):
    """One planned shard: its name, numbers of samples and records, the digest of its plan.

    How many records the images will give is not known if they are cut into tiles.
    """

    name: str
    samples: int
    records: int | None
    plan: str


class SplitDocument(TypedDict):
    """One planned split; see `Planned`."""

    samples: int
    listed: int
    published: int | None
    labels: str | None
    bytes: int
    shards: list[ShardDocument]


class TilesDocument(TypedDict):
    """How images are cut: the side of a tile, and what neighbours share, in pixels."""

    side: int
    overlap: int


class PlanDocument(TypedDict):
    """What a build is going to write, and what was found before it."""

    root: str
    splits: dict[str, SplitDocument]
    tiles: NotRequired[TilesDocument]
    findings: list[FindingDocument]


class RejectDocument(TypedDict):
    """One sample that was left out; see `Reject`."""

    split: str
    key: str
    file: str
    kind: str
    reason: str


class SummaryDocument(TypedDict):
    """What a build wrote; `manifest` is what manifest.json holds."""

    out: str
    findings: list[FindingDocument]
    written: int
    kept: int
    rejects: list[RejectDocument]
    seconds: float
    manifest: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Built:
    """What a build did.

    Attributes:
      root: the data set's folder, as it was found.
      out: the output folder.
      audit: the splits as planned, and the findings.
      summary: what was written; None for a dry run or a pipeline that was only staged.
      seconds: how long it took.
    """

    root: str
    out: str
    audit: Audit
    summary: Summary | None
    seconds: float

    def __repr__(self) -> str:
        if self.summary is None:
            samples = sum(len(planned.samples) for planned in self.audit.splits)
            return f"<Built {self.out}: nothing was written, {samples:,} samples are planned>"
        splits = self.summary.manifest["splits"].values()
        records, shards = sum(split["records"] for split in splits), self.written + self.kept
        what = f"{records:,} records, {shards:,} shards, of which {self.written:,} are new"
        return f"<Built {self.out}: {what}, {len(self.rejects):,} samples were left out>"

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was found before the build."""
        return self.audit.findings

    @property
    def written(self) -> int:
        """How many shards were written."""
        return self.summary.written if self.summary else 0

    @property
    def kept(self) -> int:
        """How many finished shards were kept."""
        return self.summary.kept if self.summary else 0

    @property
    def rejects(self) -> tuple[Reject, ...]:
        """The samples that were left out."""
        return self.summary.rejects if self.summary else ()

    @property
    def manifest(self) -> Mapping[str, Any] | None:
        """What manifest.json holds; None if nothing was written."""
        return self.summary.manifest if self.summary else None

    def summary_document(self) -> SummaryDocument:
        """Return what was written; raise PlanError if nothing was."""
        if self.summary is None:
            raise PlanError(f"{self.out}: nothing was written, so there is no summary of it")
        return summary_document(self.summary, self.audit.findings, self.out, self.seconds)

    def document(self) -> PlanDocument | SummaryDocument:
        """Return what --json prints: the plan after a dry run, otherwise the summary."""
        if self.summary is None:
            return plan_document(self.audit, self.root)
        return self.summary_document()


def plan_document(audit: Audit, root: str) -> PlanDocument:
    """Return what is going to be built and what was found, as a JSON document."""
    document: PlanDocument = {
        "root": root,
        "splits": {
            planned.split: {
                "samples": len(planned.samples),
                "listed": planned.listed,
                "published": planned.published,
                "labels": planned.labels,
                "bytes": planned.bytes,
                "shards": [
                    {
                        "name": shard.name,
                        "samples": shard.samples,
                        "records": None if planned.recipe.policy.tile else shard.samples,
                        "plan": shard.digest,
                    }
                    for shard in planned.shards
                ],
            }
            for planned in audit.splits
        },
        "findings": finding_documents(audit.findings),
    }
    for policy in (planned.recipe.policy for planned in audit.splits):
        if policy.tile is not None:
            document["tiles"] = {"side": policy.tile, "overlap": policy.tile_overlap}
    return document


def finding_documents(findings: Iterable[Finding]) -> list[FindingDocument]:
    """Return findings as a JSON document."""
    return [
        {
            "kind": one.kind,
            "split": one.split,
            "text": one.text,
            "fatal": one.fatal,
            "key": one.key,
        }
        for one in findings
    ]


def remedies(findings: Iterable[Finding]) -> list[str]:
    """Return the first mistake of each kind that does not stop a build, with its remedy."""
    first: dict[str, str] = {}
    for finding in findings:
        if finding.key and not finding.fatal:
            first.setdefault(finding.kind, f"split {finding.split}: {finding.text}")
    return list(first.values())


def summary_document(
    summary: Summary, findings: Iterable[Finding], out: str, seconds: float
) -> SummaryDocument:
    """Return what a build wrote, as a JSON document."""
    return {
        "out": out,
        "findings": finding_documents(findings),
        "written": summary.written,
        "kept": summary.kept,
        "rejects": [
            {
                "split": one.split,
                "key": one.key,
                "file": one.file,
                "kind": one.kind,
                "reason": one.reason,
            }
            for one in summary.rejects
        ],
        "seconds": round(seconds, 3),
        "manifest": summary.manifest,
    }
