"""What a public forge and pre-commit run is what runs here: make targets that exist, or ruff."""

import pathlib
import re

import pytest
import yaml

ROOT = pathlib.Path(__file__).parents[2]
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
# Actions bring code, tools and files to and from the machine; they check nothing.
ACTIONS = {
    "actions/checkout",
    "actions/deploy-pages",
    "actions/setup-python",
    "actions/upload-artifact",
    "actions/upload-pages-artifact",
    "actions/download-artifact",
    "pypa/gh-action-pypi-publish",
}


JOBS = [
    pytest.param(job, id=f"{path.stem}-{name}")
    for path in WORKFLOWS
    for name, job in yaml.safe_load(path.read_text())["jobs"].items()
]


def ran():
    """Return the make targets that workflows run."""
    steps = [step for job in JOBS for step in job.values[0]["steps"]]
    return {step["run"].split()[1] for step in steps if "run" in step}


@pytest.mark.parametrize("job", JOBS)
def test_every_step_is_a_make_target_or_moves_files(job):
    assert job["timeout-minutes"] <= 90
    for step in job["steps"]:
        if "uses" in step:
            assert step["uses"].partition("@")[0] in ACTIONS
        else:
            make, target, *settings = step["run"].split()
            assert make == "make"
            assert target in TARGETS
            assert all(re.match(r"[A-Z]+=", setting) for setting in settings)


def test_workflows_run_all_that_the_gate_runs():
    gate = (ROOT / ".ci" / "run").read_text()
    needed = {*re.findall(r"make ([a-z-]+)", gate), "types", "docs-check", "wheel", "release-check"}
    assert needed <= ran()


def test_every_python_of_the_package_is_tested():
    found = yaml.safe_load((ROOT / ".github/workflows/check.yml").read_text())
    versions = found["jobs"]["test"]["strategy"]["matrix"]["python"]
    setup = (ROOT / "setup.cfg").read_text()
    assert set(re.findall(r"Python :: (3\.\d+)", setup)) <= set(versions)
    assert f"python_requires = >={versions[0]}" in setup


def test_hooks_of_pre_commit_are_local():
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert repository["repo"] == "local"
    for hook in repository["hooks"]:
        assert hook["language"] == "system"
        program, target, *_ = hook["entry"].split()
        assert program == ".venv/bin/ruff" or (program == "make" and target in TARGETS)


def test_forms_and_citation_are_well_formed():
    for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"):
        form = yaml.safe_load(path.read_text())
        assert path.stem == "config" or {"name", "description", "body"} <= set(form)
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert (
        f"## {citation['version']} ({citation['date-released']})"
        in (ROOT / "CHANGELOG.md").read_text()
    )
