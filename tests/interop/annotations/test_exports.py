"""Every annotated target: what its layout reads back is what was exported, or is in the receipt."""

import json
import pathlib
import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dsbuild import images
from dsbuild.errors import ShardError
from dsbuild.format import tfrecord
from dsbuild.interop.annotations import reading, run
from dsbuild.interop.annotations.formats import TARGETS
from dsbuild.layouts.cityscapes import Cityscapes
from dsbuild.layouts.pairs import Pairs
from dsbuild.layouts.voc import Voc
from tests.support import fakes, masks
from tests.support.exported import FREE, HOLDING, built, by_name, records, reread
from tests.support.runs import make

pytest.importorskip("cv2")


class Counted:
    """A function that counts its calls."""

    def __init__(self, function):
        self.function, self.calls = function, 0

    def __call__(self, *arguments):
        self.calls += 1
        return self.function(*arguments)


def files(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in pathlib.Path(folder).rglob("*")
        if path.is_file() and ".dsbuild" not in path.parts
    }


FORMS = [(name, form) for name in FREE for form in TARGETS[name].choices or ("",)]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """TFRecords of planes that are hard to hold, in two splits."""
    folder = tmp_path_factory.mktemp("drawn")
    hard = list(masks.hard().items())
    divided = {"train": dict(hard[:5]), "val": {f"town/{k}": v for k, v in hard[3:]}}
    return built(masks.tree(folder / "tree", divided), folder / "out")


@pytest.mark.parametrize(("name", "form"), FORMS)
def test_what_was_exported_is_read_back(drawn, tmp_path, name, form):
    receipt = run.export(drawn, str(tmp_path / "made"), name, shapes=form)
    found, target, layout = reread(tmp_path / "made", receipt, tmp_path / "again")
    wanted, names = records(drawn), np.array([*masks.NAMES, *["ignored"] * 252], object)
    lost = dict.fromkeys((0, 1, 2, 3, 255), 0)
    assert {split: {*rows} for split, rows in found.items()} == {
        split: {*rows} for split, rows in wanted.items()
    }
    for split, rows in wanted.items():
        for key, (image, plane) in rows.items():
            again, back = found[split][key]
            assert again == image
            ours, theirs = names[plane], by_name(back, target, layout)
            ours[ours == "background"] = theirs[theirs == "_background_"] = "background"
            theirs[theirs == "_background_"] = "background"
            for value in lost:
                lost[value] += np.count_nonzero((ours != theirs) & (plane == value))
    held = name in HOLDING
    assert {value: tally.lost for value, tally in receipt.loss.classes.items()} == lost
    assert [lost[value] for value in (0, 1, 2, 3)] == [0, 0, 0, 0]
    assert (lost[255] == 0) == held
    assert receipt.loss.reasons == ({} if held else {"ignored": lost[255]})
    assert receipt.complete
    assert receipt.loss.renamed == 0


@pytest.mark.parametrize("name", ["coco", "png"])
def test_a_shard_that_is_compared_in_parts_is_the_same(drawn, tmp_path, monkeypatch, name):
    """Records of later parts are found by the index of their shard, or else by reading on."""
    data = pathlib.Path(shutil.copytree(drawn, tmp_path / "data"))
    run.export(str(data), str(tmp_path / "whole"), name)
    monkeypatch.setattr(reading, "_TASK", 2)
    with monkeypatch.context() as patched:
        patched.setattr(tfrecord, "read", counted := Counted(tfrecord.read))
        run.export(str(data), str(tmp_path / "parts"), name)
    shards = len([*data.glob("*.tfrecord")])
    assert counted.calls == 2 * shards  # to write, and for the first part
    for path in data.glob("index/*.idx"):
        path.unlink()
    run.export(str(data), str(tmp_path / "alone"), name)
    whole, parts, alone = (files(tmp_path / made) for made in ("whole", "parts", "alone"))
    assert whole == parts == alone


def test_an_index_of_other_records_is_named(tmp_path, monkeypatch):
    data = tmp_path / "data"
    tree = masks.tree(tmp_path / "tree", {"train": dict(list(masks.hard().items())[:5])})
    make(tree, data, layout=Pairs(names=masks.NAMES), shards=1)
    monkeypatch.setattr(reading, "_TASK", 2)
    [path] = data.glob("index/*.idx")
    first, _, *rest = path.read_text().splitlines(keepends=True)
    path.write_text("".join([first, *rest]))
    with pytest.raises(ShardError, match=r"train-00000.*found the record .*, expected .*repair it"):
        run.export(str(data), str(tmp_path / "made"), "png")


def test_the_receipt_counts_what_is_there(drawn, tmp_path):
    receipt = run.export(drawn, str(tmp_path / "made"), "coco")
    document = json.loads((tmp_path / "made/receipt.json").read_text())
    assert document == json.loads(json.dumps(receipt.document()))
    planes = [plane for rows in records(drawn).values() for _, plane in rows.values()]
    rows = {row["name"]: row for row in document["classes"]}
    for value, name in ((0, "background"), (1, "cat"), (2, "dog"), (255, "ignored")):
        there = sum(np.count_nonzero(plane == value) for plane in planes)
        assert rows[name]["pixels"]["written"] == there
        assert rows[name]["images"]["written"] == sum(value in plane for plane in planes)
    ignored = rows["ignored"]["pixels"]["written"]
    assert rows["background"]["pixels"]["gained"] == ignored
    assert document["pixels"]["lost"] == ignored
    assert document["images"] == {
        "written": 9,
        "read": 9,
        "changed": 2,
        "altered": 0,
        "renamed": 0,
        "unlabelled": 0,
        "left_out": 0,
    }
    instances = json.loads((tmp_path / "made/annotations/instances_train.json").read_text())
    more = json.loads((tmp_path / "made/annotations/instances_val.json").read_text())
    objects = len(instances["annotations"]) + len(more["annotations"])
    assert document["objects"] == {"written": objects, "read": objects, "changed": 0, "lost": 0}
    assert {one["key"] for one in document["worst"]} == {"borders", "town/borders"}


