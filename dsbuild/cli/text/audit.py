"""What an audit prints."""

from dsbuild.cli.text.table import table
from dsbuild.cli.text.view import View
from dsbuild.inspect.tables import count
from dsbuild.storage import safe_text
from dsbuild.train.audit.run import Found
from dsbuild.train.audit.suspects import LIST, TABLE, score_text

_FIRST = 10  # suspects that are printed
_ALL = View()


def audit_text(found: Found, out: str, view: View = _ALL) -> str:
    """Return the first suspects as a table, and where the others are."""
    report = found.report
    head = f"{out}: {count(report['suspects'], 'suspect')} in {count(report['records'], 'record')}"
    rows = [["", "key", "split", "given", "suggested", "box", "score"]]
    for one in found.suspects[:_FIRST]:
        box = " ".join(map(str, one.box))
        words = [one.key, one.split, one.given, one.suggested, box, score_text(one.score)]
        rows.append([str(one.rank), *words])
    lines = [safe_text.text(head)]
    if found.suspects:
        lines += ["", *table(rows, "><<<<<>", view.columns, "0~2~~31")]
    more = f"the first {report['listed']:,}" if report["suspects"] > report["listed"] else "all"
    return "\n".join([*lines, "", f"list of {more}: {out}/{LIST}, {out}/{TABLE}"])
