"""The CLI reference is what --help prints. `python -m tests.house.test_docs` rewrites it."""

import pathlib
import re

import pytest
from click.testing import CliRunner

from dsbuild import extras
from dsbuild.cli import main

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
    assert REFERENCE.read_text() == reference(), "run `make docs`"


@pytest.mark.parametrize("name", sorted(main.commands))
def test_every_command_is_documented(name):
    pages = [*(ROOT / "docs").glob("*.md"), ROOT / "README.md"]
    pages.remove(REFERENCE)
    text = "\n".join(page.read_text() for page in pages)
    assert f"dsbuild {name}" in text
    for parameter in main.commands[name].params:
        for option in parameter.opts:
            if option.startswith("--") and option not in ("--workers", "--quiet"):
                assert option in text, f"{option} of dsbuild {name} stands in no page"


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
    rooms = [ROOT / "bench" / "README.md", ROOT / "pipelines" / "dataflow" / "README.md"]
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *rooms]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


if __name__ == "__main__":
    REFERENCE.write_text(reference())
