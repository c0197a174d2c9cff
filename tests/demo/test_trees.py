"""Drawn data sets build without a finding, and are the same each time."""

import pathlib
import shlex

import pytest

import dsbuild
from dsbuild.cli.demo import DRAWN
from dsbuild.demo import DEMOS, draw
from dsbuild.errors import PlanError
from dsbuild.layouts import LAYOUTS

# Cityscapes' splits have published lengths, whatever the folder is called.
STRICT = [name for name in DEMOS if name != "cityscapes"]
QUICK = ("voc", "coco", "pairs", "classes", "labelme")  # of the others, pages build fewer samples


def files(folder):
    root = pathlib.Path(folder)
    paths = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): path.read_bytes() for path in paths}


def test_every_layout_has_a_demo_and_the_command_knows_it():
    assert list(DEMOS) == list(LAYOUTS) == list(DRAWN)


@pytest.mark.parametrize(
    "layout",
    [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in STRICT],
)
def test_the_command_that_is_printed_builds_without_a_finding(layout, tmp_path, run, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shown = run("demo", layout)
    assert shown.exit_code == 0
    words = shlex.split(shown.stderr.partition("next: dsbuild ")[2])
    built = run(*words, "--strict")
    assert built.exit_code == 0, built.output
    assert len(dsbuild.open("tfrecord", "train")) + len(dsbuild.open("tfrecord", "val")) == 40


def test_streets_have_the_classes_of_cityscapes(tmp_path, run):
    draw("cityscapes", str(tmp_path / "data"), samples=8)
    assert run("cityscapes", tmp_path / "data", tmp_path / "out").exit_code == 0
    document = dsbuild.inspect(tmp_path / "out")
    names = {row["name"] for row in document["splits"]["train"]["classes"] if row["pixels"]}
    assert names >= {"road", "sidewalk", "building", "vegetation", "sky", "car"}


@pytest.mark.parametrize("layout", DEMOS)
def test_the_same_seed_draws_the_same_files(layout, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        draw(layout, str(tmp_path / name), samples=4, seed=seed)
    assert files(tmp_path / "a") == files(tmp_path / "b") != files(tmp_path / "c")


@pytest.mark.parametrize("name", ["data", "file", "link"])
def test_what_exists_is_left_alone(name, tmp_path, run):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine").touch()
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")
    result = run("demo", "voc", tmp_path / name)
    assert result.exit_code != 0
    assert f"{name}: exists already; name another folder, or remove it" in result.stderr
    assert list(files(tmp_path)) == ["data/mine", "file"]


def test_a_folder_that_cannot_be_made_and_a_url_are_named(tmp_path, run):
    (tmp_path / "file").touch()
    assert "file/data: " in run("demo", "voc", tmp_path / "file" / "data").stderr
    with pytest.raises(PlanError, match="s3://bucket/data: found a URL; expected a local folder"):
        draw("voc", "s3://bucket/data")
