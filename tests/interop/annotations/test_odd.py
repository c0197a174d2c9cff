"""Folders that targets find hard: odd names, no background, no labels, files in the way."""

import json
import os
import pathlib
import shutil

import numpy as np
import pytest

from dsbuild import storage
from dsbuild.errors import DsbuildError, LayoutError, PlanError, ShardError
from dsbuild.format import example, tfrecord
from dsbuild.interop.annotations import run
from dsbuild.interop.annotations.formats import TARGETS
from dsbuild.layouts.pairs import Pairs
from dsbuild.layouts.voc import Voc
from tests.support import fakes, masks
from tests.support.exported import FREE, HOLDING, LABEL, built, records, reread, seen
from tests.support.runs import make

PLANE = masks.hard()["ring"]


def one(tmp_path, divided, names=masks.NAMES, **options):
    """Build a tree of planes; return the folder of TFRecords."""
    root = masks.tree(tmp_path / "tree", divided, names)
    layout = Pairs(names=names, **options)
    make(root, tmp_path / "out", layout=layout, shards=1)
    return str(tmp_path / "out")


@pytest.mark.parametrize("name", FREE)
def test_names_of_classes_come_back(tmp_path, name):
    names = ("road: wet", "it's", 'a "b"', "<&>", "no", "Ärger #1", "1")
    plane = np.arange(28, dtype=np.uint8).reshape(4, 7) % 7
    folder = one(tmp_path, {"train": {"a": plane}}, names)
    receipt = run.export(folder, str(tmp_path / "made"), name)
    assert dict(receipt.names) == {}
    assert receipt.loss.total.lost == 0
    _, target, layout = reread(tmp_path / "made", receipt, tmp_path / "again")
    read = {i: layout.classes[to] for i, to in target.values().items() if i < len(names)}
    assert read == dict(enumerate(names))


@pytest.mark.parametrize("name", FREE)
def test_keys_come_back_if_files_can_have_them(tmp_path, name):
    keys = ("a.b", "c d", "ü", "train_1", "x-y", "deep/er/e")
    folder = one(tmp_path, {"train": dict.fromkeys(keys, PLANE)})
    receipt = run.export(folder, str(tmp_path / "made"), name)
    assert receipt.complete
    assert receipt.loss.renamed == 0
    assert receipt.loss.images == 6
    assert receipt.loss.total.lost == 0


@pytest.mark.parametrize("name", ["coco", "yolo", "cvat", "labelme", "png"])
def test_pixels_that_no_class_has_stay_apart_without_a_background(tmp_path, name):
    plane = np.full((6, 6), 255, np.uint8)
    plane[1:3, 1:3], plane[4, 4] = 0, 1
    folder = one(tmp_path, {"train": {"a": plane}}, ("cat", "dog"))
    receipt = run.export(folder, str(tmp_path / "made"), name)
    tallies = receipt.loss.classes
    assert (tallies[0].pixels, tallies[0].read, tallies[0].lost) == (4, 4, 0)
    assert (tallies[1].pixels, tallies[1].objects) == (1, 1)
    assert tallies[255].lost == (0 if name in HOLDING else 31)


def test_the_ignored_value_may_be_any(tmp_path):
    plane = PLANE.copy()
    plane[0] = 3
    folder = one(tmp_path, {"train": {"a": plane}}, masks.NAMES[:3], ignore_value=3)
    for name in ("png", "mmseg", "voc", "hf", "labelme", "coco-panoptic"):
        receipt = run.export(folder, str(tmp_path / name), name)
        assert receipt.loss.total.lost == 0
        assert receipt.loss.classes[3].pixels == 32
    assert (tmp_path / "png/classes.json").read_text().count('"ignore": 3') == 1
    assert (tmp_path / "mmseg/classes.json").read_text().count('"ignore": 255') == 1


def test_a_split_without_labels_has_images_alone(tmp_path):
    root = fakes.cityscapes(tmp_path / "data")
    from dsbuild.layouts.cityscapes import Cityscapes

    make(root, tmp_path / "out", layout=Cityscapes())
    rows = records(tmp_path / "out")
    bare = [split for split, each in rows.items() if next(iter(each.values()))[1] is None]
    assert bare == ["test"]
    for name in TARGETS:
        receipt = run.export(str(tmp_path / "out"), str(tmp_path / name), name)
        document = receipt.document()["images"]
        assert document["unlabelled"] == len(rows["test"])
        assert document["written"] == sum(map(len, rows.values()))
        assert document["read"] == document["written"] - document["unlabelled"]
    assert (tmp_path / "coco/annotations/image_info_test.json").exists()
    assert not (tmp_path / "coco/annotations/instances_test.json").exists()