@pytest.mark.parametrize("name", ["coco", "coco-panoptic", "labelme", "cvat"])
def test_a_class_may_be_one_object(drawn, tmp_path, name):
    receipt = run.export(drawn, str(tmp_path / "made"), name, objects="class")
    planes = [plane for rows in records(drawn).values() for _, plane in rows.values()]
    objects = sum(len({*np.unique(plane)} - {0, 255}) for plane in planes)
    assert receipt.loss.total.objects == receipt.loss.total.objects_read == objects
    assert receipt.loss.total.lost == (0 if name in HOLDING else receipt.loss.reasons["ignored"])


def test_bridges_between_the_parts_of_a_class_are_counted(drawn, tmp_path):
    receipt = run.export(drawn, str(tmp_path / "made"), "yolo", objects="class")
    found, target, layout = reread(tmp_path / "made", receipt, tmp_path / "again")
    names = np.array([*masks.NAMES, *["ignored"] * 252], object)
    changed = sum(
        np.count_nonzero(names[plane] != by_name(found[split][key][1], target, layout))
        for split, rows in records(drawn).items()
        for key, (_, plane) in rows.items()
    )
    assert receipt.facts["bridges"] > 0
    assert sum(receipt.loss.reasons.values()) == receipt.loss.total.lost == changed
    assert receipt.loss.reasons["ignored"] < changed
    assert receipt.loss.reasons.keys() <= {"ignored", "holes", "overlap", "outline", "points"}


# A few planes may hold what a build takes for a mistake unless it is intended.
INTENDED = {"accept": ("binary-255", "all-ignore")}


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(masks.planes(), min_size=1, max_size=8), st.sampled_from(FORMS))
@example([np.array([[255, 0]], np.uint8)], ("coco", "masks"))
def test_any_planes_come_back(tmp_path_factory, planes, form):
    folder = tmp_path_factory.mktemp("any")
    divided = {"val": {f"a{i}": plane for i, plane in enumerate(planes)}}
    source = built(masks.tree(folder / "tree", divided), folder / "out", **INTENDED)
    receipt = run.export(source, str(folder / "made"), form[0], shapes=form[1])
    lost = {value: tally.lost for value, tally in receipt.loss.classes.items() if tally.lost}
    ignored = sum(int(np.count_nonzero(plane == 255)) for plane in planes)
    held = form[0] in HOLDING or not ignored
    assert lost == ({} if held else {255: ignored})
    found, _, layout = reread(folder / "made", receipt, folder / "again", **INTENDED)
    assert len(next(iter(found.values()))) == len(planes)
    assert len(layout.classes) in (4, 5)


def test_voc_comes_back_byte_for_byte(voc, out, tmp_path):
    make(voc, out)
    run.export(out, str(tmp_path / "made"), "voc")
    make(str(tmp_path / "made"), tmp_path / "again", layout=Voc())
    ours, theirs = records(out), records(tmp_path / "again")
    assert {split: [*rows] for split, rows in ours.items()} == {
        split: [*rows] for split, rows in theirs.items()
    }
    assert all(
        image == theirs[split][key][0] and (plane == theirs[split][key][1]).all()
        for split, rows in ours.items()
        for key, (image, plane) in rows.items()
    )
    for path in pathlib.Path(voc).rglob("SegmentationClass/*.png"):
        ours = images.plane((tmp_path / "made/SegmentationClass" / path.name).read_bytes())
        np.testing.assert_array_equal(ours, images.plane(path.read_bytes()))


@pytest.mark.parametrize("encoding", ["trainids", "ids"])
def test_cityscapes_comes_back(tmp_path, out, encoding):
    root = fakes.cityscapes(tmp_path / "data")
    make(root, out, layout=Cityscapes(encoding=encoding))
    receipt = run.export(out, str(tmp_path / "made"), "cityscapes")
    assert receipt.loss.total.lost == 0
    assert receipt.complete
    for other in ("trainids", "ids"):
        layout = Cityscapes(encoding=other, labels=other)
        make(root, tmp_path / f"a-{other}", layout=Cityscapes(encoding=other))
        make(str(tmp_path / "made"), tmp_path / f"b-{other}", layout=layout)
        ours, theirs = records(tmp_path / f"a-{other}"), records(tmp_path / f"b-{other}")
        same = all(
            plane is None or (plane == theirs[split][key][1]).all()
            for split, rows in ours.items()
            for key, (_, plane) in rows.items()
        )
        # Classes that trainIds ignore cannot be told from them again.
        assert same == (encoding == "ids" or other == "trainids")


def test_engines_write_the_same_bytes(drawn, tmp_path, two_processes):
    def files(folder):
        return {
            str(path.relative_to(folder)): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file() and path.name != "lock"
        }

    run.export(drawn, str(tmp_path / "one"), "coco")
    run.export(drawn, str(tmp_path / "two"), "coco", engine=two_processes)
    assert files(tmp_path / "one") == files(tmp_path / "two")
