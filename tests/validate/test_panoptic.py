"""Panoptic labels that are spoilt are found, and what is wrong with them is named."""

import pathlib
import shutil

import numpy as np
import pytest

from dsbuild.format import example, tfrecord
from dsbuild.layouts.coco import Coco
from dsbuild.validate.run import validate
from tests.support import panoptic
from tests.support.panoptic import LABEL
from tests.support.runs import make

DIVISOR = "image/segmentation/class/divisor"
NAME = "train-00000-of-00001.tfrecord"


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clean")
    make(panoptic.tree(folder / "d"), folder / "out", layout=Coco(target="panoptic"), shards=1)
    return folder / "out"


def plane_of(values):
    return np.frombuffer(values[LABEL][0], "<i4").copy()


def changed(value):
    """Return what sets the first pixel of a map."""

    def change(values):
        plane = plane_of(values)
        plane[0] = value
        values[LABEL] = [plane.tobytes()]

    return change


def cut(values):
    values[LABEL] = [values[LABEL][0][:-4]]


def divided(values):
    values[DIVISOR] = np.array([100])


def undivided(values):
    del values[DIVISOR]


def shown(values):
    values["image/segmentation/class/format"] = [b"png"]


@pytest.mark.parametrize(
    ("change", "kind", "said"),
    [
        (cut, "label", "expected 1,008: 4 per pixel of 28 x 9"),
        (changed(-1), "label", "found the value -1 in a panoptic map"),
        (changed(256 * 256), "label", "found the value 65536 in a panoptic map"),
        (changed(7 * 256), "values", "found label values 7 (1 pixels), expected classes 0 to 3"),
        (changed(5), "label", "instance 5 of class 0; expected instances of things alone"),
        (changed(3 * 256 + 1), "label", "instance 1 of class 3; expected instances of things"),
        (divided, "feature", "found values from 100 to 100, expected 256 to 256"),
        (undivided, "label", "found a panoptic label without an image or a divisor"),
        (shown, "feature", "found b'png', expected one of raw"),
    ],
)
@pytest.mark.parametrize("known", [True, False], ids=["manifest", "no manifest"])
def test_spoilt_labels_are_named(change, kind, said, known, clean, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(clean, out)
    records = [example.parse(record.data) for record in tfrecord.read(str(out / NAME))]
    change(records[0])
    with open(out / NAME, "wb") as file:
        writer = tfrecord.Writer(file)
        for values in records:
            writer.write(example.serialize(values))
    if not known:
        pathlib.Path(out, "manifest.json").unlink()
        if "classes 0 to 3" in said or "of things" in said:
            pytest.skip("only a manifest knows the classes")
    found = [problem for problem in validate(str(out)).problems if problem.record == 0]
    assert (kind, True) in {(problem.kind, said in problem.text) for problem in found}


def test_statistics_that_differ_are_named(clean, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(clean, out)
    records = [example.parse(record.data) for record in tfrecord.read(str(out / NAME))]
    plane = plane_of(records[0])
    plane[plane == 257] = 258  # two cats become one
    records[0][LABEL] = [plane.tobytes()]
    with open(out / NAME, "wb") as file:
        writer = tfrecord.Writer(file)
        for values in records:
            writer.write(example.serialize(values))
    kinds = {problem.kind for problem in validate(str(out)).problems}
    assert "changed" in kinds
