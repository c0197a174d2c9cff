"""`dsbuild export --to coco` and the like: what users see."""

import json
import pathlib

import pytest

from dsbuild.cli import annotated
from dsbuild.interop.annotations.formats import TARGETS
from tests.support import fakes
from tests.support.runs import make


@pytest.fixture
def built(voc, out):
    make(voc, out, shards=2, splits=("train", "val"))
    return out


def test_the_command_knows_all_targets():
    assert tuple(TARGETS) == annotated.TARGETS


def test_what_was_lost_is_printed(built, run, tmp_path):
    done = run("export", built, tmp_path / "made", "--to", "yolo")
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0] == f"{tmp_path}/made: 18 images of train, val (yolo)"
    assert lines[1].startswith("read back by layout yolo: ")
    assert "ignored pixels, which it cannot hold" in lines[2]
    assert lines[-1] == f"receipt: {tmp_path}/made/receipt.json"
    document = json.loads((tmp_path / "made/receipt.json").read_text())
    assert document["reasons"] == {"ignored": document["pixels"]["lost"]}


def test_more_than_the_largest_loss_is_a_failed_check(built, run, tmp_path):
    done = run("export", built, tmp_path / "made", "--to", "coco", "--max-loss", "0.1%")
    assert done.exit_code == 1
    assert "problem: " in done.stderr
    assert "ignored lost " in done.stderr
    assert "more than --max-loss 0.1% allows" in done.stderr
    again = run("export", built, tmp_path / "made", "--to", "coco", "--max-loss", "1")
    assert again.exit_code == 0
    assert "4 unchanged shards kept" in again.stdout
    done = run("export", built, tmp_path / "voc", "--to", "voc", "--max-loss", "0")
    assert done.exit_code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--to cityscapes", "found the class 'background'; expected the 19 trainIds of Cityscapes"),
        ("--to png --shapes polygons", "--shapes polygons: --to png does not have them"),
        ("--to png --objects class", "--objects class: --to png holds masks, not objects"),
        ("--to webdataset --max-loss 1%", "--max-loss is for annotations, and --to webdataset is"),
        ("--to coco --max-loss 2", "--max-loss: found '2'; expected a share such as 0.1%"),
        ("--to coko", "--to: found 'coko'; expected one of webdataset"),
    ],
)
def test_wrong_options_are_refused(built, run, tmp_path, words, message):
    done = run("export", built, tmp_path / "made", *words.split())
    assert done.exit_code == 2
    assert message in done.stderr
    assert not (tmp_path / "made").exists()


def test_other_files_are_not_touched(built, run, tmp_path):
    made = tmp_path / "made"
    made.mkdir()
    (made / "notes.txt").write_text("mine")
    done = run("export", built, made, "--to", "coco")
    assert done.exit_code == 2
    assert "found notes.txt; expected an empty folder, or an earlier export" in done.stderr
    assert [path.name for path in made.iterdir()] == ["notes.txt"]
    assert run("export", built, built, "--to", "coco").exit_code == 2


@pytest.mark.parametrize(("first", "then"), [("coco", "webdataset"), ("webdataset", "coco")])
def test_builds_and_exports_do_not_mix(voc, built, run, tmp_path, first, then):
    made = tmp_path / "made"
    assert run("export", built, made, "--to", first, "--split", "val", "-q").exit_code == 0
    before = {path for path in made.rglob("*") if path.is_file()}
    done = run("export", built, made, "--to", then)
    assert done.exit_code == 2
    assert "choose another OUT" in done.stderr
    for words in ((), ("--overwrite",)):
        done = run("voc", voc, made, "--split", "train", *words)
        assert done.exit_code == 2
        assert f"{made}: holds an export, whose files would mix with TFRecords" in done.stderr
    assert {path for path in made.rglob("*") if path.is_file()} == before


def test_labels_that_are_classes_are_refused(tmp_path, run, out):
    from dsbuild.layouts.classes import Classes

    make(fakes.classes(tmp_path), out, layout=Classes(), shards=1)
    done = run("export", out, tmp_path / "made", "--to", "coco")
    assert done.exit_code == 2
    assert "its label is one class for the whole image" in done.stderr
    assert (tmp_path / "made/UNFINISHED.txt").exists()


def test_an_export_is_recognised_by_build(built, run, tmp_path):
    for target in ("coco", "yolo", "voc", "png", "mmseg", "hf", "labelme", "cvat"):
        made = tmp_path / target
        assert run("export", built, made, "--to", target, "--quiet").stdout == ""
        done = run("build", made, tmp_path / f"again-{target}", "--quiet")
        assert done.exit_code == 0, (target, done.stderr)
        known = json.loads((tmp_path / f"again-{target}/manifest.json").read_text())
        assert {name: one["records"] for name, one in known["splits"].items()} == {
            "train": 12,
            "val": 6,
        }
        assert {*known["classes"]} >= {"aeroplane", "tvmonitor"}


def test_nothing_is_left_unfinished(built, run, tmp_path):
    run("export", built, tmp_path / "made", "--to", "png")
    names = {path.name for path in pathlib.Path(tmp_path / "made").iterdir()}
    assert names == {".dsbuild", "images", "labels", "classes.json", "receipt.json"}


def test_an_export_is_not_taken_for_a_build(built, run, tmp_path):
    assert run("export", built, tmp_path / "made", "--to", "png", "--quiet").exit_code == 0
    done = run("export", tmp_path / "made", tmp_path / "more", "--to", "coco")
    assert done.exit_code == 2
    assert "made: found receipt.json, so this is an export; expected TFRecords" in done.stderr
    assert not (tmp_path / "more").exists()
