"""Exports of some splits, and of folders that have no manifest."""

import json
import pathlib
import shutil

import pytest

from dsbuild.errors import PlanError, ShardError
from dsbuild.interop.annotations import run
from tests.support import masks
from tests.support.exported import built, records, seen

KEYS = {"train": ("a", "b", "c"), "val": ("d", "e"), "test": ("f",)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    home = tmp_path_factory.mktemp("divided")
    planes = iter(list(masks.hard().values()) * 2)
    divided = {split: {key: next(planes) for key in keys} for split, keys in KEYS.items()}
    return built(masks.tree(home / "tree", divided), home / "out")


@pytest.fixture(scope="module")
def foreign(folder, tmp_path_factory):
    """The same records as another tool names them, without anything beside them."""
    home = tmp_path_factory.mktemp("foreign")
    for path in pathlib.Path(folder).glob("*.tfrecord"):
        split, _, part = path.stem.partition("-")
        shutil.copy(path, home / f"animals-{split}.tfrecord-{part}")
    return str(home)


@pytest.mark.parametrize("name", ["coco", "yolo", "voc", "hf"])
def test_a_split_alone_has_the_files_that_it_has_among_all(folder, tmp_path, name):
    whole, some = str(tmp_path / "whole"), str(tmp_path / "some")
    run.export(folder, whole, name)
    receipt = run.export(folder, some, name, splits=("val", "train"))
    assert receipt.about.splits == ("train", "val")
    assert receipt.loss.images == receipt.loss.read == 5
    document = json.loads(pathlib.Path(some, "receipt.json").read_text())
    assert document["splits_not_exported"] == ["test"]
    pictures = {path: data for path, data in seen(some).items() if path.endswith((".jpg", ".png"))}
    assert pictures
    assert pictures.items() <= seen(whole).items()
    again = run.export(folder, some, name)
    assert again.kept == 4
    assert "splits_not_exported" not in again.document()
    assert seen(some) == seen(whole)


def test_another_split_does_not_replace_one(folder, tmp_path):
    out = str(tmp_path / "made")
    run.export(folder, out, "coco", splits=("val",))
    before = seen(out)
    with pytest.raises(PlanError, match=r"the split val, .* as --split val,test, or choose"):
        run.export(folder, out, "coco", splits=("test",))
    assert seen(out) == before
    with pytest.raises(PlanError, match=r"no split 'vla'; expected one of test, train, val; did"):
        run.export(folder, out, "coco", splits=("vla",))


@pytest.mark.parametrize("name", ["png", "coco"])
def test_a_folder_of_another_tool_needs_the_names_of_its_classes(folder, foreign, tmp_path, name):
    with pytest.raises(PlanError, match=r"nothing names its classes; .* --classes FILE"):
        run.export(foreign, str(tmp_path / "made"), name)
    receipt = run.export(foreign, str(tmp_path / "made"), name, classes=masks.NAMES)
    wanted = run.export(folder, str(tmp_path / "own"), name)
    assert receipt.loss == wanted.loss
    assert receipt.about.splits == ("test", "train", "val")
    assert set(receipt.about.splits) == set(records(folder))


def test_a_value_without_a_name_is_an_error(foreign, tmp_path):
    with pytest.raises(ShardError, match=r"expected one of the 1 that --classes names, or 255"):
        run.export(foreign, str(tmp_path / "made"), "png", classes=masks.NAMES[:1])
    assert not (tmp_path / "made/receipt.json").exists()


def test_files_without_a_split_stand_alone(foreign, tmp_path):
    path = next(pathlib.Path(foreign).glob("*val*"))
    bare = tmp_path / "bare"
    bare.mkdir()
    shutil.copy(path, bare / "data.tfrecord")
    receipt = run.export(str(bare), str(tmp_path / "made"), "png", classes=masks.NAMES)
    assert receipt.about.splits == ("train",)
    shutil.copy(path, bare / "val.tfrecord")
    with pytest.raises(PlanError, match=r"data\.tfrecord: found no split in its name"):
        run.export(str(bare), str(tmp_path / "other"), "png", classes=masks.NAMES)
    assert not (tmp_path / "other").exists()
