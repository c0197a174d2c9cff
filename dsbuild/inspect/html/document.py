"""What all pages are made of: a head, links to their sections, and the sections."""

import string
from collections.abc import Sequence
from importlib import resources

from dsbuild.inspect.html.svg import escape

_SCRIPTS = "; script-src 'unsafe-inline'"  # of the policy of a page that has scripts


def document(
    title: str, heading: str, kind: str, parts: Sequence[tuple[str, str, str]], rest: str = ""
) -> str:
    """Return a whole page.

    `parts` are id, heading and body of its sections, of which those without a body are left out;
    `rest` is markup after them, which may have scripts.
    """
    shown = [(key, escape(text), body) for key, text, body in parts if body]
    return string.Template(file_text("page.html")).substitute(
        title=escape(title),
        heading=escape(heading),
        kind=escape(kind),
        style=file_text("page.css"),
        scripts=_SCRIPTS if rest else "",
        nav="".join(f'<a href="#{key}">{text}</a>' for key, text, _ in shown),
        sections="\n".join(
            f'<section id="{key}"><h2>{text}</h2>{body}</section>' for key, text, body in shown
        ),
        rest=rest,
    )


def file_text(name: str) -> str:
    """Return a file of this folder."""
    return (resources.files(__package__) / name).read_text(encoding="utf-8")
