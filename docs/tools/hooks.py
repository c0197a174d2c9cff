"""MkDocs hooks: pages of the project that are not in docs/ become pages of the site.

They stay where people look for them in the project. Links between them and the pages in docs/ are
rewritten, so that they work in both places.
"""

import pathlib
import posixpath
import re

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = pathlib.Path(__file__).parents[2]
# File of the project -> page of the site.
GUESTS = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "README.md": "index.md",
    "SECURITY.md": "security.md",
    "bench/METHOD.md": "method.md",
    "bench/README.md": "measurements.md",
    "examples/torch_train.py": "torch-loop.md",
    "pipelines/dataflow/README.md": "dataflow.md",
}
HOMES = {page: source for source, page in GUESTS.items() if page != "index.md"}
START = "<!-- README -->"  # where the landing page has the README's first screen
DOCS = re.compile(r"\]\((?:https?://[^)\s]*/)?docs/((?:pictures/)?[\w.-]+(?:#[\w-]*)?)\)")
LINK = re.compile(r"(?<!!)\[((?:[^][]|\[[^][]*\])*)\]\(([^()\s#:]+)(#[^()\s]*)?\)")


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the project's own pages."""
    for page, source in HOMES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        if source.endswith(".py"):
            text = f"# {pathlib.Path(source).name}\n\n```python\n{text}```\n"
        files.append(File.generated(config, page, content=text))
    return files


def first_screen() -> str:
    """Return what the README says before its first section; links to docs/ lead to pages."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return DOCS.sub(r"](\1)", text.partition("\n## ")[0].partition("\n")[2])


def apart(text: str) -> str:
    """Return a text with an empty line before each list: without one, MkDocs makes no list."""
    lines: list[str] = []
    code = False
    for line in text.splitlines():
        code ^= line.startswith("```")
        before = lines[-1] if lines else ""
        if not code and line.startswith("- ") and before[:1] not in ("", " ", "-"):
            lines.append("")
        lines.append(line)
    return "\n".join(lines)


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, **_: object) -> str:
    """Lead links to files of the project to their pages; of other files keep the name alone."""
    source = HOMES.get(page.file.src_uri, f"docs/{page.file.src_uri}")
    folder = posixpath.dirname(source)
    markdown = markdown.replace(START, first_screen())

    def led(link: re.Match[str]) -> str:
        text, target, anchor = link[1], link[2], link[3] or ""
        path = posixpath.normpath(posixpath.join(folder, target))
        if not (ROOT / path).exists():
            return link[0]  # broken: MkDocs names it
        if path in GUESTS:
            return f"[{text}]({GUESTS[path]}{anchor})"
        if path.startswith("docs/"):
            return f"[{text}]({path.removeprefix('docs/')}{anchor})"
        if config.repo_url:
            return f"[{text}]({config.repo_url.rstrip('/')}/blob/main/{path}{anchor})"
        return text

    return LINK.sub(led, apart(markdown))
