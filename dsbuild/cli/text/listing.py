"""Findings and problems by their kinds: each kind with its number and its first reasons."""

import re
import textwrap
from collections.abc import Iterable, Sequence

from dsbuild.cli.text.view import View
from dsbuild.storage import safe_text

_FEW = 10  # of a kind that are listed without --all
_INDENT = "    "
_LONG = 60  # characters that texts have in common at their ends, from which on these are cut
_CLAUSE = re.compile("[,;:] ")


def listing(groups: Iterable[tuple[str, Sequence[str]]], view: View) -> list[str]:
    """Return lines for kinds and their texts: a heading per kind, then its first texts.

    Kinds without a text are skipped. What other texts of a kind say again, such as a remedy, is
    shown once. In a terminal longer texts fold between words, so that a path stays whole.
    """
    lines: list[str] = []
    for what, texts in groups:
        if not texts:
            continue
        lines += [""] * bool(lines) + [f"  {what} ({len(texts):,})"]
        shown = texts if view.every else texts[:_FEW]
        for text in (shown[0], *(_shorter(text, shown[0]) for text in shown[1:])):
            lines += _folded(safe_text.text(text), view.columns)
        if len(texts) > len(shown):
            lines.append(f"{_INDENT}… and {len(texts) - len(shown):,} more; --all lists them")
    return lines


def below(root: str, text: str) -> str:
    """Return a text whose first path is written as below its folder.

    >>> below("data", "sample a: data/a.png: no such file")
    'sample a: a.png: no such file'
    """
    start, slash, rest = text.partition(f"{root.rstrip('/')}/")
    return start + rest if slash and (not start or start.endswith(": ")) else text


def _shorter(text: str, first: str) -> str:
    """Return a text without a long end that the first one has, too, cut between two clauses."""
    same = 0
    for ours, theirs in zip(reversed(text), reversed(first), strict=False):
        if ours != theirs:
            break
        same += 1
    clause = _CLAUSE.search(text, len(text) - same)
    if same < _LONG or clause is None or text == first:
        return text
    return text[: clause.start()] + " …"


def _folded(text: str, columns: int | None) -> list[str]:
    if columns is None:
        return [_INDENT + text]
    return textwrap.wrap(
        text,
        max(columns, 2 * len(_INDENT) + 8),
        initial_indent=_INDENT,
        subsequent_indent=_INDENT + "  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
