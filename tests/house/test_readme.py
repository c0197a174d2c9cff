"""Every command in the README and in the pages runs."""

import pathlib
import re
import shlex
import shutil
import subprocess

import pytest

from dsbuild.cli import main
from dsbuild.layouts import LAYOUTS
from tests.support import fakes

ROOT = pathlib.Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TRAINING = ROOT / "docs" / "training.md"
TUTORIAL = ROOT / "docs" / "tutorial.md"  # `make pictures` runs it: it draws its own data
RUN = [page for page in PAGES if page not in (TRAINING, TUTORIAL)]
RUN.append(pytest.param(TRAINING, marks=pytest.mark.heavy))


def commands(page, kind="sh"):
    """Return the commands in a page's code blocks of one kind, without comments and prompts."""
    blocks = re.findall(rf"```{kind}\n(.*?)```", page.read_text(), re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.strip()]
    return [shlex.split(line.removeprefix("$ "), comments=True) for line in lines]


def shortened(words):
    """Return a command, training for two steps at most."""
    steps = dict.fromkeys(("--steps", "--every"), "2")
    before = ["", *words]
    return [steps.get(option, word) for option, word in zip(before, words, strict=False)]


def test_the_readme_opens_with_exactly_two_commands():
    first = re.search(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[1]
    assert [line.split("#")[0].strip() for line in first.splitlines()] == ["make demo", "make test"]


@pytest.mark.parametrize("page", RUN, ids=lambda page: page.name)
def test_every_command_runs(page, tmp_path, run, monkeypatch):
    fakes.voc(tmp_path / "data")
    fakes.cityscapes(tmp_path / "data")
    fakes.matting(tmp_path / "data")
    fakes.pairs(tmp_path)
    fakes.classes(tmp_path)
    (tmp_path / "names.txt").write_text("sky\nroad\ntree\n")
    monkeypatch.chdir(tmp_path)
    first = next((words for words in commands(page) if words[0] == "dsbuild"), None)
    if first and first[1] not in LAYOUTS:  # the page expects a finished build
        assert run("voc", "--quiet").exit_code == 0
    for words in commands(page):
        if words[0] == "dsbuild":
            result = run(*shortened(words)[1:])
            assert result.exit_code == 0, (words, result.output)
        elif words[0] == "make":
            subprocess.run(["make", "-n", *words[1:]], cwd=ROOT, check=True, capture_output=True)
        else:
            assert words[0] == "eval", words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_needs_more_is_well_formed(page):
    """Commands with a prompt need data, weights or machines that are not available here."""
    for words in commands(page, "console"):
        assert words[0] == "dsbuild", words
        main.commands[words[1]].make_context(words[1], words[2:])


def test_make_lists_its_targets():
    shown = subprocess.run(["make"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for target in (
        "demo",
        "test",
        "test-beam",
        "test-all",
        "lint",
        "types",
        "docs",
        "wheel",
        "bench",
    ):
        assert re.search(rf"^{target} ", shown, re.MULTILINE)


@pytest.mark.slow
def test_demo_from_nothing(tmp_path):
    """Run `make demo` in a fresh copy, with its own environment and all packages installed."""
    ignore = shutil.ignore_patterns(".venv*", ".git", "demo", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, tmp_path / "dsbuild", ignore=ignore)
    result = subprocess.run(
        ["make", "demo"], cwd=tmp_path / "dsbuild", capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert "120 records in 12 shards" in result.stdout
    assert "aeroplane" in result.stdout
