"""A quality sheet as one self-contained HTML page."""

from dsbuild import storage
from dsbuild.inspect.html import svg
from dsbuild.inspect.html.document import document
from dsbuild.inspect.html.svg import escape
from dsbuild.inspect.quality.sheet import VERDICTS, RuleDocument, Sheet, limits_text

GRADES = {"fail": "bad", "warn": "warn", "pass": "good", "skip": "hint"}  # verdict -> style
_WORDS = {"fail": "fail", "warn": "warn", "pass": "pass", "skip": "skipped"}


def page(sheet: Sheet) -> str:
    """Return the page of a sheet: the verdict, one line per rule, the gravest first."""
    ranked = sorted(sheet["rules"], key=lambda row: VERDICTS.index(row["verdict"]))
    sections = [
        ("verdict", f"Verdict: {sheet['verdict']}", _verdict(sheet)),
        ("rules", "Rules", f'<ul class="findings">{"".join(map(_rule, ranked))}</ul>'),
    ]
    return document(
        f"Quality sheet: {storage.name(sheet['path'])}", "Quality sheet", sheet["path"], sections
    )


def _verdict(sheet: Sheet) -> str:
    tiles = [("records", f"{sheet['records']:,}")]
    for verdict, word in _WORDS.items():
        count = sum(row["verdict"] == verdict for row in sheet["rules"])
        if count:
            tiles.append((word, f"{count:,} of {len(sheet['rules']):,} rules"))
    made = "".join(
        f"<div><b>{escape(text)}</b><span>{escape(what)}</span></div>" for what, text in tiles
    )
    digest = sheet["digest"]
    rows = [
        ["rules", escape(sheet["rules_file"] or "the default set")],
        ["compared with", escape(sheet["against"] or "no other build")],
        ["digest of the data", escape(digest or "none: not a whole, undamaged build of dsbuild")],
    ]
    return f'<div class="tiles">{made}</div>' + svg.table(["", ""], rows, "<<")


def _rule(row: RuleDocument) -> str:
    text = f"{escape(row['what'])}: {escape(row['text'])}"
    examples = "".join(f"<li>{escape(text)}</li>" for text in row["examples"])
    if row["more"]:
        examples += f"<li>… and {row['more']:,} more</li>"
    if examples:
        text = f"<details><summary>{text}</summary><ul>{examples}</ul></details>"
    said = ": ".join(filter(None, (row["rule"], limits_text(row["limits"]))))
    grade, word = GRADES[row["verdict"]], _WORDS[row["verdict"]]
    return (
        f'<li class="{grade}"><b>{word}</b><div>{text}'
        f'<div class="soft">{escape(said)}</div></div></li>'
    )