def test_licence_and_citation_travel(tmp_path):
    folder = one(tmp_path, {"train": {"a": PLANE}})
    from dsbuild.interop.terms import Terms

    Terms("CC-BY-4.0", "Ann: Streets, 2024", "Streets.").save(folder)
    for name in ("coco", "yolo", "hf", "cvat"):
        run.export(folder, str(tmp_path / name), name)
        receipt = json.loads((tmp_path / name / "receipt.json").read_text())
        assert receipt["source"]["license"] == "CC-BY-4.0"
    known = json.loads((tmp_path / "coco/annotations/instances_train.json").read_text())
    assert known["licenses"] == [{"id": 1, "name": "CC-BY-4.0", "url": ""}]
    assert known["images"][0]["license"] == 1
    assert known["info"] == {"description": "Streets.", "contributor": "Ann: Streets, 2024"}
    assert "# license: CC-BY-4.0" in (tmp_path / "yolo/data.yaml").read_text()
    assert "Ann: Streets, 2024" in (tmp_path / "hf/README.md").read_text()
    assert "\nlicense: cc-by-4.0\n" in (tmp_path / "hf/README.md").read_text()


def test_a_stopped_export_continues(tmp_path, monkeypatch):
    folder = built(
        masks.tree(tmp_path / "tree", {"train": {f"a{i}": PLANE for i in range(6)}}),
        tmp_path / "out",
    )
    run.export(folder, str(tmp_path / "whole"), "coco")
    target = TARGETS["coco"]
    draw, seen_keys = target.draw, []

    def stopping(self, picture):
        seen_keys.append(picture.key)
        if len(seen_keys) == 5:
            raise KeyboardInterrupt
        return draw(self, picture)

    monkeypatch.setattr(target, "draw", stopping)
    with pytest.raises(KeyboardInterrupt):
        run.export(folder, str(tmp_path / "made"), "coco")
    assert (tmp_path / "made/UNFINISHED.txt").exists()
    assert not (tmp_path / "made/receipt.json").exists()
    assert not (tmp_path / "made/annotations").exists()
    seen_keys[:] = [""] * 5
    receipt = run.export(folder, str(tmp_path / "made"), "coco")
    assert receipt.kept == 1
    assert len(seen_keys) == 5 + 3  # the shard that was whole is not written again
    assert seen(tmp_path / "made") == seen(tmp_path / "whole")


def test_what_changed_is_written_again(tmp_path):
    folder = built(
        masks.tree(tmp_path / "tree", {"train": {f"a{i}": PLANE for i in range(4)}}),
        tmp_path / "out",
    )
    made = tmp_path / "made"
    run.export(folder, str(made), "yolo")
    label = next((made / "labels/train").iterdir())
    label.write_text("0 0 0 0 1 1 1\n")
    (made / "images/train/a1.png").unlink()
    receipt = run.export(folder, str(made), "yolo")
    assert receipt.complete
    assert receipt.loss.total.lost == 0
    shutil.rmtree(tmp_path / "out")
    shutil.rmtree(tmp_path / "tree")
    built(masks.tree(tmp_path / "tree", {"train": {"b": PLANE, "c": PLANE}}), tmp_path / "out")
    run.export(folder, str(made), "yolo")
    assert {path.stem for path in (made / "images/train").iterdir()} == {"b", "c"}
    run.export(folder, str(made), "coco")
    names = {str(path.relative_to(made)) for path in made.rglob("*") if path.is_file()}
    assert {name for name in names if not name.startswith(".dsbuild")} == {
        "annotations/instances_train.json",
        "train/b.jpg",
        "train/c.png",
        "receipt.json",
    }


def test_files_of_others_are_named(tmp_path):
    folder = one(tmp_path, {"train": {"a": PLANE}})
    made = tmp_path / "made"
    run.export(folder, str(made), "png")
    for kind in ("images", "labels"):
        ending = "jpg" if kind == "images" else "png"
        shutil.copy(made / f"{kind}/train/a.{ending}", made / f"{kind}/train/b.{ending}")
    with pytest.raises(LayoutError, match=r"lists images/train/b\.jpg .* did not write; remove it"):
        run.export(folder, str(made), "png")


