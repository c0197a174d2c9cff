"""The list of suspects: one line of JSON each, the most likely error first, and the same as CSV.

audit.json        what was audited and how; the last file written
suspects.jsonl    rank, key, split, record, box, area, given, suggested, score
suspects.csv      the same
folds/<i>/        the run of a fold, and its confidences
"""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dsbuild import storage
from dsbuild.errors import TrainError
from dsbuild.format.documents import dump, fits

REPORT, LIST, TABLE = "audit.json", "suspects.jsonl", "suspects.csv"
_FORM = {
    "rank": int,
    "key": str,
    "split": str,
    "record": int,
    "box": [int],
    "area": int,
    "given": str,
    "suggested": str,
    "score": float | int,
    "fold": int,
    "part": int,
}
# What is read of the report.
_REPORT_FORM = {
    "digest": str,
    "folds": int,
    "limits": [int],
    "records": int,
    "suspects": int,
    "listed": int,
    "notes": [str],
    "run?": str,
}


@dataclass(frozen=True, kw_only=True)
class Suspect:
    """A region whose label is likely wrong.

    Attributes:
      rank: from 1.
      key, split, record: its record, by key, and by split and number there.
      box: left, top, width and height in pixels of the label.
      area: in pixels of the label.
      given: name of the class in the label.
      suggested: name of the model's class.
      score: the larger, the more likely is an error.
      fold: that of the record.
      part: its number among the regions of the record, from 0.
    """

    rank: int
    key: str
    split: str
    record: int
    box: tuple[int, int, int, int]
    area: int
    given: str
    suggested: str
    score: float
    fold: int
    part: int


def score_text(score: float) -> str:
    """Return a score for people.

    >>> score_text(0.25), score_text(17916.04)
    ('0.2', '17,916')
    """
    return f"{score:,.0f}" if score >= 10 else f"{score:.1f}"


def folder_of(out: str, fold: int) -> str:
    """Return the folder of a fold in that of an audit."""
    return storage.join(out, "folds", str(fold))


def confidences(out: str, fold: int) -> str:
    """Return the path of the confidences of a fold."""
    return storage.join(folder_of(out, fold), "confidences.bin")


def write(out: str, suspects: Sequence[Suspect], report: dict[str, Any]) -> None:
    """Write the list in both forms, then the report."""
    lines = "".join(f"{dump(asdict(one))}\n" for one in suspects)
    storage.write_all(
        {
            storage.join(out, LIST): lines.encode(),
            storage.join(out, TABLE): _csv(suspects),
        }
    )
    storage.write(storage.join(out, REPORT), dump(report, indent=2).encode() + b"\n")


def _csv(suspects: Iterable[Suspect]) -> bytes:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    head = ["rank", "key", "split", "record", "left", "top", "width", "height", "area"]
    rows.writerow([*head, "given", "suggested", "score"])
    for one in suspects:
        place = [one.rank, one.key, one.split, one.record, *one.box, one.area]
        rows.writerow([*place, one.given, one.suggested, one.score])
    return text.getvalue().encode(errors="surrogateescape")


def read(out: str) -> tuple[list[Suspect], dict[str, Any]]:
    """Return the suspects of an audit, and its report; raise TrainError if it is not finished."""
    where = storage.join(out, REPORT)
    if storage.stamp(where) is None:
        raise TrainError(
            f"{out}: found no {REPORT}, expected the folder of a finished `dsbuild audit`; run the "
            "audit to its end"
        )
    try:
        report = json.loads(storage.read(where)[0])
        if not fits(report, _REPORT_FORM):
            raise ValueError(f"{REPORT} is no report of an audit")
        path = storage.join(out, LIST)
        found = [_suspect(line) for line in storage.read(path)[0].splitlines()]
    except ValueError as error:
        raise TrainError(f"{out}: found a damaged list ({error}); run the audit again") from error
    return found, report


def _suspect(line: bytes) -> Suspect:
    document = json.loads(line)
    if not fits(document, _FORM) or len(document["box"]) != 4:
        raise ValueError("a line that is no suspect")
    return Suspect(**{**document, "box": tuple(document["box"])})
