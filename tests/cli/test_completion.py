"""What the shell completes, through Click's own completion."""

import os

import pytest
from click.shell_completion import BashComplete

from dsbuild.cli import main
from dsbuild.extras import EXTRAS
from tests.support import fakes


def complete(line):
    """Return what completes the last word of a command line: values, or kinds of files."""
    words = line.split(" ")
    found = BashComplete(main, {}, "dsbuild", "_DSBUILD_COMPLETE").get_completions(
        words[:-1], words[-1]
    )
    return [one.value if one.type == "plain" else one.type for one in found]


@pytest.fixture
def here(tmp_path, monkeypatch, run):
    """A folder with a data set, TFRecords and two runs, in which the command line is typed."""
    monkeypatch.chdir(tmp_path)
    fakes.voc(tmp_path)
    run("voc", "VOCdevkit", "records", "--quiet", "--shards", 1, "--split", "train,val")
    for name in ("runs/first", "runs/second", "alone"):
        os.makedirs(name)
        with open(f"{name}/settings.json", "w") as file:
            file.write("{}")
    return tmp_path


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("sta", ["statistics"]),
        ("voc ", ["file"]),
        ("voc VOCdevkit ", ["dir"]),
        ("voc VOCdevkit -o ", ["dir"]),
        ("voc VOCdevkit --order ", ["listed", "shuffled"]),
        ("voc VOCdevkit --labels a", ["auto", "aug"]),
        ("voc VOCdevkit --runner da", ["dask"]),
        ("voc --accept b", ["binary-255"]),
        ("build x --layout c", ["cityscapes", "coco", "cvat", "classes"]),
        ("build x --class-set ", ["trainids", "ids"]),
        ("pairs x --classes ", ["file"]),
        ("demo c", ["cityscapes", "coco", "cvat", "classes"]),
        ("demo voc ", ["dir"]),
        ("inspect records --html ", ["file"]),
        ("inspect records --save ", ["dir"]),
        ("validate x --level p", ["pixels"]),
        ("export x --to o", ["onnx"]),
        ("export x --to co", ["coco", "coco-panoptic"]),
        ("convert x --to v", ["voc"]),
        ("convert x --from mapi", ["mapillary"]),
        ("train --backbone resnet101_", ["resnet101_v1_5", "resnet101_beta"]),
        ("train --optimiser a", ["adam", "adamw"]),
        ("train x --run nowhere", ["dir"]),
        ("predict x ", ["file"]),
        ("diff a ", ["file"]),
        ("audit x --labelme ", ["dir"]),
        ("inspect records --suspects ", ["dir"]),
        ("merge a ", ["dir"]),
        ("merge a b --map ", ["file"]),
    ],
)
def test_choices_and_paths(line, found, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert complete(line) == found


def test_splits_are_those_of_the_data(here):
    assert complete("voc VOCdevkit --split tr") == ["train", "trainval"]
    assert complete("voc VOCdevkit --split train,v") == ["train,val"]
    assert complete("train records --run x --split ") == ["train", "val"]
    assert complete("export records out --split v") == ["val"]
    assert complete("train records --run x --val v") == ["val"]
    assert complete("audit records --split v") == ["val"]
    assert complete("train nowhere --run x --val v") == []
    assert complete("voc nowhere --split ") == []


def test_classes_are_those_of_the_folder(here):
    assert complete("inspect records --html x --most pers") == ["person"]
    assert complete("inspect records --html x --class d") == ["diningtable", "dog"]
    assert complete("inspect nowhere --class d") == []


def test_runs_are_found_nearby(here):
    assert complete("evaluate ") == ["alone", "runs/first", "runs/second"]
    assert complete("predict runs/f") == ["runs/first"]
    assert complete("train records --from-run runs/s") == ["runs/second"]
    assert complete("evaluate runs/first ") == ["dir"]


def test_extras_with_their_forms():
    assert complete("voc x --extra sob") == ["sobel", "sobel:raw16"]
    assert complete("voc x --extra canny,alp") == ["canny,alpha"]
    assert set(EXTRAS) <= set(complete("voc x --extra "))


def test_stores_are_left_alone(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    for line in (
        "voc s3://bucket/voc --split ",
        "inspect s3://bucket/out --class ",
        "train gs://bucket/out --run x --split ",
    ):
        assert complete(line) == []
    assert complete("inspect s3://bucket/o") == ["file"]


def test_the_splits_of_a_run_are_those_of_its_data(here):
    (here / "alone" / "run.json").write_text('{"data": "records"}')
    assert complete("evaluate alone --split v") == ["val"]
    assert complete("predict alone --split ") == ["train", "val"]
    assert complete("predict runs/first records --split ") == ["train", "val"]
    assert complete("evaluate runs/first records --split ") == ["train", "val"]