def test_two_records_of_one_name_are_refused(tmp_path):
    folder = one(tmp_path, {"train": {"a": PLANE}})
    shard = next(pathlib.Path(folder).glob("*.tfrecord"))
    shard.write_bytes(shard.read_bytes() * 2)
    with pytest.raises(ShardError, match="the records 'a' and 'a' of the split train would both"):
        run.export(folder, str(tmp_path / "made"), "png")


def test_one_key_in_two_splits_is_one_file_of_voc_only_if_it_is_the_same(tmp_path):
    plane = np.eye(5, dtype=np.uint8)
    other = {"train": {"a": plane}, "val": {"b": plane, "a": plane}}  # one JPEG, one PNG
    folder = one(tmp_path, other)
    with pytest.raises(ShardError, match="'a' of train and 'a' of val differ, and both would be"):
        run.export(folder, str(tmp_path / "made"), "voc")
    assert not (tmp_path / "made/receipt.json").exists()
    assert run.export(folder, str(tmp_path / "png"), "png").complete


def test_a_split_with_and_without_labels_is_refused(tmp_path):
    folder = one(tmp_path, {"train": {"a": PLANE, "b": PLANE}})
    shard = next(pathlib.Path(folder).glob("*.tfrecord"))
    found = [example.parse(record.data) for record in tfrecord.read(str(shard))]
    del found[1][LABEL]
    with open(shard, "wb") as file:
        writer = tfrecord.Writer(file)
        for values in found:
            writer.write(example.serialize(values))
    with pytest.raises(ShardError, match="train: 1 of 2 records have a label; a split of both"):
        run.export(folder, str(tmp_path / "made"), "coco")
    assert not (tmp_path / "made/receipt.json").exists()


def test_labels_that_are_damaged_are_named(tmp_path):
    folder = one(tmp_path, {"train": {"a": PLANE}})
    path = os.path.join(folder, "manifest.json")
    document = json.loads(storage.read(path)[0])
    document["classes"] = document["classes"][:2]
    for split in document["splits"].values():
        split["classes"] = split["classes"][:2]
    document.pop("digest")
    storage.write(path, json.dumps(document).encode())
    with pytest.raises(DsbuildError, match="found the label value 2, which is no class"):
        run.export(folder, str(tmp_path / "made"), "png")


def test_what_cannot_be_held_is_refused_before_anything_is_written(tmp_path):
    names = tuple(f"c{i}" for i in range(256))
    folder = one(tmp_path, {"train": {"a": PLANE}}, names, ignore_value=-1)
    for name in ("coco", "yolo", "labelme", "cvat", "voc", "mmseg"):
        with pytest.raises(PlanError, match="found 256 classes; expected at most 25"):
            run.export(folder, str(tmp_path / "made"), name)
        assert not (tmp_path / "made").exists()
    assert run.export(folder, str(tmp_path / "made"), "png").loss.total.lost == 0


def test_masks_of_16_bits_are_held_by_png(tmp_path):
    names = tuple(f"c{i}" for i in range(300))
    plane = np.arange(24 * 32, dtype=np.uint16).reshape(24, 32) % 300
    plane[0] = 65535
    folder = one(tmp_path, {"train": {"a": plane}}, names, ignore_value=65535)
    receipt = run.export(folder, str(tmp_path / "made"), "png")
    assert receipt.loss.total.lost == 0
    assert len(receipt.loss.classes) == 301
    found, _, _ = reread(tmp_path / "made", receipt, tmp_path / "again")
    np.testing.assert_array_equal(found["train"]["a"][1], plane)
    few = one(tmp_path / "few", {"train": {"a": plane % 4}}, masks.NAMES, ignore_value=65535)
    for name in ("png", "mmseg", "voc", "hf", "coco"):
        assert run.export(few, str(tmp_path / name), name).loss.total.lost == 0


def test_files_that_say_nothing_of_classes_are_refused(tmp_path, voc, out):
    make(voc, out, splits=("train",))
    os.remove(os.path.join(out, "manifest.json"))
    shutil.rmtree(os.path.join(out, ".dsbuild"))
    with pytest.raises(PlanError, match=r"found no manifest\.json, so nothing names its classes"):
        run.export(out, str(tmp_path / "made"), "png")


def test_one_file_is_exported(tmp_path, voc, out):
    make(voc, out, splits=("train", "val"), shards=2)
    receipt = run.export(f"{out}/val-00000-of-00002.tfrecord", str(tmp_path / "made"), "voc")
    assert receipt.loss.images == 3
    assert [*Voc().splits(str(tmp_path / "made"))] == ["val"]
