"""A quality sheet as text."""

import textwrap

from dsbuild.cli.text.view import View
from dsbuild.inspect.quality.sheet import VERDICTS, RuleDocument, Sheet, limits_text
from dsbuild.inspect.tables import count
from dsbuild.storage import safe_text

_ALL = View()
_FEW = 3  # examples of a rule that are shown
_LABEL = 6  # columns of a verdict


def sheet_text(sheet: Sheet, view: View = _ALL) -> str:
    """Return one line per rule, the gravest first, with examples, and the verdict.

    Rules that do not apply are listed with --all alone.
    """
    by = sheet["rules_file"] or "the default rules"
    head = f"{sheet['path']}: {count(sheet['records'], 'record')}, checked by {by}"
    if sheet["against"]:
        head += f", against {sheet['against']}"
    lines = [safe_text.text(head), ""]
    skipped = 0
    for verdict in VERDICTS:
        for row in sheet["rules"]:
            if row["verdict"] == verdict:
                if verdict == "skip" and not view.every:
                    skipped += 1
                else:
                    lines += _rule(row, view)
    if skipped:
        lines.append(f"  {count(skipped, 'rule')} not applied; --all lists them")
    return "\n".join([*lines, "", f"verdict: {sheet['verdict']}"])


def _rule(row: RuleDocument, view: View) -> list[str]:
    lines = _folded(f"  {row['verdict']:{_LABEL}}{row['rule']}: {row['what']}: {row['text']}", view)
    if row["verdict"] in ("fail", "warn"):
        lines[-1:] = _folded(f"{lines[-1]} ({limits_text(row['limits'])})", view)
        shown = row["examples"] if view.every else row["examples"][:_FEW]
        for text in shown:
            lines += _folded(" " * (_LABEL + 4) + text, view)
        more = len(row["examples"]) - len(shown) + row["more"]
        if more:
            lines.append(" " * (_LABEL + 4) + f"… and {more:,} more; --json lists 20")
    return lines


def _folded(text: str, view: View) -> list[str]:
    text = safe_text.text(text)
    if view.columns is None:
        return [text]
    indent = " " * (_LABEL + 4)
    return textwrap.wrap(
        text.strip(),
        max(view.columns, 40),
        initial_indent=text[: len(text) - len(text.lstrip())],
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
