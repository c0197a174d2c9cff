"""The documentation site: it builds without a warning, and everything in it leads somewhere."""

import html.parser
import os
import pathlib
import re
import subprocess
import sys
import urllib.parse
import zlib

import pytest

import dsbuild
from docs.tools import walk

pytest.importorskip("material", reason="mkdocs-material is missing: pip install 'dsbuild[docs]'")
pytest.importorskip("mkdocstrings", reason="mkdocstrings is missing: pip install 'dsbuild[docs]'")

ROOT = pathlib.Path(__file__).parents[2]
PICTURES = ROOT / "docs" / "pictures"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(
        words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return folder


class Page(html.parser.HTMLParser):
    """The anchors of a page, what it links to, and what a browser loads with it."""

    def __init__(self, path):
        super().__init__()
        self.anchors, self.links, self.loaded = {""}, [], []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.anchors |= {found.get("id"), found.get("name")}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        elif tag == "link" and found.get("rel") not in ("canonical", "next", "prev"):
            self.loaded.append(found["href"])
        elif found.get("src"):
            self.loaded.append(found["src"])


def test_links_lead_somewhere(site):
    pages = {path: Page(path) for path in site.glob("*.html") if path.name != "404.html"}
    assert len(pages) > 30
    for path, page in pages.items():
        for link in [*page.links, *page.loaded]:
            parts = urllib.parse.urlsplit(link)
            if parts.scheme:
                continue
            target = site / urllib.parse.unquote(parts.path) if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            assert target.exists(), f"{path.name} links to {link}"
            if target in pages and parts.fragment != "__skip":
                anchor = urllib.parse.unquote(parts.fragment)
                assert anchor in pages[target].anchors, f"{path.name} links to {link}"


def test_nothing_is_loaded_from_elsewhere(site):
    for path in site.glob("*.html"):
        for link in Page(path).loaded:
            assert not urllib.parse.urlsplit(link).netloc, f"{path.name} loads {link}"


def test_lists_are_lists(site):
    for path in site.glob("*.html"):
        assert not re.search(r"<p>[^<]*(<(?!/p>)[^<]*)*\n- ", path.read_text()), path.name


def test_every_public_name_is_in_the_reference(site):
    packed = (site / "objects.inv").read_bytes().split(b"\n", 4)[4]
    found = {line.split()[0] for line in zlib.decompress(packed).decode().splitlines()}
    for name in dsbuild.__all__:
        places = {f"dsbuild.{name}", f"dsbuild.{name}.public.{name}", f"dsbuild.errors.{name}"}
        assert places & found, f"no docs/api-*.md has dsbuild.{name}"


def test_pictures_are_shown_and_small():
    pages = [ROOT / "README.md", ROOT / "mkdocs.yml", *(ROOT / "docs").glob("*.md")]
    shown = "\n".join(page.read_text() for page in pages)
    # The landing page takes the README's first screen, and with it this picture.
    shown += "pictures/page.png"
    for path in PICTURES.iterdir():
        assert f"pictures/{path.name}" in shown, f"no page shows {path.name}"
        assert path.stat().st_size < 200_000, path.name


def test_every_picture_of_the_tutorial_follows_a_block():
    found = walk.blocks(ROOT / "docs" / "tutorial.md")
    assert [block.kind for block in found].count("python") == 3
    for name in [picture for block in found for picture in block.pictures]:
        assert (PICTURES / name).exists(), name
    two = next(block for block in found if "dsbuild train" in block.text)
    assert walk.commands(two) == [two.text.rstrip("\n")]
