"""Panoptic records give their own objects: as many as they have, crowds among them."""

import collections
import json

import numpy as np
import pytest

from dsbuild.interop.annotations import run as exporting
from dsbuild.layouts.coco import Coco
from tests.support import panoptic
from tests.support.runs import make


@pytest.fixture(params=["ignore", "class"])
def built(tmp_path, request):
    """Panoptic records of stripes, whose crowds are void or a class."""
    root = panoptic.tree(tmp_path / "tree")
    layout = Coco(labels="panoptic", target="panoptic", crowd=request.param)
    make(root, tmp_path / "out", layout=layout)
    return str(tmp_path / "out")


def counted(folder):
    """Return key -> class name -> objects, those with a number."""
    names = json.loads((folder / "manifest.json").read_text())["classes"]
    found = {}
    for key, plane in panoptic.maps(folder).items():
        values = np.unique(plane)
        things = [names[value // 256] for value in values.tolist() if value % 256]
        found[key] = collections.Counter(things)
    return found


@pytest.mark.parametrize("shapes", ["masks", "polygons"])
def test_coco_has_an_annotation_per_object(built, tmp_path, shapes):
    receipt = exporting.export(built, str(tmp_path / "made"), "coco", shapes=shapes)
    document = json.loads((tmp_path / "made/annotations/instances_train.json").read_text())
    names = {one["id"]: one["name"] for one in document["categories"]}
    assert [*names.values()] == ["cat", "dog", "sky"]
    keys = {one["id"]: one["file_name"].partition(".")[0] for one in document["images"]}
    found = collections.defaultdict(collections.Counter)
    for one in document["annotations"]:
        if names[one["category_id"]] != "sky" and not one["iscrowd"]:
            found[keys[one["image_id"]]][names[one["category_id"]]] += 1
    assert dict(found) == counted(tmp_path / "out")
    total = receipt.loss.total
    assert total.objects == total.objects_read == len(document["annotations"])
    assert receipt.loss.reasons.keys() == {"ignored"}


def test_panoptic_coco_comes_back_with_its_instances(built, tmp_path):
    receipt = exporting.export(built, str(tmp_path / "made"), "coco-panoptic")
    assert receipt.loss.total.lost == 0
    crowd = json.loads((tmp_path / "out/manifest.json").read_text())["recipe"]["options"]["crowd"]
    layout = Coco(labels="panoptic", target="panoptic", crowd=crowd)
    make(str(tmp_path / "made"), tmp_path / "again", layout=layout)
    assert counted(tmp_path / "again") == counted(tmp_path / "out")
    ours, theirs = panoptic.maps(tmp_path / "out"), panoptic.maps(tmp_path / "again")
    for key, plane in ours.items():
        np.testing.assert_array_equal(plane // 256, theirs[key] // 256)
        np.testing.assert_array_equal(np.diff(plane) != 0, np.diff(theirs[key]) != 0)


@pytest.mark.parametrize("name", ["png", "yolo", "labelme", "cvat", "ultralytics-semantic"])
def test_other_targets_take_panoptic_records(built, tmp_path, name):
    receipt = exporting.export(built, str(tmp_path / "made"), name)
    assert receipt.loss.images == receipt.loss.read == 3
    assert receipt.loss.unlabelled == 0
    assert receipt.loss.reasons.keys() <= {"ignored"}
    assert receipt.loss.total.objects == receipt.loss.total.objects_read > 3
    kept = {"png": "lost", "ultralytics-semantic": "lost"}.get(name, "kept")
    assert receipt.document()["instances"] == kept


def test_touching_objects_of_a_class_are_told_apart_by_convert(tmp_path, run):
    root = panoptic.tree(tmp_path / "tree", segments=((1, 2, 0), (2, 2, 0), (3, 9, 0)), images=1)
    words = ("--to", "yolo", "--from", "coco", "--labels", "panoptic")
    done = run("convert", root, tmp_path / "plain", *words)
    assert done.exit_code == 0, done.stderr
    assert "objects are connected components" in done.stderr
    assert len((tmp_path / "plain/labels/train/img0.txt").read_text().splitlines()) == 2
    done = run("convert", root, tmp_path / "told", *words, "--target", "panoptic")
    assert done.exit_code == 0, done.stderr
    assert "objects are connected components" not in done.stderr
    assert len((tmp_path / "told/labels/train/img0.txt").read_text().splitlines()) == 3
