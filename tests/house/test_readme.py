"""The README's first screen and links, and what it says of `make`."""

import pathlib
import re
import shutil
import subprocess

import pytest

from tests.support.blocks import blocks

ROOT = pathlib.Path(__file__).parents[2]
README = ROOT / "README.md"
# Where the project is: PyPI shows the README without its folder, so its links are absolute.
FILES = "https://github.com/dsbuild/dsbuild/blob/main/"
PICTURES = "https://raw.githubusercontent.com/dsbuild/dsbuild/main/"


def test_the_first_screen_has_a_sentence_an_installation_four_lines_and_a_picture():
    screen = README.read_text().partition("\n## ")[0]
    assert len(screen.splitlines()) <= 35
    first, shell, python = [block for block in blocks(README) if block.text in screen]
    assert first.text == "pip install dsbuild\n"
    assert (shell.kind, len(shell.text.splitlines())) == ("sh", 4)
    assert python.kind == "python"
    assert len([line for line in python.text.splitlines() if line]) <= 4
    assert len(re.findall(r"!\[[^]]+\]\(", screen)) == 1


def test_links_are_absolute_and_lead_to_files():
    for mark, target in re.findall(r"(!?)\[[^]]*\]\(([^)#]+)", README.read_text()):
        base = PICTURES if mark else FILES
        assert target.startswith(base), target
        if not mark:
            assert (ROOT / target.removeprefix(base)).exists(), target


def test_make_lists_its_targets():
    shown = subprocess.run(["make"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for target in "demo test test-beam test-all lint types docs wheel bench".split():
        assert re.search(rf"^{target} ", shown, re.MULTILINE)


@pytest.mark.slow
def test_demo_from_nothing(tmp_path):
    """Run `make demo` in a fresh copy, with its own environment and all packages installed."""
    ignore = shutil.ignore_patterns(".venv*", ".git", "*.egg-info", "__pycache__")
    copy = shutil.copytree(ROOT, tmp_path / "dsbuild", symlinks=True, ignore=ignore)
    result = subprocess.run(["make", "demo"], cwd=copy, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "80 records in 8 shards" in result.stdout
    assert "were published" not in result.stdout + result.stderr
    assert (copy / "demo" / "tfrecord.html").stat().st_size > 100_000
