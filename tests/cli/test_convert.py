"""`dsbuild convert`: one call from a data set to another tool's form."""

import json

import pytest

from tests.support import fakes
from tests.support.runs import make


def test_it_writes_what_build_and_export_write(voc, out, run, tmp_path):
    done = run("convert", voc, tmp_path / "made", "--to", "coco", "--split", "train,val")
    assert done.exit_code == 0
    assert "Pascal VOC" in done.stderr
    assert "objects are connected components" in done.stderr
    make(voc, out, splits=("train", "val"))
    assert run("export", out, tmp_path / "other", "--to", "coco", "--quiet").exit_code == 0
    for name in ("annotations/instances_train.json", "annotations/instances_val.json"):
        ours, theirs = (tmp_path / "made" / name).read_bytes(), (tmp_path / "other" / name)
        assert ours == theirs.read_bytes()
    state = {path.name for path in (tmp_path / "made/.dsbuild").iterdir()}
    assert state == {"annotations", "lock"}


def test_layouts_have_their_options(tmp_path, run):
    root = fakes.pairs(tmp_path / "data")
    words = ("convert", root, tmp_path / "made", "--from", "pairs", "--to", "yolo", "--json")
    done = run(*words, "--classes", "a,b,c", "--val-fraction", "0.4")
    assert done.exit_code == 0, done.stderr
    document = json.loads(done.stdout)
    assert document == json.loads((tmp_path / "made/receipt.json").read_text())
    assert [row["name"] for row in document["classes"]][:3] == ["a", "b", "c"]
    assert document["images"]["written"] == document["images"]["read"] > 0


def test_what_a_form_cannot_hold_leaves_nothing(voc, run, tmp_path):
    words = ("convert", voc, tmp_path / "made", "--split", "train")
    done = run(*words, "--to", "cityscapes")
    assert done.exit_code == 2
    assert "found the class 'background'; expected the 19 trainIds" in done.stderr
    assert not list((tmp_path / "made").rglob("*.tfrecord"))
    assert run(*words, "--to", "voc", "--quiet").exit_code == 0


def test_it_goes_on_where_it_was_stopped(voc, run, tmp_path):
    made = tmp_path / "made"
    image = next((tmp_path / "VOCdevkit").rglob("2007_000004.jpg"))
    whole = image.read_bytes()
    image.write_bytes(whole[:-50])
    done = run("convert", voc, made, "--to", "png", "--split", "train", "--quiet")
    assert done.exit_code == 2
    assert not (made / "receipt.json").exists()
    image.write_bytes(whole)
    assert run("convert", voc, made, "--to", "png", "--split", "train").exit_code == 0
    assert (made / "receipt.json").exists()
    assert not (made / "UNFINISHED.txt").exists()
    again = run("convert", voc, made, "--to", "png", "--split", "train")
    assert "unchanged shard" in again.stdout


def test_samples_that_are_left_out_are_named(voc, run, tmp_path):
    image = next((tmp_path / "VOCdevkit").rglob("2007_000004.jpg"))
    image.write_bytes(image.read_bytes()[:-50])
    done = run(
        "convert", voc, tmp_path / "made", "--to", "png", "--on-error", "skip", "--split", "train"
    )
    assert done.exit_code == 0
    assert "2007_000004" in done.stderr
    document = json.loads((tmp_path / "made/receipt.json").read_text())
    assert document["images"]["left_out"] == 1
    assert "2007_000004" in (tmp_path / "made/rejects.jsonl").read_text()


def test_nothing_is_written_if_all_samples_are_left_out(tmp_path, run):
    root = fakes.pairs(tmp_path / "data")
    for path in (tmp_path / "data").glob("**/images/*/*"):
        path.write_bytes(b"x")
    words = ("convert", root, tmp_path / "made", "--from", "pairs", "--classes", "a,b,c")
    done = run(*words, "--to", "voc", "--on-error", "skip", "--quiet")
    assert done.exit_code == 2
    assert "samples were left out, so it would hold nothing; the first: sample " in done.stderr
    assert not (tmp_path / "made").exists()


def test_a_conversion_of_another_split_is_no_replacement(voc, run, tmp_path):
    words = ("convert", voc, tmp_path / "made", "--to", "voc", "--quiet")
    assert run(*words, "--split", "train").exit_code == 0
    done = run(*words, "--split", "val")
    assert done.exit_code == 2
    assert "found an export of the split train, which this one would remove" in done.stderr
    assert (tmp_path / "made/ImageSets/Segmentation/train.txt").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("nowhere made --to coco", "nowhere"),
        ("VOCdevkit VOCdevkit --to coco", "expected an empty folder, or an earlier export"),
        ("VOCdevkit made", "--to is missing"),
        ("VOCdevkit made --to yolo --shapes polygons", "--to yolo does not have them"),
        ("VOCdevkit --to coco", "OUT is missing"),
    ],
)
def test_wrong_words_are_refused(voc, run, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    done = run("convert", *words.split())
    assert done.exit_code == 2
    assert message in done.stderr
    assert not (tmp_path / "made").exists()
