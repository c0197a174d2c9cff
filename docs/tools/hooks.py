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
    "bench/README.md": "measurements.md",
    "examples/torch_train.py": "torch-loop.md",
    "pipelines/dataflow/README.md": "dataflow.md",
}
HOMES = {page: source for source, page in GUESTS.items() if page != "index.md"}
LINK = re.compile(r"(?<!!)\[((?:[^][]|\[[^][]*\])*)\]\(([^()\s#:]+)(#[^()\s]*)?\)")


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the project's own pages."""
    for page, source in HOMES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        if source.endswith(".py"):
            text = f"# {pathlib.Path(source).name}\n\n```python\n{text}```\n"
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links to files of the project to their pages; of other files keep the name alone."""
    source = HOMES.get(page.file.src_uri, f"docs/{page.file.src_uri}")
    folder = posixpath.dirname(source)

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

    return LINK.sub(led, markdown)
