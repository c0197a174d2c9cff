"""What `evaluate --panoptic` prints."""

from collections.abc import Mapping
from typing import Any

from dsbuild.cli.text.class_table import chosen, folded
from dsbuild.cli.text.table import table
from dsbuild.cli.text.view import View
from dsbuild.inspect.tables import count
from dsbuild.storage import safe_text

_SCORES = ("pq", "sq", "rq")
_COUNTS = ("matched", "extra", "missing")
_ALL = View()


def quality_text(found: Mapping[str, Any], view: View = _ALL) -> str:
    """Return panoptic quality as text: means, and one row per class that occurs."""
    head = f"{found['predicted']}, on {found['split']} of {found['data']}: "
    head += count(found["samples"], "sample")
    means = [["", "PQ", "SQ", "RQ", "classes"]]
    for part in ("all", "things", "stuff"):
        means.append([part, *_shares(found[part]), f"{found[part]['n']:,}"])
    known = {one["index"]: one for one in found["classes"] if one["pq"] is not None}
    parts = {i: one["matched"] + one["missing"] for i, one in known.items()}
    shown = chosen(list(parts), parts, view)
    rows = [["", "class", "PQ", "SQ", "RQ", *_COUNTS]]
    for one in (known[i] for i in shown):
        rows.append(
            [str(one["index"]), one["name"], *_shares(one), *(f"{one[key]:,}" for key in _COUNTS)]
        )
    lines = [safe_text.text(head), "", *table(means, "<>>>>", view.columns, "~0112"), ""]
    lines += table(rows, "><>>>>>>", view.columns, "0~011222")
    absent = len(found["classes"]) - len(known)
    lines += folded(len(parts) - len(shown), where="--json lists them")
    if absent:
        lines.append(f"  {absent:,} class{'' if absent == 1 else 'es'} in no image")
    return "\n".join(lines)


def _shares(scores: Mapping[str, float | None]) -> list[str]:
    return ["-" if (score := scores[name]) is None else f"{100 * score:.1f} %" for name in _SCORES]
