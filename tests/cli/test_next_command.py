"""Each command ends with the next useful one, which runs as it is printed."""

import pathlib
import shlex

import pytest

from tests.support import fakes


@pytest.fixture
def pairs(tmp_path):
    return fakes.shapes(tmp_path / "a b")


def following(result):
    """Return the words after `next: dsbuild` in the last line that a command prints to stderr."""
    line = result.stderr.splitlines()[-1]
    assert line.startswith("next: dsbuild "), result.stderr
    return shlex.split(line)[2:]


def test_a_dry_run_leads_to_the_build_and_on_to_the_page(pairs, tmp_path, run, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["pairs", pairs, "o ut", "--classes", f"{pairs}/classes.txt", "--dry-run", "--shards=2"]
    said = []
    for _ in range(4):
        result = run(*words)
        assert result.exit_code == 0, result.output
        words = following(result)
        said.append(words)
    assert said == [
        [
            "pairs",
            pairs,
            "o ut",
            "--classes",
            f"{pairs}/classes.txt",
            "--shards=2",
        ],
        ["validate", "o ut"],
        ["inspect", "o ut"],
        ["inspect", "o ut", "--html", "page.html"],
    ]


def test_a_finished_build_is_to_be_looked_at_and_a_damaged_one_repaired(voc, out, run):
    run("voc", voc, out)
    assert following(run("voc", voc, out)) == ["inspect", str(out)]
    shard = next(
        path for path in sorted(pathlib.Path(out).glob("train-*")) if path.suffix == ".tfrecord"
    )
    shard.write_bytes(shard.read_bytes()[:-1])
    found = run("validate", out)
    assert found.exit_code == 1
    assert following(found) == ["repair", str(out)]
    repaired = run("repair", out, voc)
    assert repaired.exit_code == 0, repaired.output
    assert following(repaired) == ["validate", str(out)]


@pytest.mark.parametrize("silent", ["--quiet", "--json"])
def test_quiet_commands_and_json_have_no_such_line(voc, out, run, silent):
    assert run("voc", voc, out, silent).stderr == ""


def test_a_dry_run_that_could_not_be_built_leads_nowhere(voc, out, run, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "next:" not in run("voc", tmp_path / "empty", out, "--dry-run").stderr


def test_a_difference_leads_to_the_page_and_side_files_to_a_check(voc, out, run):
    run("voc", voc, out, "--shards", 2)
    run("voc", voc, f"{out}2", "--limit", 2)
    assert following(run("diff", out, f"{out}2")) == ["inspect", f"{out}2", "--html", "page.html"]
    assert "next:" not in run("diff", out, out).stderr
    assert following(run("interop", out)) == ["validate", str(out)]
