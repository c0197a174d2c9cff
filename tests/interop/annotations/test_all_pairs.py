"""From every target to every other, and real samples through each: nothing changes on the way."""

import json

import numpy as np
import pytest

from dsbuild.interop.annotations import run
from dsbuild.interop.annotations.formats import TARGETS
from tests.support import masks
from tests.support.exported import FREE, built, reread

LIMIT = 4  # real samples of each split


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """Each target of the same drawn records, built by its own layout: name -> TFRecords."""
    folder = tmp_path_factory.mktemp("pairs")
    hard = {key: np.where(one == 255, 0, one) for key, one in masks.hard().items()}
    divided = {"train": hard, "val": {f"val_{key}": one for key, one in hard.items()}}
    source = built(masks.tree(folder / "tree", divided), folder / "out")
    made = {}
    for name in FREE:
        receipt = run.export(source, str(folder / name), name)
        found, _, layout = reread(folder / name, receipt, folder / f"built-{name}")
        made[name] = (str(folder / f"built-{name}"), named(found, layout))
    return made


def named(found, layout):
    """Return split -> key -> image and names of its pixels."""
    names = np.array([*layout.classes, *["?"] * 256][:256], object)
    names[names == "_background_"] = "background"
    return {
        split: {key: (image, names[plane]) for key, (image, plane) in rows.items()}
        for split, rows in found.items()
    }


def same(ours, theirs):
    assert {split: {*rows} for split, rows in ours.items()} == {
        split: {*rows} for split, rows in theirs.items()
    }
    for split, rows in ours.items():
        for key, (image, pixels) in rows.items():
            assert theirs[split][key][0] == image
            assert (theirs[split][key][1] == pixels).all(), (split, key)


@pytest.mark.slow
@pytest.mark.parametrize("name", FREE)
@pytest.mark.parametrize("other", FREE)
def test_every_target_becomes_every_other(first, tmp_path, name, other):
    folder, pixels = first[name]
    receipt = run.export(folder, str(tmp_path / "made"), other)
    assert receipt.loss.total.lost == 0
    found, _, layout = reread(tmp_path / "made", receipt, tmp_path / "again")
    same(pixels, named(found, layout))


REAL = {
    "voc": ("voc", "voc", ()),
    "cityscapes": ("cityscapes", "cityscapes", ()),
    "coco": ("objects/coco_instances", "coco", ()),
    "panoptic": ("objects/coco_panoptic", "coco", ("--labels", "panoptic")),
    "yolo": ("objects/yolo_seg", "yolo", ()),
    "labelme": ("objects/labelme/semantic", "labelme", ()),
    "ade20k": ("objects/ade20k", "ade20k", ()),
}


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.parametrize("source", REAL)
@pytest.mark.parametrize("name", TARGETS)
def test_real_samples(shared, run_command, tmp_path, source, name):
    path, layout, options = REAL[source]
    words = (layout, shared / path, tmp_path / "out", "--limit", LIMIT, "--quiet", *options)
    done = run_command(*words)
    assert done.exit_code == 0, done.stderr
    made = tmp_path / "made"
    done = run_command("export", tmp_path / "out", made, "--to", name)
    if name == "cityscapes" and source != "cityscapes":
        assert done.exit_code == 2
        return
    if done.exit_code == 2:
        assert "expected at most" in done.stderr
        return
    assert done.exit_code == 0, done.stderr
    document = json.loads((made / "receipt.json").read_text())
    images = document["images"]
    assert images["read"] == images["written"] - images["unlabelled"]
    assert images["altered"] == 0
    assert document["reasons"].keys() <= {"ignored"}
    about = json.loads((tmp_path / "out/manifest.json").read_text())
    ignored = sum((one["ignore"] or {}).get("pixels", 0) for one in about["splits"].values())
    held = TARGETS[name].holds_ignored
    assert document["pixels"]["lost"] == (0 if held else ignored)


@pytest.fixture
def run_command(run):
    """The command line; `run` is the name of the module here."""
    return run
