"""What two builds have in common, and what they do not."""

import json
import os
import pathlib
import shutil

import numpy as np
import pytest
from PIL import Image

from dsbuild import images
from dsbuild.engines import Local
from dsbuild.inspect import diff
from dsbuild.layouts.matting import Matting
from dsbuild.layouts.voc import Voc
from tests.support import fakes
from tests.support.runs import make

NOTHING = {"removed": [], "added": [], "image": [], "label": [], "features": [], "moved": []}


def compare(a, b, workers=1):
    return diff.diff(*(diff.read(str(path), Local(workers)) for path in (a, b)))


@pytest.fixture
def before(voc, tmp_path):
    out = tmp_path / "before"
    make(voc, out, shards=2, splits=("train", "val"))
    return out


@pytest.mark.parametrize("workers", [1, 2])
def test_equal_builds(voc, before, tmp_path, workers):
    make(voc, tmp_path / "again", shards=2, splits=("train", "val"))
    found = compare(before, tmp_path / "again", workers)
    assert found["same"]
    assert found["splits"] == {"train": NOTHING, "val": NOTHING}
    assert diff.drift(found)["is"] == diff.drift(found)["was"]


def test_samples_that_changed(voc, before, out):
    fakes.photo(np.random.default_rng(9), 60, 44).save(f"{voc}/JPEGImages/2007_000003.jpg")
    path = pathlib.Path(voc, "SegmentationClass/2007_000004.png")
    plane = np.asarray(Image.open(path)).copy()
    plane[:20] = 7
    path.write_bytes(images.encode(plane))
    names = [f"2007_{i:06d}" for i in range(1, 12)]
    shutil.copy(f"{voc}/JPEGImages/2007_000000.jpg", f"{voc}/JPEGImages/new.jpg")
    shutil.copy(f"{voc}/SegmentationClass/2007_000000.png", f"{voc}/SegmentationClass/new.png")
    fakes.write_list(voc, "train", [*names, "new"])
    make(voc, out, shards=2, splits=("train", "val"))
    found = compare(before, out)
    assert not found["same"]
    assert found["recipe"] == []
    assert found["splits"]["val"] == NOTHING
    assert found["splits"]["train"] == NOTHING | {
        "removed": ["2007_000000"],
        "added": ["new"],
        "image": ["2007_000003"],
        "label": ["2007_000004"],
        "moved": ["2007_000006"],
    }
    (row,) = [r for r in found["classes"] if (r["split"], r["value"]) == ("train", 7)]
    assert row["name"] == "car"
    assert row["is"] > row["was"]
    assert diff.drift(found)["split"] == "train"


def test_a_label_encoded_differently_is_the_same_label(voc, before, out):
    raw = pathlib.Path(voc, "SegmentationClassRaw")
    raw.mkdir()
    for path in pathlib.Path(voc, "SegmentationClass").iterdir():
        Image.fromarray(np.asarray(Image.open(path))).save(raw / path.name, compress_level=1)
    make(voc, out, shards=2, splits=("train", "val"), layout=Voc(labels="raw"))
    found = compare(before, out)
    assert found["splits"]["val"]["label"] == []
    assert len(found["splits"]["val"]["features"]) == 6
    assert [change["what"] for change in found["recipe"]] == ["options"]


def test_extents_and_drift_of_thresholds(tmp_path):
    root = fakes.matting(tmp_path)
    for threshold in (50, 200):
        make(root, tmp_path / str(threshold), layout=Matting(alpha_threshold=threshold))
    found = compare(tmp_path / "50", tmp_path / "200")
    assert found["splits"]["train"]["image"] == []
    assert len(found["splits"]["train"]["label"]) > 5
    assert found["extent"]["train"][0] == found["extent"]["train"][1]
    shares = {(r["split"], r["name"]): (r["was"], r["is"]) for r in found["classes"]}
    was, now = shares["train", "human"]
    assert was > now
    assert sum(share[0] for key, share in shares.items() if key[0] == "train") == pytest.approx(1)


def test_a_split_in_only_one_build(voc, before, out):
    make(voc, out, shards=2, splits=("train",))
    found = compare(before, out)
    assert len(found["splits"]["val"]["removed"]) == 6
    assert found["extent"]["val"][1] == {"records": 0, "heights": [], "widths": []}


def test_command(voc, before, out, run):
    result = run("diff", before, before)
    assert result.exit_code == 0
    assert "the same recipe, samples and bytes" in result.stdout
    make(voc, out, shards=3, splits=("train", "val"), extras=("edges",))
    result = run("diff", before, out)
    assert result.exit_code == 1
    assert "recipe: extras was [] and is ['edges:png:width=1']" in result.stdout
    assert "12 have other features: 2007_000000, 2007_000001, ..." in result.stdout
    document = json.loads(run("diff", before, out, "--json").stdout)
    assert len(document["splits"]["train"]["features"]) == 12
    assert run("diff", before, out, "--drift", 0).exit_code == 0
    os.remove(f"{voc}/SegmentationClass/2007_000001.png")
    Image.new("L", (60, 44), 9).save(f"{voc}/SegmentationClass/2007_000001.png")
    make(voc, out, shards=3, splits=("train", "val"), extras=("edges",))
    assert run("diff", before, out, "--drift", 0.5).exit_code == 0
    result = run("diff", before, out, "--drift", 0.01)
    assert result.exit_code == 1
    assert "drift: split train: the share of chair changes from" in result.stderr


def test_damage_is_named(before, run):
    path = before / "train-00001-of-00002.tfrecord"
    path.write_bytes(path.read_bytes()[:-3])
    result = run("diff", before, before)
    assert result.exit_code == 2
    assert f"error: {path}: record 5 at byte" in result.stderr


@pytest.mark.shared
def test_shards_of_deeplab_and_ours(shared, tmp_path):
    """Of the same 48 pairs: DeepLab's labels are ours, encoded otherwise."""
    theirs = shared / "oracle/voc_deeplab/tfrecord"
    make(shared / "voc/VOCdevkit/VOC2012", tmp_path / "ours", shards=4, splits=("train", "val"))
    found = compare(theirs, tmp_path / "ours")
    for split in ("train", "val"):
        changes = found["splits"][split]
        assert len(found["extent"][split]) == 2
        assert {key: changes[key] for key in ("removed", "added", "image", "label")} == {
            "removed": [],
            "added": [],
            "image": [],
            "label": [],
        }
