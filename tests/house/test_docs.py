"""The CLI reference is what --help prints. `python -m tests.house.test_docs` rewrites it."""

import ast
import pathlib
import re
import subprocess
import sys

import pytest
from click.testing import CliRunner

import dsbuild
from dsbuild import extras
from dsbuild.cli import main
from tests.house import map as house

ROOT = pathlib.Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "cli.md"


def reference():
    """Return docs/cli.md: the help of every command at a width of 100."""
    parts = ["# All options\n\nMade from `--help` by `make docs`.\n"]
    for name in ["", *sorted(main.commands)]:
        words = [*filter(None, [name]), "--help"]
        shown = CliRunner().invoke(main, words, prog_name="dsbuild", terminal_width=100)
        parts.append(f"## {f'dsbuild {name}'.strip()}\n\n```\n{shown.stdout}```\n")
    return "\n".join(parts)


def test_the_reference_is_true():
    # In a fresh process: Click keeps the help option of a command that was called by itself.
    code = "from tests.house.test_docs import reference; print(reference(), end='')"
    call = [sys.executable, "-c", code]
    done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert REFERENCE.read_text() == done.stdout, "run `make docs`"


@pytest.mark.parametrize("name", sorted(main.commands))
def test_every_command_is_documented(name):
    pages = [*(ROOT / "docs").glob("*.md"), ROOT / "README.md"]
    pages.remove(REFERENCE)
    text = "\n".join(page.read_text() for page in pages)
    assert f"dsbuild {name}" in text
    for parameter in main.commands[name].params:
        for option in parameter.opts:
            if option.startswith("--") and option not in ("--workers", "--quiet"):
                assert option in text, f"{option} of dsbuild {name} is in no page"


def test_every_help_has_an_example(run):
    for name in ["", *main.commands]:
        text = run(*filter(None, [name]), "--help").stdout
        assert "Example:\n" in text
        assert f"dsbuild {name}".strip() in text.split("Example:")[1]


def test_help_names_every_extra_and_form(run):
    text = " ".join(run("voc", "--help").stdout.split())
    for name, extra in extras.EXTRAS.items():
        assert name in text
        assert all(f"{name}:{form}" in text for form in extra.forms[1:])


def test_links_lead_somewhere():
    others = [ROOT / "bench" / "README.md", ROOT / "pipelines" / "dataflow" / "README.md"]
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *others]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


PAGES = [
    *ROOT.glob("*.md"),
    *(ROOT / "docs").glob("*.md"),
    ROOT / "bench" / "README.md",
    ROOT / "pipelines" / "dataflow" / "README.md",
]
PATH = re.compile(r"`((?:bench|docs|dsbuild|examples|pipelines|schemas)/[\w/.-]+)")
NAME = re.compile(r"(?<![/\w.])dsbuild(?:\.[A-Za-z_]\w*)+")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_paths_and_names_in_pages_exist(page):
    text = page.read_text()
    for path in PATH.findall(text):
        assert (ROOT / path).exists(), f"{page.name} names {path}"
    for name in NAME.findall(text):
        assert exists(name), f"{page.name} names {name}"


def exists(name):
    """Return whether a dotted name is a module, or a top-level name of one, importing neither."""
    module = house.module_of(name)
    first = name.removeprefix(module).split(".")[1:2]
    if not first:
        return True
    if module == "dsbuild":
        return first[0] in {*dir(dsbuild), *dsbuild._PUBLIC}
    found = set()
    for node in ast.parse(house.modules()[module].read_text()).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            found |= {one.asname or one.name for one in node.names}
        elif isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        else:
            found.add(getattr(node, "name", None))
    return first[0] in found


if __name__ == "__main__":
    REFERENCE.write_text(reference())
